//! The frames of the link: one JSON object per WebSocket text message, `{"kind": {…}}`.
//!
//! Golden copies of every frame lie in `protocol/tests/golden/`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{FailCode, Gpu, JobId, Moment, Nanos, Offer, PluginId, Price, Serves, SessionId, Topics};

/// What the relay tells a plugin.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToPlugin {
    /// The first frame of every connection: who speaks, and how often to beat.
    Hello(Hello),
    /// The plugin is known; jobs may come.
    Ready(Ready),
    /// The answer to a heartbeat.
    Ack(Ack),
    /// Do this job.
    Start(Box<Start>),
    /// Stop this job: nobody waits for it.
    Cancel(Cancel),
    /// So many more bytes of this job's answer may be sent.
    Credit(Credit),
    /// A job was charged, durably; this is what it earned.
    Settled(Settled),
    /// The relay goes away: leave at a random moment within the spread and come back.
    Drain(Drain),
    /// The owner wishes something from a phone. It goes to plugins that have let a phone in, and to no others.
    Steer(Steer),
}

/// What a plugin tells the relay.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToRelay<'a> {
    /// Who I am and what I offer. The first frame of a plugin.
    #[serde(borrow)]
    Identify(Box<Identify<'a>>),
    /// What I offer has changed.
    Inventory(Inventory),
    /// I live, and this is how I fare.
    Heartbeat(Heartbeat),
    /// A piece of the answer that is nothing but text.
    #[serde(borrow)]
    Text(Text<'a>),
    /// A piece of the answer that is more than text: the `choices` of one streamed chunk, unchanged.
    #[serde(borrow)]
    Chunk(Chunk<'a>),
    /// A part of a whole (not streamed) answer's JSON, in order.
    #[serde(borrow)]
    Body(Body<'a>),
    /// The answer is complete.
    #[serde(borrow)]
    Done(Done<'a>),
    /// The answer failed.
    #[serde(borrow)]
    Fail(Fail<'a>),
    /// What became of the owner's wish.
    Steered(Steered),
}

/// Who speaks and what the relay expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The relay's [`crate::VERSION`].
    pub version: u32,
    /// Milliseconds between heartbeats; the first is sent at a random moment within it.
    pub heartbeat_ms: u32,
    /// Longest frame that the relay reads, in bytes.
    pub frame_bytes_max: u32,
    /// Milliseconds for which a session may be resumed after its socket was lost; 0 when none is.
    #[serde(default)]
    pub resume_ms: u32,
    /// What a plugin with a device key signs on this connection; left out where the relay takes secrets alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// The plugin is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The session's id: a new one, or that of the session that goes on.
    pub session: SessionId,
    /// What resumes it after this connection, once; left out where no session is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The jobs that go on; left out when the session is a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Vec<Resumed>>,
    /// Whether the key that came with a secret has taken the secret's place, which is refused from now on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keyed: bool,
}

/// A job that goes on in a session that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The job.
    pub job: JobId,
    /// Its lease.
    pub lease: u32,
    /// How many pieces have come, so the number of the one to go on with.
    pub have: u32,
    /// Bytes that may be sent from that piece on, before the next [`Credit`].
    pub credit: u32,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The heartbeat's number.
    pub n: u64,
}

/// Which call of the OpenAI-compatible server a job makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/completions`
    Completion,
    /// `POST /v1/embeddings`
    Embedding,
}

/// A job for the plugin.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// The job.
    pub job: JobId,
    /// Which attempt at the job this is, from 1. Every frame about the job repeats it;
    /// a frame with another lease is dropped and never paid.
    pub lease: u32,
    /// Which call to make.
    pub call: Call,
    /// The offer's model.
    pub model: String,
    /// Whether the answer comes in pieces ([`Text`], [`Chunk`]) or whole ([`Body`]).
    pub stream: bool,
    /// The request's other fields, an object; the plugin takes those it knows and drops the rest.
    pub body: Box<RawValue>,
    /// Bytes of `text`, `choices` and `part` that may be sent before the first [`Credit`].
    pub credit: u32,
    /// Milliseconds until the first token must have come.
    pub first_token_ms: u32,
    /// Milliseconds that may pass between tokens.
    pub idle_ms: u32,
    /// Milliseconds that the job may take in all.
    pub total_ms: u32,
}

/// Stop this job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The job.
    pub job: JobId,
    /// Its lease.
    pub lease: u32,
}

