//! Delivery: what a provider's pieces and endings do, whether they come over a session or from a
//! direct upstream.

use rekursing_protocol::FailCode;
use serde_json::value::RawValue;

use crate::{
    house::House,
    stream::{Fault, Stream},
};

/// One attempt at one job, at its provider's end.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// The house.
    pub house: &'a House,
    /// The job's stream.
    pub stream: &'a Stream,
    /// The attempt.
    pub lease: u32,
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

    /// Delivers a part of a whole answer. One that grows too long ends as malformed.
    pub fn body(self, n: u32, part: &str) -> Result<(), Fault> {
        let bytes_max = self.house.config.limits.answer_bytes;
        if self.stream.body(self.lease, n, part, self.house.desk.now(), bytes_max)? {
            self.house.desk.stop(self.stream, self.lease);
            self.fail(FailCode::Malformed, String::new());
            return Err(Fault::Stale);
        }
        Ok(())
    }

    /// Ends the answer as complete after so many pieces.
    pub fn done(self, pieces: u32, reason: &str, claimed: (Option<u64>, Option<u64>)) -> Result<(), Fault> {
        match self.stream.complete(self.lease, pieces, reason, claimed)? {
            Ok(()) => self.house.desk.finish(self.stream.job, self.lease, self.stream.usage()),
            Err(code) => self.fail(code, String::new()),
        }
        Ok(())
    }

    /// Ends the attempt as failed.
    pub fn fail(self, code: FailCode, detail: String) {
        if self.stream.with_assignment(self.lease, |_| ()).is_some() {
            self.house.desk.fail(self.stream.job, self.lease, code, detail, self.stream.usage());
        }
    }

    fn begun(self, first: bool) -> Result<(), Fault> {
        if first && !self.house.desk.began(self.stream.job, self.lease) {
            return Err(Fault::Stale);
        }
        Ok(())
    }
}
