//! The page's end of a stream. Whoever drops it before the end cancels the job.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep};

use crate::{
    continuation::{Continuation, Part},
    desk::Desk,
    http::once::Fruitless,
    sse::Encoder,
    stream::{Batch, Ending, Piece, Stream},
};

/// Silence after which a comment is sent, so that no proxy takes the stream for dead.
const COMMENT_AFTER: Duration = Duration::from_secs(15);

/// The page's end of a stream.
#[derive(Debug)]
pub struct Reader {
    desk: Desk,
    stream: Arc<Stream>,
    waiting: Option<Batch>,
    ended: bool,
    /// What it takes to go on with the answer when its owner leaves.
    continuation: Option<Box<Continuation>>,
    /// How the latest part broke off, behind what the page has just taken of it.
    broke: Option<Ending>,
    /// Parts that the answer has left behind, of which the page has not been told.
    parts: Vec<Part>,
}

impl Reader {
    /// Takes the page's end.
    pub fn new(desk: Desk, stream: Arc<Stream>, continuation: Option<Box<Continuation>>) -> Reader {
        Reader { desk, stream, waiting: None, ended: false, continuation, broke: None, parts: Vec::new() }
    }

    /// Takes the parts that the answer has left behind, in front of the batch that was taken last.
    fn take_parts(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.parts)
    }

    /// Waits until there is something to take, and leaves it there. Returns the refusal's ending if
    /// that is what there is.
    pub async fn first(&mut self) -> Option<Ending> {
        let mut batch = poll_fn(|context| self.poll_take(context)).await;
        if batch.pieces.is_empty()
            && matches!(batch.ending, Some(Ending::Refused(_) | Ending::TooLarge(_) | Ending::Failed { .. }))
        {
            return batch.ending.take();
        }
        self.waiting = Some(batch);
        None
    }

    /// Waits for the end and drops what precedes it; for whole answers, which come with their end.
    pub async fn ending(&mut self) -> Ending {
        loop {
            let batch = poll_fn(|context| self.poll_take(context)).await;
            if let Some(ending) = batch.ending {
                return ending;
            }
        }
    }

    /// Returns the stream.
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        if let Some(batch) = self.waiting.take() {
            return Poll::Ready(batch);
        }
        loop {
            if let Some(broke) = self.broke.take()
                && let Err(ending) = self.go_on(broke)
            {
                return Poll::Ready(self.noted(VecDeque::new(), Some(*ending)));
            }
            let Batch { pieces, ending } = ready!(self.stream.poll_take(context, self.desk.now()));
            let Some(continuation) = &mut self.continuation else {
                return Poll::Ready(self.noted(pieces, ending));
            };
            if let Some(Ending::Refused(refusal)) = &ending
                && let Some(ending) = continuation.ended(refusal)
            {
                return Poll::Ready(self.noted(pieces, Some(ending)));
            }
            self.parts.extend(continuation.begun(&self.stream));
            let ending = match ending {
                Some(broke @ Ending::Failed { receipt: Some(_), .. }) => {
                    self.broke = Some(broke);
                    None
                }
                ending => ending,
            };
            if self.broke.is_none() || !pieces.is_empty() {
                return Poll::Ready(self.noted(pieces, ending));
            }
        }
    }

    /// Reads on with whoever goes on with the answer, or returns how it ends.
    fn go_on(&mut self, broke: Ending) -> Result<(), Box<Ending>> {
        let Some(continuation) = &mut self.continuation else { return Err(Box::new(broke)) };
        self.stream = continuation.go_on(&self.stream, broke)?;
        Ok(())
    }

    fn noted(&mut self, pieces: VecDeque<Piece>, ending: Option<Ending>) -> Batch {
        if ending.is_some() {
            self.ended = true;
            self.continuation = None;
        }
        Batch { pieces, ending }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !self.ended {
            self.desk.cancel(&self.stream);
        }
    }
}

/// A stream as a response's body.
#[derive(Debug)]
pub struct Events {
    reader: Reader,
    encoder: Encoder,
    fruitless: Fruitless,
    done: bool,
    spoke: Instant,
    silence: Pin<Box<Sleep>>,
}

impl Events {
    /// Makes a body of a stream, which notes in the end if nothing came of it.
    pub fn new(reader: Reader, encoder: Encoder, fruitless: Fruitless) -> Events {
        let silence = Box::pin(tokio::time::sleep(COMMENT_AFTER));
        Events { reader, encoder, fruitless, done: false, spoke: silence.deadline() - COMMENT_AFTER, silence }
    }

    /// Sends a comment when there has been silence for long.
    fn poll_comment(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        while self.silence.as_mut().poll(context).is_ready() {
            let now = self.silence.deadline();
            let due = self.spoke + COMMENT_AFTER;
            if now >= due {
                self.spoke = now;
                self.silence.as_mut().reset(now + COMMENT_AFTER);
                return Poll::Ready(Bytes::from_static(b": still there\n\n"));
            }
            self.silence.as_mut().reset(due);
        }
        Poll::Pending
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if this.done {
            return Poll::Ready(None);
        }
        match this.reader.poll_take(context) {
            Poll::Ready(batch) => {
                if !this.encoder.is_assigned()
                    && let Some(assignment) = this.reader.stream.assignment()
                {
                    this.encoder.assigned(&assignment, &this.reader.desk);
                }
                for part in this.reader.take_parts() {
                    this.encoder.goes_on(&part, &this.reader.desk);
                }
                this.done = batch.ending.is_some();
                if batch.ending.as_ref().is_some_and(Ending::is_fruitless) && !this.encoder.is_charged() {
                    this.fruitless.note();
                }
                this.spoke = this.silence.deadline() - COMMENT_AFTER;
                let written = this.encoder.batch(batch);
                this.done |= this.encoder.is_over();
                Poll::Ready(Some(Ok(Frame::data(written))))
            }
            Poll::Pending => this.poll_comment(context).map(|comment| Some(Ok(Frame::data(comment)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }
}
