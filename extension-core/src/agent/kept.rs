//! What is kept of a job's answer because the relay may not have it, so that a session can be resumed.

use std::{borrow::Cow, collections::VecDeque};

use rekursing_protocol::{
    JobId, ToRelay,
    frame::{Body, Chunk, Text},
};
use serde_json::value::RawValue;

use super::limits::KEPT_BYTES_MAX;
use crate::bridge::reply::Piece;

/// The latest pieces of one answer.
///
/// Credit comes as the page takes bytes, in their order: all that was allowed but the credit of the
/// start has arrived. So no more is kept than that credit and a piece.
#[derive(Debug)]
pub(super) struct Kept {
    /// The pieces' texts, one behind the other.
    text: String,
    /// The kinds of the pieces and their lengths in bytes.
    pieces: VecDeque<(Kind, usize)>,
    /// The number of the first of them.
    from: u32,
    /// Bytes of the answer in front of it.
    before: u64,
    /// Bytes that were allowed at first.
    window: u64,
    /// Bytes that were allowed so far.
    allowed: u64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Choices,
    Part,
}

impl Kept {
    /// Keeps nothing yet of an answer that may begin with so many bytes.
    pub(super) fn new(window: u64) -> Kept {
        let (text, pieces) = (String::new(), VecDeque::new());
        Kept { text, pieces, from: 0, before: 0, window, allowed: window }
    }

    /// Returns the number of the first piece that is kept.
    pub(super) fn from(&self) -> u32 {
        self.from
    }

    /// Keeps the next piece.
    pub(super) fn push(&mut self, piece: &Piece) {
        let (kind, text) = match piece {
            Piece::Text(text) => (Kind::Text, text.as_str()),
            Piece::Choices(choices) => (Kind::Choices, choices.get()),
            Piece::Part(part) => (Kind::Part, part.as_str()),
        };
        self.pieces.push_back((kind, text.len()));
        self.text.push_str(text);
        if self.text.len() > KEPT_BYTES_MAX {
            let surplus = self.text.len() - KEPT_BYTES_MAX;
            self.forget(|before, _| before < surplus);
        }
    }

    /// Forgets what has arrived since so many more bytes are allowed.
    pub(super) fn allow(&mut self, bytes: u64) {
        self.allowed = self.allowed.saturating_add(bytes);
        let arrived = self.allowed.saturating_sub(self.window).saturating_sub(self.before);
        let arrived = usize::try_from(arrived).unwrap_or(usize::MAX);
        // A piece of nothing behind what has arrived may not have.
        self.forget(|before, after| before < arrived && after <= arrived);
    }

    /// Goes on from a piece, with so many bytes allowed from there on. Returns by how many that is more than
    /// before, or nothing when the piece is not to be had.
    pub(super) fn resume(&mut self, have: u32, credit: u64) -> Option<u64> {
        let arrived = usize::try_from(have.checked_sub(self.from)?).unwrap_or(usize::MAX);
        if arrived > self.pieces.len() {
            return None;
        }
        self.forget_pieces(arrived);
        let allowed = self.before.saturating_add(credit);
        let more = allowed.saturating_sub(self.allowed);
        self.allowed = allowed;
        Some(more)
    }