/// Room for more of a job's answer: the page has taken as many bytes as are allowed anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// The job.
    pub job: JobId,
    /// Its lease.
    pub lease: u32,
    /// Bytes that may be sent on top of what was allowed before.
    pub bytes: u32,
}

/// What a job earned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The job.
    pub job: JobId,
    /// What the owner's account was credited with.
    pub earned: Nanos,
    /// Prompt tokens charged.
    pub prompt_tokens: u64,
    /// Answer tokens charged.
    pub answer_tokens: u64,
    /// When it was settled, by the relay's clock.
    pub at: Moment,
}

/// The relay goes away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Milliseconds until running jobs are cut.
    pub deadline_ms: u32,
    /// Milliseconds within which to leave, once idle.
    pub spread_ms: u32,
}

/// What the owner wishes from a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steer {
    /// The relay's number for it.
    pub n: u64,
    /// What is wished.
    pub wish: Wish,
}

/// What an owner may wish from a phone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// No new jobs for so long, or jobs again.
    Rest(Rest),
    /// This price as the owner's own.
    Price {
        /// The offer's model.
        model: String,
        /// What is asked for it.
        ask: Price,
    },
}

/// How long an owner wants to pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// Not at all: jobs come again.
    None,
    /// For an hour.
    Hour,
    /// Until the next local midnight.
    Tomorrow,
    /// Until the owner says so.
    Said,
}

/// Who the plugin is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identify<'a> {
    /// The plugin's [`crate::VERSION`].
    pub version: u32,
    /// The id from registration.
    pub plugin: PluginId,
    /// The secret from registration, of a plugin that has one.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Cow<'a, str>>,
    /// The signature by the device key, of a plugin that has one: see [`crate::device::Statement`].
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Cow<'a, str>>,
    /// The public half of a device key that is to take the place of the secret. It goes with both.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'a, str>>,
    /// Name and version of the program: `extension/0.1.0`, `node/0.1.0`.
    pub agent: Cow<'a, str>,
    /// The GPU, as far as it is known.
    #[serde(default)]
    pub gpu: Gpu,
    /// What is offered.
    pub inventory: Inventory,
    /// Which session goes on; left out for a new one.
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume<'a>>,
}

/// Most jobs with which a session may be resumed.
pub const RESUME_JOBS_MAX: usize = 1_024;

/// A session that a plugin resumes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume<'a> {
    /// The session.
    pub session: SessionId,
    /// What the latest [`Ready`] gave for it.
    pub token: Cow<'a, str>,
    /// The jobs that run or whose end the relay may not have heard of, at most [`RESUME_JOBS_MAX`].
    pub jobs: Vec<Kept>,
}

/// What a plugin has kept of a job's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The job.
    pub job: JobId,
    /// Its lease.
    pub lease: u32,
    /// The number of the first piece that can be sent again.
    pub from: u32,
    /// How many pieces there are so far.
    pub n: u32,
}

/// What a plugin offers at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// The models, at most [`crate::offer::OFFERS_MAX`].
    pub offers: Vec<Offer>,
    /// Jobs at once over all models, as the owner set it; at least 1.
    pub slots: u16,
    /// Whether the owner takes no new jobs now.
    #[serde(default)]
    pub paused: bool,
    /// When the owner's pause ends, by the plugin's clock on the wall; left out where it ends when he says so, or
    /// something else is why no new jobs are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Moment>,
    /// Whom the owner serves; left out for everyone.
    #[serde(default, skip_serializing_if = "Serves::is_everyone")]
    pub serves: Serves,
    /// What the owner refuses to answer; left out for nothing.
    #[serde(default, skip_serializing_if = "Topics::is_empty")]
    pub refuses: Topics,
}

/// A sign of life and how the plugin fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Counts up from 1 within the session.
    pub n: u64,
    /// Jobs running.
    pub jobs: u16,
    /// Requests waiting at the owner's server, where it tells.
    #[serde(default)]
    pub queue: u16,
    /// What was measured since the last heartbeat, a row per model that did something.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelReport>,
}

