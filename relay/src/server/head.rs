//! How long a connection may wait for a request: long while it is idle, short once one has begun.
//!
//! hyper knows one deadline for both, kept by whatever timer it is given. This timer makes it two.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

/// Whether bytes have come since the connection last began to wait for a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<AtomicBool>);

/// A connection's deadlines for requests.
#[derive(Debug)]
pub(super) struct Heads {
    /// From a request's first byte, or from the connection's start, to the end of its headers.
    head: Duration,
    /// From the end of one exchange to the next request's first byte.
    idle: Duration,
    heard: Heard,
    /// Whether the connection has waited for a request before.
    waited: AtomicBool,
}

/// A wait for a request.
struct Wait {
    sleep: Pin<Box<tokio::time::Sleep>>,
    head: Duration,
    heard: Heard,
    /// Whether the request has begun, or must begin at once.
    begun: bool,
}

impl Heard {
    /// Notes that bytes have come.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Heads {
    pub(super) fn new(head: Duration, idle: Duration, heard: Heard) -> Heads {
        Heads { head, idle, heard, waited: AtomicBool::new(false) }
    }
}

impl Timer for Heads {
    /// Begins a wait for a request, which is all that hyper waits for here.
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        let begun = !self.waited.swap(true, Ordering::Relaxed);
        self.heard.0.store(false, Ordering::Relaxed);
        let patience = if begun { self.head } else { self.idle };
        let sleep = Box::pin(tokio::time::sleep(patience));
        Box::pin(Wait { sleep, head: self.head, heard: self.heard.clone(), begun })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if !this.begun && this.heard.0.load(Ordering::Relaxed) {
            this.begun = true;
            let deadline = tokio::time::Instant::now() + this.head;
            this.sleep.as_mut().reset(deadline);
        }
        this.sleep.as_mut().poll(context)
    }
}

impl Sleep for Wait {}
