//! What the agent tells its shell to do.

use rekursing_protocol::Span;

use super::{Config, Identity, Memory};
use crate::choices::Pause;

/// Names one exchange of [`Ask`]; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// Names one fetch of a job's answer; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FetchId(pub u64);

/// A short HTTP exchange whose whole answer comes back as [`super::Event::Answered`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Its name.
    pub id: AskId,
    /// Where to. Redirects are errors.
    pub url: String,
    /// What to send as `Authorization: Bearer …`.
    pub bearer: Option<String>,
    /// A JSON text to `POST`; without one it is a `GET`.
    pub body: Option<String>,
    /// How long the whole exchange may take.
    pub timeout: Span,
    /// Most bytes of the answer that are read; a longer one is a failure.
    pub answer_bytes_max: usize,
}

/// How a request is meant, in HTTP's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Does.
    Post,
    /// Sets.
    Put,
    /// Removes.
    Delete,
}

/// An exchange with the relay for one of the owner's pages. Its answer comes back as that of an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// Where to, with what, and how long.
    pub ask: Ask,
    /// The method; the ask's body does not tell it.
    pub method: Method,
    /// What to send as `Idempotency-Key`.
    pub once: Option<String>,
}

/// A job's one `POST` to the local server. Its answer comes back as it arrives, in
/// [`super::Event::FetchHead`], [`super::Event::FetchBytes`] and [`super::Event::FetchEnd`]
/// or [`super::Event::FetchFailed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Its name.
    pub id: FetchId,
    /// Where to. Redirects are errors.
    pub url: String,
    /// What to send as `Authorization: Bearer …`.
    pub bearer: Option<String>,
    /// The JSON text to send as `application/json`.
    pub body: String,
}

/// Something to be signed with the device key that the shell keeps for a relay, and makes when there is none.
/// The answer comes back as [`super::Event::Signed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// Its name.
    pub id: AskId,
    /// The relay, `http://…` or `https://…`: each has a key of its own.
    pub relay: String,
    /// What to sign; without it only the public key is wanted.
    pub text: Option<String>,
}

/// What a shell must do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Open the WebSocket with subprotocol [`rekursing_protocol::SUBPROTOCOL`]. There is at most one:
    /// events of an earlier socket must not be handed in after this.
    OpenSocket {
        /// Where to: `ws://…` or `wss://…`.
        url: String,
    },
    /// Send a text message on the open socket.
    Send(String),
    /// Close the socket with this code and forget it; no [`super::Event::SocketClosed`] is expected.
    CloseSocket(u16),
    /// Begin a short HTTP exchange.
    Ask(Ask),
    /// Sign something.
    Sign(Sign),
    /// Begin an exchange for a page. Only a shell that hands in [`super::Event::Wanted`] gets it.
    Errand(Errand),
    /// Send a page this JSON text. Only a shell that hands in [`super::Event::Wanted`] gets it.
    Tell {
        /// Which page, as the event named it.
        page: u64,
        /// The text.
        text: String,
    },
    /// Begin a job's fetch.
    Post(Post),
    /// Stop reading this fetch's body until [`Command::Resume`], so that the server feels it.
    Pause(FetchId),
    /// Go on reading this fetch's body.
    Resume(FetchId),
    /// Abort this fetch; no event of it is expected any more.
    Abort(FetchId),
    /// Keep the identity where it survives a restart and nobody else reads it.
    Save(Identity),
    /// Keep this in the place of any earlier one, where it survives a restart.
    Remember(Memory),
    /// Let the newer version take over: nothing runs any more. Only a shell that hands in
    /// [`super::Event::UpdateWaits`] gets it.
    Reload,
    /// Keep these settings in the place of the earlier ones; consent and pause stay as they are.
    Configure(Box<Config>),
    /// Keep this pause in the place of the earlier one.
    Rest(Pause),
    /// [`super::Agent::state`] has changed in more than speeds and times.
    Changed,
}
