//! Quotes: the most that a job may cost, and how that follows from a price.

use rekursing_protocol::{Nanos, Price};

/// The most that a job may cost. Its amount is the cost of its tokens at its price, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    price: Price,
    prompt_tokens: u64,
    answer_tokens: u64,
    amount: Nanos,
}

impl Quote {
    /// Makes a quote for so many tokens at most; `None` when it would leave 64 bits.
    pub fn new(price: Price, prompt_tokens: u64, answer_tokens: u64) -> Option<Quote> {
        let amount = price.cost(prompt_tokens, answer_tokens)?;
        Some(Quote { price, prompt_tokens, answer_tokens, amount })
    }

    /// Returns the price, in micro-dollars per million tokens.
    pub const fn price(self) -> Price {
        self.price
    }

    /// Returns the prompt tokens.
    pub const fn prompt_tokens(self) -> u64 {
        self.prompt_tokens
    }

    /// Returns the most answer tokens.
    pub const fn answer_tokens(self) -> u64 {
        self.answer_tokens
    }

    /// Returns what it comes to.
    pub const fn amount(self) -> Nanos {
        self.amount
    }
}