/// What was measured of one model since the last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelReport {
    /// The offer's model.
    pub model: String,
    /// Thousandths of a token per second, the median over the jobs that ended; 0 when none did.
    pub millitokens_per_second: u64,
    /// Milliseconds to the first token, the median over the jobs that began; 0 when none did.
    pub first_token_ms: u32,
    /// Jobs that ended well.
    pub done: u32,
    /// Jobs that failed by the owner's side.
    pub failed: u32,
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text<'a> {
    /// The job.
    pub job: JobId,
    /// Its lease.
    pub lease: u32,
    /// The number of this piece, from 0, over [`Text`], [`Chunk`] and [`Body`] together.
    pub n: u32,
    /// The text. Several tokens that came together may share one piece.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

/// A piece that is more than text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk<'a> {
    /// The job.
    pub job: JobId,
    /// Its lease.
    pub lease: u32,
    /// The number of this piece.
    pub n: u32,
    /// The `choices` array of the server's chunk.
    #[serde(borrow)]
    pub choices: &'a RawValue,
}

/// A part of a whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body<'a> {
    /// The job.
    pub job: JobId,
    /// Its lease.
    pub lease: u32,
    /// The number of this piece.
    pub n: u32,
    /// The next part of the JSON text.
    #[serde(borrow)]
    pub part: Cow<'a, str>,
}

/// The answer is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done<'a> {
    /// The job.
    pub job: JobId,
    /// Its lease.
    pub lease: u32,
    /// How many pieces were sent.
    pub n: u32,
    /// Why the server stopped: `stop`, `length`, `tool_calls`; empty for a whole answer, which says it itself.
    #[serde(default, borrow)]
    pub finish: Cow<'a, str>,
    /// The server's own count of prompt tokens, a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u64>,
    /// The server's own count of answer tokens, a hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_tokens: Option<u64>,
}

/// The answer failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail<'a> {
    /// The job.
    pub job: JobId,
    /// Its lease.
    pub lease: u32,
    /// Why.
    pub code: FailCode,
    /// The server's own words for the page when the page's request is at fault, at most 500 bytes; else empty.
    #[serde(default, borrow)]
    pub detail: Cow<'a, str>,
}

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steered {
    /// The relay's number for it.
    pub n: u64,
    /// Why it was not followed; left out when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Unwilling>,
}

/// Why a wish was not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unwilling {
    /// The owner has switched steering from phones off.
    Off,
    /// No such model is offered.
    Model,
}

/// Close codes of the link's WebSocket and what a plugin does about each.
pub mod close {
    /// An error of the relay's own: come back.
    pub const INTERNAL: u16 = 4000;
    /// A frame that does not parse or breaks a rule: come back; three in ten minutes: stop.
    pub const BAD_FRAME: u16 = 4002;
    /// No `identify` in time: come back.
    pub const NOT_IDENTIFIED: u16 = 4003;
    /// Unknown plugin or wrong secret: stop until registered anew.
    pub const UNAUTHORIZED: u16 = 4004;
    /// Too many frames or connections: come back later.
    pub const RATE_LIMITED: u16 = 4008;
    /// No heartbeat for too long: come back.
    pub const TIMED_OUT: u16 = 4009;
    /// Another version of the link: stop until updated.
    pub const VERSION: u16 = 4010;
    /// A newer connection of the same plugin took over: stop here.
    pub const REPLACED: u16 = 4011;
    /// The account that the plugin is paired with has revoked its key or secret: stop for good.
    pub const REVOKED: u16 = 4012;
    /// As many sessions as the relay takes: come back later.
    pub const OVERLOADED: u16 = 4013;
    /// The relay drains: come back.
    pub const DRAINING: u16 = 4014;
    /// A message past the limit: come back.
    pub const TOO_LARGE: u16 = 4015;

    /// Tells whether a plugin must not come back by itself.
    pub fn is_final(code: u16) -> bool {
        matches!(code, UNAUTHORIZED | VERSION | REPLACED | REVOKED)
    }
}
