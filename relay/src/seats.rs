//! Seats: so many may be taken at once. Where all are taken, whoever has most of them gives one up to one who has
//! fewer, so that a few addresses keep nobody out.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Seats of those who stay for a while, by the address from which they come; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Seats {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Of each address by their number, the oldest first.
    by_address: HashMap<IpAddr, BTreeMap<u64, oneshot::Sender<()>>>,
    count: usize,
    numbers: u64,
}

/// A seat, given back when it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    address: IpAddr,
    number: u64,
    /// Is over when somebody else has the seat.
    lost: oneshot::Receiver<()>,
}

impl Seats {
    /// Takes a seat: so many there are in all, and of them so many for one address. `None` where no one has to give
    /// one up.
    pub fn take(&self, address: IpAddr, most: usize, most_each: usize) -> Option<Seat> {
        let mut taken = self.taken.lock();
        let own = taken.by_address.get(&address).map_or(0, BTreeMap::len);
        if own >= most_each {
            return None;
        }
        if taken.count >= most {
            let counts = taken.by_address.iter().map(|(address, seats)| (*address, seats.len()));
            let gives = gives_up(counts, own)?;
            taken.give_up_oldest(gives);
        }
        taken.numbers += 1;
        taken.count += 1;
        let (number, (keep, lost)) = (taken.numbers, oneshot::channel());
        taken.by_address.entry(address).or_default().insert(number, keep);
        Some(Seat { seats: self.clone(), address, number, lost })
    }
}

/// Returns who gives a seat up to one who has `own`: whoever has most, where he has more even then.
pub fn gives_up<A>(counts: impl Iterator<Item = (A, usize)>, own: usize) -> Option<A> {
    let (who, most) = counts.max_by_key(|(_, count)| *count)?;
    (most > own + 1).then_some(who)
}

impl Taken {
    fn give_up_oldest(&mut self, address: IpAddr) {
        if let Some(seats) = self.by_address.get_mut(&address)
            && seats.pop_first().is_some()
        {
            self.count -= 1;
        }
    }

    fn give_back(&mut self, address: IpAddr, number: u64) {
        let Some(seats) = self.by_address.get_mut(&address) else { return };
        if seats.remove(&number).is_some() {
            self.count -= 1;
        }
        if seats.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

impl Seat {
    /// Waits until somebody else has the seat.
    pub async fn lost(&mut self) {
        // Nothing is ever sent: the other end is dropped with the seat.
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.taken.lock().give_back(self.address, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(203, 0, 113, last).into()
    }

    #[test]
    fn where_all_are_taken_the_oldest_of_whoever_has_most_goes_to_one_who_has_fewer() {
        let seats = Seats::default();
        let take = |last| seats.take(address(last), 4, 4);
        let mut first: Vec<Seat> = (0..4).map(|_| take(1).unwrap()).collect();
        let lost = |seats: &mut [Seat]| -> Vec<bool> {
            seats.iter_mut().map(|seat| seat.lost().now_or_never().is_some()).collect()
        };
        assert!(take(1).is_none(), "one's own seats are no reason");
        let mut second: Vec<Seat> = (0..2).map(|_| take(2).unwrap()).collect();
        assert_eq!(lost(&mut first[..2]), [true, true]);
        assert_eq!(lost(&mut first[2..]), [false, false]);
        assert!(take(2).is_none(), "then it would have more than the other");
        let third = take(3).unwrap();
        let gone = [lost(&mut first[2..]), lost(&mut second)].concat();
        assert_eq!(gone.iter().filter(|gone| **gone).count(), 1);
        // Who has lost his seat gives none back.
        drop(first.drain(..2));
        assert_eq!(seats.taken.lock().count, 4);
        drop((first, second, third));
        let taken = seats.taken.lock();
        assert_eq!((taken.count, taken.by_address.len()), (0, 0));
    }

    #[test]
    fn an_address_has_so_many_at_most() {
        let seats = Seats::default();
        let both = [(); 2].map(|()| seats.take(address(1), 10, 2).unwrap());
        assert!(seats.take(address(1), 10, 2).is_none());
        drop(both);
        assert!(seats.take(address(1), 10, 2).is_some());
    }
}
