//! Memory: what the relay sets aside for what pages make it hold, in rooms that are given back when they are
//! dropped (`limits.requests_bytes`).
//!
//! Requests take what they need or are refused. What is kept of answers, in case an owner leaves in the middle,
//! takes no more than leaves half of it free, and does without otherwise: it never turns a request away.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a room is measured in, in bytes.
pub const KIB: usize = 1_024;

/// The memory for all of them together; clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    kib: Arc<Semaphore>,
    /// What requests alone may take.
    reserved_kib: usize,
}

/// A part of it, given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    memory: Memory,
    part: OwnedSemaphorePermit,
}

impl Memory {
    /// Sets so many bytes aside.
    pub fn of(bytes: usize) -> Memory {
        let kib = (bytes / KIB).min(Semaphore::MAX_PERMITS);
        Memory { kib: Arc::new(Semaphore::new(kib)), reserved_kib: kib / 2 }
    }

    /// Takes room for a request of so many bytes, if there is any.
    pub fn room(&self, bytes: usize) -> Option<Room> {
        self.take(u32::try_from(bytes / KIB + 1).ok()?)
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

    #[test]
    fn requests_take_all_of_it_and_give_it_back() {
        let memory = Memory::of(4 * KIB);
        let rooms = [0, 1_023, 1_024].map(|bytes| memory.room(bytes).unwrap());
        assert_eq!(free(&memory), 0);
        assert!(memory.room(0).is_none());
        drop(rooms);
        assert_eq!(free(&memory), 4);
        assert!(memory.room(4 * KIB).is_none() && memory.room(usize::MAX).is_none());
        assert_eq!(free(&memory), 4);
    }

    #[test]
    fn what_can_be_done_without_leaves_half_of_it_to_requests() {
        let memory = Memory::of(10 * KIB);
        let request = memory.room(0).unwrap();
        let mut spare = request.spare(0).unwrap();
        for (bytes, is_there, left) in
            [(1, true, 8), (1_024, true, 8), (4 * KIB, true, 5), (4 * KIB + 1, false, 5), (3, true, 5)]
        {
            assert_eq!((spare.grow(bytes), free(&memory)), (is_there, left), "{bytes}");
        }
        assert!(request.spare(1).is_none());
        let others: Vec<Room> = std::iter::from_fn(|| memory.room(0)).collect();
        assert_eq!(others.len(), 5);
        assert!(!spare.grow(5 * KIB) && request.spare(1).is_none());
        drop(others);
        drop(spare);
        assert_eq!(free(&memory), 9);
        assert!(request.spare(4 * KIB).is_some());
    }
}
