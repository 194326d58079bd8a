//! What waits to be written to a session: a bounded queue that costs nothing while it is empty.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use rekursing_protocol::frame::{Cancel, Credit, Drain, Settled, Steer};

use crate::stream::Stream;

/// One thing to tell a plugin.
#[derive(Debug)]
pub enum Order {
    /// Do this job, under this lease.
    Start(Arc<Stream>, u32),
    /// Stop this job.
    Cancel(Cancel),
    /// So many more bytes of this job's answer may come.
    Credit(Credit),
    /// This job was paid.
    Settled(Box<Settled>),
    /// The relay goes away.
    Drain(Drain),
    /// Its owner wishes something from a phone.
    Steer(Box<Steer>),
    /// Close the session with this code.
    Close(u16),
}

/// The queue of one session; clones share it.
#[derive(Debug, Clone)]
pub struct Outbox {
    shared: Arc<Mutex<Queue>>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Queue {
    orders: VecDeque<Order>,
    waker: Option<Waker>,
    closed: bool,
}

impl Outbox {
    /// Makes an empty queue for at most `limit` orders.
    pub fn new(limit: usize) -> Outbox {
        Outbox { shared: Arc::default(), limit }
    }

    /// Queues an order. A session that does not keep up is told to close; after that, and after its
    /// end, orders are dropped, because the market hears of the session's end all the same.
    pub fn push(&self, order: Order) {
        let mut queue = self.shared.lock();
        if queue.closed {
            return;
        }
        if queue.orders.len() >= self.limit {
            queue.orders.clear();
            queue.orders.push_back(Order::Close(rekursing_protocol::frame::close::RATE_LIMITED));
            queue.closed = true;
        } else {
            queue.orders.push_back(order);
        }
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }

    /// Takes everything queued, once there is something.
    pub fn poll_take(&self, context: &mut Context<'_>) -> Poll<VecDeque<Order>> {
        let mut queue = self.shared.lock();
        if queue.orders.is_empty() {
            if !queue.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                queue.waker = Some(context.waker().clone());
            }
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut queue.orders))
    }

    /// Drops what is queued and everything to come.
    pub fn close(&self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        queue.orders.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(outbox: &Outbox) -> Option<VecDeque<Order>> {
        match outbox.poll_take(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(orders) => Some(orders),
            Poll::Pending => None,
        }
    }

    #[test]
    fn hands_out_everything_in_order() {
        let outbox = Outbox::new(3);
        assert!(take(&outbox).is_none());
        outbox.push(Order::Close(1));
        outbox.push(Order::Close(2));
        let codes: Vec<_> = take(&outbox).unwrap().into_iter().collect();
        assert!(matches!(codes[..], [Order::Close(1), Order::Close(2)]));
        assert!(take(&outbox).is_none());
    }

    #[test]
    fn a_session_that_does_not_keep_up_is_closed() {
        let outbox = Outbox::new(1);
        outbox.push(Order::Close(1));
        outbox.push(Order::Close(2));
        outbox.push(Order::Close(3));
        let orders = take(&outbox).unwrap();
        assert!(matches!(orders.iter().collect::<Vec<_>>()[..], [Order::Close(4008)]));
        outbox.push(Order::Close(4));
        assert!(take(&outbox).is_none());
    }
}
