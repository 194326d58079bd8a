//! Work: what a plugin is asked to do, made of a page's request and kept as long as its stream.

use rekursing_market::Payer;
use rekursing_protocol::frame::Call;
use serde_json::value::RawValue;

use crate::{ask::prompt, memory::Room, tokens::Tokenizer};

/// Longest request, in bytes, whose answer another provider may go on with.
const GOES_ON_BYTES_MAX: usize = 256 << 10;

/// What the plugin is asked to do.
#[derive(Debug)]
pub struct Work {
    /// Which call to make.
    pub call: Call,
    /// Whether the answer comes in pieces.
    pub streamed: bool,
    /// The fields of the request, `"name":value,…`, without braces and without any limit of tokens.
    pub fields: String,
    /// Prompt tokens by the relay's count, before it was known who answers.
    pub prompt_tokens: u64,
    /// With what they were counted.
    pub tokenizer: Tokenizer,
    /// The print of what the page has asked; nothing of what goes on with an answer.
    pub prompt_print: Option<[u8; 32]>,
    /// Who pays, and alone may cancel.
    pub payer: Payer,
    /// Which part of the answer it is.
    pub part: Part,
    /// The request's part of the memory for requests; given back with the stream.
    pub room: Room,
}

/// Which part of an answer a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The first, and mostly the whole.
    First,
    /// It goes on behind what another provider has said, which is the request's last message.
    Later,
    /// So does the last: behind it nobody goes on any more.
    Last,
}

impl Work {
    /// Counts the prompt's tokens as a model has them, in time that grows with the prompt unless that is
    /// how they were counted before.
    pub fn prompt_tokens_by(&self, tokenizer: Tokenizer) -> u64 {
        if tokenizer == self.tokenizer {
            return self.prompt_tokens;
        }
        prompt::recount(self.call, &self.fields, tokenizer).unwrap_or(self.prompt_tokens)
    }

    /// Tells whether the page gave tools. It may say so of a request in which something else has that name;
    /// within a text the name would stand between escaped quotes.
    pub fn has_tools(&self) -> bool {
        self.fields.contains("\"tools\":")
    }

    /// Tells whether another provider could go on with the answer: it is a chat's plain text, and not so long a
    /// request that to write it again takes long. Like [`Work::has_tools`] it may err on the side of no.
    pub fn may_go_on(&self) -> bool {
        let has = |name: &str| self.fields.contains(name);
        self.call == Call::Chat
            && self.streamed
            && self.part != Part::Last
            && self.fields.len() <= GOES_ON_BYTES_MAX
            && !["\"tools\":", "\"response_format\":", "\"logprobs\":"].into_iter().any(has)
    }

    /// Returns the fields with what has been said of the answer as the last message. `None` where the page's own
    /// last message is the assistant's: that is no question, and two such messages in a row are none either.
    pub fn fields_behind(&self, told: &str) -> Option<String> {
        prompt::behind(&self.fields, told)
    }

    /// Returns the request's object with the limit of tokens that the hold covers; 0 for none.
    ///
    /// # Panics
    /// When `fields` are not fields of JSON; they are made of parsed JSON alone.
    pub fn body(&self, answer_tokens_max: u64) -> Box<RawValue> {
        let fields = &self.fields;
        let json = match (fields.is_empty(), answer_tokens_max) {
            (_, 0) => format!("{{{fields}}}"),
            (true, limit) => format!("{{\"max_tokens\":{limit}}}"),
            (false, limit) => format!("{{{fields},\"max_tokens\":{limit}}}"),
        };
        RawValue::from_string(json).expect("fields were taken from valid JSON")
    }
}
