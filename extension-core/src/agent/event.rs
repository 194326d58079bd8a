//! What can happen to the agent.

use rekursing_protocol::{Gpu, Moment, Span};

use super::{AskId, Config, FetchId, Identity, Memory};
use crate::choices::Zone;

/// How a short HTTP exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The other end answered.
    Reply {
        /// The HTTP status.
        status: u16,
        /// The whole body.
        body: &'a [u8],
    },
    /// Nothing listens there, the name is unknown, the time ran out, the answer was too long.
    Failed,
}

/// What the device key has signed, in hex digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The public half of the key.
    pub key: String,
    /// The signature; empty where there was nothing to sign.
    pub signature: String,
}

/// What the shell notices around it. Until it says otherwise the wall shows the agent's
/// own time and UTC, and the computer is in use and on mains power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// What the clock on the wall shows. The agent's own clock never goes back and may stand still
    /// while the computer sleeps; the owner's hours and days are those on the wall.
    Clock {
        /// The moment.
        wall: Moment,
        /// Local time.
        zone: Zone,
    },
    /// Keyboard or mouse are used again.
    Used,
    /// Neither was used for [`IDLE_AFTER`].
    Idle,
    /// The screen is locked.
    Locked,
    /// Whether the computer runs on its battery.
    Battery(bool),
    /// The network is there again, or another than before.
    Network,
}

/// Which way a model goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Into the server's memory.
    In,
    /// Out of it.
    Out,
}

/// How long nobody uses keyboard and mouse before a shell says [`Notice::Idle`].
pub const IDLE_AFTER: Span = Span::secs(60);

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The shell is up. The first event, and only once.
    Started {
        /// The owner's settings.
        config: Config,
        /// What [`super::Command::Save`] kept of an earlier run.
        identity: Option<Identity>,
        /// What [`super::Command::Remember`] kept of an earlier run.
        memory: Box<Memory>,
        /// The GPU, as far as it is known.
        gpu: Gpu,
    },
    /// The owner changed the settings.
    Configured(Config),
    /// What the rules of the settings look at has changed around the agent.
    Noticed(Notice),
    /// The owner asks to try again now, also after a close that stopped the agent.
    Retry,
    /// The owner agrees to be somebody new to a relay that does not know this agent.
    Renew,
    /// The owner asks to look for model servers, perhaps before saying yes.
    Look,
    /// The owner asks for a self-test of the model, perhaps before saying yes.
    TryOut {
        /// Of that of the server at this address, if any.
        address: Option<&'a str>,
    },
    /// A page of the owner's wants something of the relay.
    Wanted {
        /// The shell's name for the page.
        page: u64,
        /// What, as a JSON text.
        text: &'a str,
    },
    /// A newer version of the shell waits to take over. [`super::Command::Reload`] follows once no job runs.
    UpdateWaits,
    /// The owner asks to look at the model servers now.
    Probe,
    /// The owner takes the price that is proposed for a model.
    Priced {
        /// The model.
        model: &'a str,
    },
    /// The owner asks a model server to load a model, or to unload one.
    Moved {
        /// Where the server is.
        address: &'a str,
        /// The model, as the server's view names it.
        model: &'a str,
        /// Which way.
        way: Move,
    },
    /// Chrome lacks the owner's permission for these patterns of hosts, and for no others of the settings.
    Forbidden(&'a [String]),
    /// [`super::Agent::wake_at`] has come. Harmless at any other time.
    Tick,
    /// The socket is open.
    SocketOpen,
    /// A text message came.
    Frame(&'a str),
    /// More than [`super::limits::UNSENT_BYTES_MAX`] waits to leave: the relay does not read.
    SocketStuck,
    /// The socket was closed by the other end, or never opened.
    SocketClosed {
        /// The close code; 1006 when there was none.
        code: u16,
    },
    /// The answer to an [`super::Ask`] says when it was written; handed in before its end.
    Dated {
        /// Which.
        id: AskId,
        /// When, by the other end's clock.
        at: Moment,
    },
    /// An [`super::Ask`] ended.
    Answered {
        /// Which.
        id: AskId,
        /// How.
        answer: Answer<'a>,
    },
    /// A [`super::Sign`] ended.
    Signed {
        /// Which.
        id: AskId,
        /// What came of it; nothing where there can be no device key.
        proof: Option<Proof>,
    },
    /// A fetch's status and headers came.
    FetchHead {
        /// Which.
        id: FetchId,
        /// The HTTP status.
        status: u16,
        /// The `Content-Type` header, or empty.
        content_type: &'a str,
    },
    /// Bytes of a fetch's body came.
    FetchBytes {
        /// Which.
        id: FetchId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A fetch's body ended as it should.
    FetchEnd {
        /// Which.
        id: FetchId,
    },
    /// A fetch broke: before its head nothing listens there, after it the answer was cut.
    FetchFailed {
        /// Which.
        id: FetchId,
    },
    /// The shell is going away: everything is closed in good order.
    Stopped,
}
