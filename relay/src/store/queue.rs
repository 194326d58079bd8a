//! What waits to be written.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use super::Write;

/// The writer's inbox.
#[derive(Debug, Default)]
pub(super) struct Queue {
    writes: Mutex<Inbox>,
    urgent: Condvar,
    /// Writes that are queued or being committed.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inbox {
    writes: Vec<Write>,
    urgent: bool,
}

impl Queue {
    /// Queues a write, and wakes the writer if somebody waits for it.
    pub(super) fn push(&self, write: Write, urgent: bool) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut inbox = self.writes.lock();
        inbox.writes.push(write);
        if urgent && !std::mem::replace(&mut inbox.urgent, true) {
            self.urgent.notify_one();
        }
    }

    /// Takes everything, at once if something is urgent, else after `patience`.
    pub(super) fn take(&self, patience: Duration) -> Vec<Write> {
        let mut inbox = self.writes.lock();
        if !inbox.urgent {
            self.urgent.wait_for(&mut inbox, patience);
        }
        inbox.urgent = false;
        std::mem::take(&mut inbox.writes)
    }

    /// Notes that so many writes are committed.
    pub(super) fn done(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    /// Returns how many writes are queued or being committed.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}
