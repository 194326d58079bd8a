//! Memory: what the relay sets aside for what pages make it hold, in rooms that are given back when they are
//! dropped (`limits.requests_bytes`).
//!
//! Requests take what they need or are refused. One that is being read takes room as its bytes come and not for what
//! it announces, and all that are being read from one address take no more than a part of it: whoever sends slowly,
//! or nothing, keeps nobody else out. What is kept of answers, in case an owner leaves in the middle,
//! takes no more than leaves half of it free, and does without otherwise: it never turns a request away.

use std::{net::IpAddr, sync::Arc};

use dashmap::DashMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a room is measured in, in bytes.
pub const KIB: usize = 1_024;

/// The part of it that requests from one address may take while they are being read: one in this many.
const ADDRESS_SHARE: usize = 4;

/// The memory for all of them together; clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    kib: Arc<Semaphore>,
    /// What requests alone may take.
    reserved_kib: usize,
    /// What requests that are being read have taken, by address.
    read_kib: Arc<DashMap<IpAddr, usize>>,
    /// The most of it for one address.
    address_kib: usize,
}

/// A request that is being read, and its room so far.
#[derive(Debug)]
pub struct Reading {
    room: Room,
    address: IpAddr,
}

/// A part of it, given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    memory: Memory,
    part: OwnedSemaphorePermit,
}

impl Memory {
    /// Sets so many bytes aside. One address may read at least one request of `request_bytes`.
    pub fn of(bytes: usize, request_bytes: usize) -> Memory {
        let kib = (bytes / KIB).min(Semaphore::MAX_PERMITS);
        Memory {
            kib: Arc::new(Semaphore::new(kib)),
            reserved_kib: kib / 2,
            read_kib: Arc::default(),
            address_kib: (kib / ADDRESS_SHARE).max(request_bytes / KIB + 1),
        }
    }

    /// Takes room for the beginning of a request, if there is any.
    pub fn reading(&self, address: IpAddr) -> Option<Reading> {
        let room = self.take(0)?;
        let mut reading = Reading { room, address };
        reading.grow(0).then_some(reading)
    }

    fn take(&self, kib: u32) -> Option<Room> {
        let part = Arc::clone(&self.kib).try_acquire_many_owned(kib).ok()?;
        Some(Room { memory: self.clone(), part })
    }

    /// Takes room for what the relay can do without, if half of it is left then.
    fn spare(&self, kib: usize) -> Option<Room> {
        let left = self.kib.available_permits().checked_sub(kib)?;
        if left < self.reserved_kib {
            return None;
        }
        self.take(u32::try_from(kib).ok()?)
    }
}

impl Reading {
    /// Makes room for so many bytes of the request. `false` where there is none.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let missing = (bytes / KIB + 1).saturating_sub(self.room.part.num_permits());
        if missing == 0 {
            return true;
        }
        let memory = &self.room.memory;
        let mut read = memory.read_kib.entry(self.address).or_default();
        if *read + missing > memory.address_kib {
            return false;
        }
        let Some(more) = u32::try_from(missing).ok().and_then(|missing| memory.take(missing)) else {
            return false;
        };
        *read += missing;
        drop(read);
        self.room.part.merge(more.part);
        true
    }

    /// Returns the room of a request that has been read.
    pub fn read(mut self) -> Room {
        let nothing = self.room.part.split(0).expect("of any room nothing can be taken");
        let memory = self.room.memory.clone();
        let part = std::mem::replace(&mut self.room.part, nothing);
        self.give_back(part.num_permits());
        Room { memory, part }
    }

    fn give_back(&self, kib: usize) {
        let read = &self.room.memory.read_kib;
        if let Some(mut read) = read.get_mut(&self.address) {
            *read -= kib;
        }
        read.remove_if(&self.address, |_, kib| *kib == 0);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.give_back(self.room.part.num_permits());
    }
}

impl Room {
    /// Takes room in the same memory for so many bytes that the relay can do without.
    pub fn spare(&self, bytes: usize) -> Option<Room> {
        self.memory.spare(bytes.div_ceil(KIB))
    }

    /// Makes such room larger, until it has so many bytes. `false` where there is none; then it stays as it is.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let missing = bytes.div_ceil(KIB).saturating_sub(self.part.num_permits());
        if missing == 0 {
            return true;
        }
        let Some(more) = self.memory.spare(missing) else { return false };
        self.part.merge(more.part);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(memory: &Memory) -> usize {
        memory.kib.available_permits()
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn request(memory: &Memory, bytes: usize) -> Option<Room> {
        let mut reading = memory.reading(HERE)?;
        reading.grow(bytes).then(|| reading.read())
    }

    #[test]
    fn requests_take_all_of_it_and_give_it_back() {
        let memory = Memory::of(8 * KIB, KIB);
        let rooms = [0, 1_023, 1_024, 1_024, 1_024].map(|bytes| request(&memory, bytes).unwrap());
        assert_eq!(free(&memory), 0);
        assert!(request(&memory, 0).is_none());
        drop(rooms);
        assert_eq!(free(&memory), 8);
        assert!(request(&memory, 2 * KIB).is_none() && request(&memory, usize::MAX).is_none());
        assert_eq!((free(&memory), memory.read_kib.len()), (8, 0));
    }

    #[test]
    fn requests_that_are_being_read_from_one_address_leave_room_for_others() {
        let memory = Memory::of(16 * KIB, KIB);
        let mut slow: Vec<Reading> = std::iter::from_fn(|| memory.reading(HERE)).collect();
        assert_eq!((slow.len(), free(&memory)), (4, 12));
        assert!(!slow[0].grow(KIB), "and none of them takes more");
        let elsewhere = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));
        assert!(memory.reading(elsewhere).is_some_and(|mut reading| reading.grow(3 * KIB)));
        // What has been read is its own payer's affair.
        let room = slow.pop().unwrap().read();
        assert!(memory.reading(HERE).is_some());
        drop((slow, room));
        assert_eq!((free(&memory), memory.read_kib.len()), (16, 0));
    }

    #[test]
    fn what_can_be_done_without_leaves_half_of_it_to_requests() {
        let memory = Memory::of(10 * KIB, 0);
        let request = request(&memory, 0).unwrap();
        let mut spare = request.spare(0).unwrap();
        for (bytes, is_there, left) in
            [(1, true, 8), (1_024, true, 8), (4 * KIB, true, 5), (4 * KIB + 1, false, 5), (3, true, 5)]
        {
            assert_eq!((spare.grow(bytes), free(&memory)), (is_there, left), "{bytes}");
        }
        assert!(request.spare(1).is_none());
        let others: Vec<Room> = std::iter::from_fn(|| self::request(&memory, 0)).collect();
        assert_eq!(others.len(), 5);
        assert!(!spare.grow(5 * KIB) && request.spare(1).is_none());
        drop(others);
        drop(spare);
        assert_eq!(free(&memory), 9);
        assert!(request.spare(4 * KIB).is_some());
    }
}
