//! An answer that is kept as it is written, and that goes on without whoever asked for it.
//!
//! One connection reads it at a time, the latest: whoever comes back after his connection broke takes the
//! answer over from one that the relay may still take for open. When nobody reads it, it is read to its
//! end for when he asks again, or, where he said that he would come back, for as long as he may stay away.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::{runtime::Handle, time::timeout};

use super::{Fruitless, Ticket};
use crate::replay::{Answer, LastEvent, Outcome, Rest};

/// An answer that is being written.
#[derive(Debug)]
pub struct Recorded {
    /// The answer without its body.
    head: Answer,
    /// How long it goes on without anybody, if not to its end.
    stays: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What is still to come. In front of the recording: with it the job ends, and only behind that may the
    /// call be made again.
    inner: Body,
    /// Nothing once it has ended.
    recording: Option<Recording>,
    /// Who reads.
    reader: u64,
    waker: Option<Waker>,
}

/// What was written of an answer.
#[derive(Debug)]
struct Recording {
    answer: Answer,
    fit: Fit,
    fruitless: Fruitless,
    ticket: Ticket,
}

/// Whether there is room to keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Until now.
    Fits,
    /// Not any more.
    TooLarge,
}

/// How the reading of the rest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// At the answer's end.
    Whole,
    /// In the middle: what could not be kept is of no use to anybody.
    Useless,
    /// Somebody else reads on.
    TakenOver,
}

/// Lets a response keep its body as it is written. `stays` is how long it goes on without anybody, if not
/// to its end.
pub(super) fn record(mut response: Response, ticket: Ticket, stays: Option<Duration>) -> Response {
    let fruitless = response.extensions_mut().remove::<Fruitless>().unwrap_or_default();
    let (head, inner) = response.into_parts();
    let (is_empty, hint) = (inner.is_end_stream(), inner.size_hint());
    let (house, id, number) = (Arc::clone(&ticket.house), ticket.call.id, ticket.number);
    let written = || Answer { status: head.status, headers: head.headers.clone(), parts: Vec::new() };
    let recording = Recording { answer: written(), fit: Fit::Fits, fruitless, ticket };
    let mut state = State { inner, recording: Some(recording), reader: 0, waker: None };
    // Nobody reads a body that is empty.
    if is_empty {
        state.end();
    }
    let recorded = Arc::new(Recorded { head: written(), stays, state: Mutex::new(state) });
    house.replays.writes(id, number, &recorded);
    let page = Page { recorded, number: 0, rest: Rest::default(), hint, done: is_empty };
    Response::from_parts(head, Body::new(page))
}

impl Recorded {
    /// Gives what stands behind an event to whoever comes back, and the rest as it comes. Nothing where no
    /// such event was written, or where it can be had in another way or not at all.
    pub fn again(self: Arc<Recorded>, last: LastEvent) -> Option<Response> {
        let mut state = self.state.lock();
        let recording = state.recording.as_ref().filter(|recording| recording.fit == Fit::Fits)?;
        let rest = last.rest(&recording.answer.parts)?;
        let number = state.next_reader();
        drop(state);
        let mut response = self.head.again(Rest::default());
        let hint = SizeHint::default();
        *response.body_mut() = Body::new(Page { recorded: self, number, rest, hint, done: false });
        Some(response)
    }

    /// Reads to its end what nobody else reads.
    async fn read_out(self: Arc<Recorded>, number: u64) {
        let rest = poll_fn(|context| {
            loop {
                match std::task::ready!(self.poll_written(number, context)) {
                    Some(Ok(_)) if self.is_useless() => return Poll::Ready(Reading::Useless),
                    Some(Ok(_)) => {}
                    Some(Err(_)) => return Poll::Ready(Reading::Useless),
                    None if self.state.lock().reader == number => return Poll::Ready(Reading::Whole),
                    None => return Poll::Ready(Reading::TakenOver),
                }
            }
        });
        let reading = match self.stays {
            Some(stays) => timeout(stays, rest).await.unwrap_or(Reading::Useless),
            None => rest.await,
        };
        if reading == Reading::Useless {
            self.state.lock().give_up(number);
        }
    }

    fn is_useless(&self) -> bool {
        self.state.lock().recording.as_ref().is_some_and(|recording| recording.fit == Fit::TooLarge)
    }

    /// Takes the next frame of what is still to be written, for whoever reads.
    fn poll_written(
        &self,
        number: u64,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut state = self.state.lock();
        if state.reader != number {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut state.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(part), Some(recording)) = (frame.data_ref(), &mut state.recording) {
                    recording.write(part);
                }
                if state.inner.is_end_stream() {
                    state.end();
                }
            }
            Poll::Ready(None) => state.end(),
            Poll::Ready(Some(Err(_))) => state.give_up(number),
            Poll::Pending => state.waker = Some(context.waker().clone()),
        }
        polled
    }

    /// Takes the next part that was written already, for whoever reads.
    fn written(&self, number: u64, rest: &mut Rest) -> Option<Bytes> {
        let state = self.state.lock();
        let recording = state.recording.as_ref().filter(|_| state.reader == number)?;
        rest.next(&recording.answer.parts)
    }
}

impl State {
    /// Lets somebody else read: whoever has read so far finds an end.
    fn next_reader(&mut self) -> u64 {
        self.reader += 1;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        self.reader
    }

    fn end(&mut self) {
        drop(std::mem::take(&mut self.inner));
        if let Some(recording) = self.recording.take() {
            recording.end();
        }
    }

    /// Ends the answer where it is, unless somebody else reads it.
    fn give_up(&mut self, number: u64) {
        if self.reader == number {
            drop(std::mem::take(&mut self.inner));
            self.recording = None;
        }
    }
}

impl Recording {
    fn end(self) {
        if self.fit == Fit::Fits && !self.fruitless.is_noted() {
            self.ticket.keep(Outcome::Answer(Arc::new(self.answer)));
        }
    }

    fn write(&mut self, part: &Bytes) {
        match self.fit {
            Fit::Fits if self.ticket.house.replays.grow(self.ticket.call.whose, part.len()) => {
                self.ticket.grown += part.len();
                self.answer.parts.push(part.clone());
            }
            Fit::Fits | Fit::TooLarge => {
                self.answer.parts = Vec::new();
                self.fit = Fit::TooLarge;
            }
        }
    }
}

/// A connection that reads a recorded answer.
#[derive(Debug)]
struct Page {
    recorded: Arc<Recorded>,
    number: u64,
    /// What it has yet to read of what was written before.
    rest: Rest,
    /// The size of the whole, for the first page.
    hint: SizeHint,
    done: bool,
}

impl Drop for Page {
    fn drop(&mut self) {
        let mut state = self.recorded.state.lock();
        if state.reader != self.number || state.recording.is_none() {
            return;
        }
        // A relay that ends has nowhere to read it.
        let runtime = Handle::try_current().ok();
        let fits = state.recording.as_ref().is_some_and(|recording| recording.fit == Fit::Fits);
        let Some(runtime) = runtime.filter(|_| fits) else { return state.give_up(self.number) };
        let number = state.next_reader();
        runtime.spawn(Arc::clone(&self.recorded).read_out(number));
    }
}

impl HttpBody for Page {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        this.hint = SizeHint::default();
        if this.done {
            return Poll::Ready(None);
        }
        if let Some(part) = this.recorded.written(this.number, &mut this.rest) {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        let polled = this.recorded.poll_written(this.number, context);
        if polled.is_ready() {
            this.rest.skip();
            let state = this.recorded.state.lock();
            this.done = state.recording.is_none() || state.reader != this.number;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}
