//! OpenAI's `/v1/responses`, in the words of a chat and back: what is asked becomes a chat, so that every model
//! server can answer it, and what it says becomes a response's items.
//!
//! The relay keeps no answers, so a request has the whole conversation in its `input`.

mod answer;
mod distinct;
mod request;

pub use answer::Answer;
pub use request::chat;

use serde_json::{Map, Value};

/// What a response says again of its request.
pub type Echo = Map<String, Value>;
