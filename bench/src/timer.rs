//! Timers of microseconds for a runtime of one thread. Tokio's tick once per millisecond, which would
//! bunch the tokens of many streams together and blame the relay for the queue.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::BinaryHeap,
    os::fd::{AsFd, OwnedFd},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use anyhow::Result;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::{Interest, unix::AsyncFd};

use crate::now_ns;

struct Timer {
    due_ns: u64,
    waker: Waker,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Timer) -> bool {
        self.due_ns == other.due_ns
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Timer) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Timer) -> std::cmp::Ordering {
        self.due_ns.cmp(&other.due_ns)
    }
}

thread_local! {
    static TIMERS: RefCell<BinaryHeap<Reverse<Timer>>> = const { RefCell::new(BinaryHeap::new()) };
    static ALARM: RefCell<Option<Rc<OwnedFd>>> = const { RefCell::new(None) };
}

/// Fires the timers of this thread; runs beside whatever waits for them, and never ends.
///
/// # Errors
/// Fails when the system gives no timer.
pub async fn drive() -> Result<()> {
    let alarm = Rc::new(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?);
    ALARM.set(Some(Rc::clone(&alarm)));
    #[expect(deprecated, reason = "its successor is unsafe to call; an owned descriptor is what it asks for")]
    let readable = AsyncFd::with_interest(alarm.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
    if let Some(due_ns) = next_due() {
        arm(due_ns);
    }
    loop {
        let mut ready = readable.readable().await?;
        // Setting the timer anew takes the expiry back, so that nothing need be read.
        ready.clear_ready();
        let due = take_due(now_ns());
        if let Some(due_ns) = next_due() {
            arm(due_ns);
        }
        for timer in due {
            timer.waker.wake();
        }
    }
}

/// Waits until the monotonic clock has passed this moment.
pub async fn sleep_until(due_ns: u64) {
    std::future::poll_fn(|context| poll_until(due_ns, context)).await;
}

/// Is ready once the monotonic clock has passed this moment.
pub fn poll_until(due_ns: u64, context: &Context<'_>) -> Poll<()> {
    if now_ns() >= due_ns {
        return Poll::Ready(());
    }
    let is_next = next_due().is_none_or(|next| due_ns < next);
    let timer = Timer { due_ns, waker: context.waker().clone() };
    TIMERS.with_borrow_mut(|timers| timers.push(Reverse(timer)));
    if is_next {
        arm(due_ns);
    }
    Poll::Pending
}

fn next_due() -> Option<u64> {
    TIMERS.with_borrow(|timers| timers.peek().map(|timer| timer.0.due_ns))
}

fn take_due(now: u64) -> Vec<Timer> {
    TIMERS.with_borrow_mut(|timers| {
        let mut due = Vec::new();
        while timers.peek().is_some_and(|timer| timer.0.due_ns <= now) {
            due.extend(timers.pop().map(|timer| timer.0));
        }
        due
    })
}

fn arm(due_ns: u64) {
    let due_ns = i64::try_from(due_ns.max(1)).unwrap_or(i64::MAX);
    let value = Timespec { tv_sec: due_ns / 1_000_000_000, tv_nsec: due_ns % 1_000_000_000 };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
    ALARM.with_borrow(|alarm| {
        if let Some(alarm) = alarm {
            // A moment that has passed fires at once; nothing else can be wrong with a valid time.
            let _ = timerfd_settime(alarm, TimerfdTimerFlags::ABSTIME, &once);
        }
    });
}
