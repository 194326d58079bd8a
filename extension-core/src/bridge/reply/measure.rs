//! How fast an answer came: counted here, because servers report it late, wrong or not at all.

use rekursing_protocol::{Moment, Span};

/// How fast one answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    started: Moment,
    first: Option<Moment>,
    last: Moment,
    pieces: u64,
    /// Tokens of the answer, about.
    guess: u64,
    tokens: Option<u64>,
}

impl Measure {
    pub(super) fn new(started: Moment) -> Measure {
        Measure { started, first: None, last: started, pieces: 0, guess: 0, tokens: None }
    }

    /// Counts a chunk that added to the answer.
    pub(super) fn piece(&mut self, now: Moment) {
        self.first.get_or_insert(now);
        self.last = now;
        self.pieces += 1;
        self.guess += 1;
    }

    /// Counts a whole answer of about so many tokens.
    pub(super) fn whole(&mut self, guess: u64, now: Moment) {
        (self.last, self.pieces, self.guess) = (now, 1, guess);
    }

    /// Takes the server's count of answer tokens.
    pub(super) fn tokens(&mut self, count: Option<u64>) {
        self.tokens = count.filter(|count| *count > 0);
    }

    /// Returns when the request left.
    pub fn started(&self) -> Moment {
        self.started
    }

    /// Returns when the first piece came; `None` for a whole answer.
    pub fn first(&self) -> Option<Moment> {
        self.first
    }

    /// Returns how long the first piece took.
    pub fn first_token(&self) -> Option<Span> {
        self.first.map(|first| first.since(self.started))
    }

    /// Returns how many chunks added to the answer, about one a token.
    pub fn pieces(&self) -> u64 {
        self.pieces
    }

    /// Returns how many tokens of the answer there are, by the server's count, once it told.
    pub fn made(&self) -> u64 {
        self.tokens.unwrap_or(self.guess)
    }

    /// Returns thousandths of tokens per second between the first and the last piece, over all time
    /// for a whole answer; `None` while there are too few to tell. The count is the server's, once it told.
    pub fn millitokens_per_second(&self) -> Option<u64> {
        let count = self.tokens.unwrap_or(if self.first.is_some() { self.pieces } else { 0 });
        let (tokens, from) = match self.first {
            // The first token took the prompt's time.
            Some(first) => (count.checked_sub(1)?, first),
            None => (count, self.started),
        };
        // Clocks count milliseconds; a model faster than that is measured as one millisecond.
        let millis = self.last.since(from).0.max(1);
        (tokens > 0).then(|| tokens.saturating_mul(1_000_000) / millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_pieces_until_the_server_has_counted() {
        let mut measure = Measure::new(Moment(1_000));
        for at in [1_400, 1_500, 1_600, 1_900] {
            measure.piece(Moment(at));
        }
        assert_eq!(measure.first_token(), Some(Span(400)));
        assert_eq!(measure.millitokens_per_second(), Some(6_000));
        measure.tokens(Some(11));
        assert_eq!(measure.millitokens_per_second(), Some(20_000));
        measure.tokens(Some(0));
        assert_eq!(measure.millitokens_per_second(), Some(6_000));
    }

    #[test]
    fn says_nothing_of_too_few() {
        let mut measure = Measure::new(Moment(0));
        assert_eq!(measure.millitokens_per_second(), None);
        measure.piece(Moment(5));
        assert_eq!(measure.millitokens_per_second(), None);
    }

    #[test]
    fn a_whole_answer_is_measured_over_all_its_time() {
        let mut measure = Measure::new(Moment(0));
        measure.whole(9, Moment(2_000));
        assert_eq!(measure.made(), 9);
        assert_eq!(measure.millitokens_per_second(), None);
        measure.tokens(Some(40));
        assert_eq!(measure.made(), 40);
        assert_eq!(measure.millitokens_per_second(), Some(20_000));
        assert_eq!(measure.first_token(), None);
    }
}
