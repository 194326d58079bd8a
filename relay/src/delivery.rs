//! Delivery: what a provider's pieces and endings do, whether they come over a session or from a
//! direct upstream.

use std::sync::Arc;

use rekursing_protocol::{FailCode, frame::Call};
use serde_json::value::RawValue;

use crate::{
    answer::Read,
    house::{House, READ_AT_ONCE_BYTES},
    stream::{Fault, Stream},
};

/// One attempt at one job, at its provider's end.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The house.
    pub house: &'a Arc<House>,
    /// The job's stream.
    pub stream: &'a Arc<Stream>,
    /// The attempt.
    pub lease: u32,
}

/// Counts a prompt whose model is known only since somebody has the job, while the model reads it. A
/// long one is counted beside the streams, not among them.
pub fn begin(house: &Arc<House>, stream: &Arc<Stream>, lease: u32) {
    if stream.work.fields.len() <= READ_AT_ONCE_BYTES {
        return stream.count_prompt(lease);
    }
    let (house, stream) = (Arc::clone(house), Arc::clone(stream));
    tokio::spawn(async move {
        // A job that ends first is counted at its end.
        let _ = house.aside(move || stream.count_prompt(lease)).await;
    });
}

impl Delivery<'_> {
    /// Delivers a piece of text.
    pub fn text(self, n: u32, text: &str) -> Result<(), Fault> {
        let first = self.stream.text(self.lease, n, text, self.house.desk.now())?;
        self.begun(first)
    }

    /// Delivers a piece that is more than text.
    pub fn choices(self, n: u32, choices: &RawValue) -> Result<(), Fault> {
        let first = self.stream.choices(self.lease, n, choices, self.house.desk.now())?;
        self.begun(first)
    }

    /// Delivers a part of a whole answer. One that grows too long ends as malformed; how long vectors
    /// grow is the page's own choice.
    pub fn body(self, n: u32, part: &str) -> Result<(), Fault> {
        let bytes_max = self.house.config.limits.answer_bytes;
        if self.stream.body(self.lease, n, part, self.house.desk.now(), bytes_max)? {
            if self.stream.work.call == Call::Embedding {
                self.house.desk.too_large(self.stream, bytes_max);
            } else {
                self.house.desk.stop(self.stream, self.lease);
                self.fail(FailCode::Malformed, String::new());
            }
            return Err(Fault::Stale);
        }
        Ok(())
    }

    /// Ends the answer as complete after so many pieces.
    pub fn done(self, pieces: u32, reason: &str, claimed: (Option<u64>, Option<u64>)) -> Result<(), Fault> {
        match self.stream.complete(self.lease, pieces, reason, claimed)? {
            None => self.finish(),
            Some(unread) if unread.body.len() <= READ_AT_ONCE_BYTES => self.read(unread.read()),
            Some(unread) => {
                let (house, stream, lease) = (Arc::clone(self.house), Arc::clone(self.stream), self.lease);
                tokio::spawn(async move {
                    let read = house.aside(move || unread.read()).await.flatten();
                    Delivery { house: &house, stream: &stream, lease }.read(read);
                });
            }
        }
        Ok(())
    }

    /// Ends a whole answer that was read, or that is none.
    fn read(self, read: Option<Read>) {
        match read.map(|read| self.stream.read(self.lease, read)) {
            Some(Ok(())) => self.finish(),
            // The job has gone to somebody else, or is over.
            Some(Err(_)) => {}
            None => self.fail(FailCode::Malformed, String::new()),
        }
    }

    fn finish(self) {
        self.stream.count_prompt(self.lease);
        self.house.desk.finish(self.stream.job, self.lease, self.stream.usage());
    }

    /// Ends the attempt as failed.
    pub fn fail(self, code: FailCode, detail: String) {
        if self.stream.with_assignment(self.lease, |_| ()).is_some() {
            self.house.desk.fail(self.stream.job, self.lease, code, detail, self.stream.usage());
        }
    }

    fn begun(self, first: bool) -> Result<(), Fault> {
        if !first {
            return Ok(());
        }
        if !self.house.desk.began(self.stream.job, self.lease) {
            return Err(Fault::Stale);
        }
        self.stream.began(self.lease);
        Ok(())
    }
}