    /// Returns the frames of all that is kept.
    pub(super) fn frames(&self, job: JobId, lease: u32) -> impl Iterator<Item = ToRelay<'_>> {
        let mut at = 0;
        (self.from..).zip(&self.pieces).filter_map(move |(n, (kind, bytes))| {
            let text = self.text.get(at..at + bytes)?;
            at += bytes;
            Some(match kind {
                Kind::Text => ToRelay::Text(Text { job, lease, n, text: Cow::Borrowed(text) }),
                Kind::Choices => {
                    let choices: &RawValue = serde_json::from_str(text).ok()?;
                    ToRelay::Chunk(Chunk { job, lease, n, choices })
                }
                Kind::Part => ToRelay::Body(Body { job, lease, n, part: Cow::Borrowed(text) }),
            })
        })
    }

    /// Forgets the first pieces as long as they are to be, told by the kept bytes in front of each and up
    /// to its end.
    fn forget(&mut self, is_over: impl Fn(usize, usize) -> bool) {
        let mut end = 0;
        let over = self.pieces.iter().take_while(|(_, bytes)| {
            let before = end;
            end += bytes;
            is_over(before, end)
        });
        let count = over.count();
        self.forget_pieces(count);
    }

    fn forget_pieces(&mut self, count: usize) {
        let bytes: usize = self.pieces.drain(..count).map(|(_, bytes)| bytes).sum();
        self.text.drain(..bytes);
        self.from = self.from.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        self.before += u64::try_from(bytes).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(window: u64, texts: &[&str]) -> Kept {
        let mut kept = Kept::new(window);
        texts.iter().for_each(|text| kept.push(&Piece::Text((*text).to_owned())));
        kept
    }

    fn texts(kept: &Kept) -> Vec<(u32, String)> {
        let frames = kept.frames(JobId::from_bits(1), 1);
        let read = |frame| {
            let ToRelay::Text(Text { n, text, .. }) = frame else { panic!("{frame:?}") };
            (n, text.into_owned())
        };
        frames.map(read).collect()
    }

    #[test]
    fn what_credit_has_come_back_for_is_forgotten_piece_by_piece() {
        let mut kept = kept(10, &["abcd", "ef", "", "gh"]);
        kept.allow(3);
        assert_eq!((kept.from(), texts(&kept).len()), (0, 4));
        kept.allow(2);
        assert_eq!((kept.from(), texts(&kept)[0].1.as_str()), (1, "ef"));
        kept.allow(1);
        let left = [(2, String::new()), (3, "gh".to_owned())];
        assert_eq!(texts(&kept), left, "whether the piece of nothing has arrived, credit does not tell");
        kept.allow(2);
        assert_eq!((kept.from(), texts(&kept)), (4, vec![]));
    }

    #[test]
    fn goes_on_from_the_piece_that_the_relay_lacks() {
        let mut resumed = kept(10, &["abcd", "ef", "gh"]);
        assert_eq!(resumed.resume(1, 9), Some(3), "4 + 9 bytes in all, of which 10 were known");
        assert_eq!(texts(&resumed), [(1, "ef".to_owned()), (2, "gh".to_owned())]);
        assert_eq!(resumed.resume(3, 5), Some(0));
        assert_eq!(texts(&resumed), []);
        for (from, have) in [(0, 4), (2, 1)] {
            let mut unfit = kept(10, &["abcd", "ef", "gh"]);
            unfit.resume(from, 10).unwrap();
            assert_eq!(unfit.resume(have, 10), None, "{have} of those from {from}");
        }
    }

    #[test]
    fn more_than_the_limit_is_not_kept_and_the_rest_is() {
        let mut long = kept(u64::MAX, &["a"]);
        for _ in 0..3 {
            long.push(&Piece::Part("x".repeat(KEPT_BYTES_MAX / 2)));
        }
        assert_eq!((long.from(), long.pieces.len()), (2, 2));
        assert_eq!(long.text.len(), KEPT_BYTES_MAX);
    }

    #[test]
    fn every_kind_of_piece_comes_back_as_it_was() {
        let mut kept = Kept::new(100);
        let choices = RawValue::from_string(r#"[{"delta":{"a":1}}]"#.to_owned()).unwrap();
        kept.push(&Piece::Choices(choices));
        kept.push(&Piece::Part("{\"é".to_owned()));
        let job = JobId::from_bits(1);
        let frames: Vec<_> = kept.frames(job, 2).map(|frame| serde_json::to_value(&frame).unwrap()).collect();
        let chunk = serde_json::json!({"job": job, "lease": 2, "n": 0, "choices": [{"delta": {"a": 1}}]});
        assert_eq!(frames[0]["chunk"], chunk);
        assert_eq!(frames[1]["body"], serde_json::json!({"job": job, "lease": 2, "n": 1, "part": "{\"é"}));
    }
}
