//! How the agent stands, as a popup or a terminal shows it: figures and reasons, no word of any
//! prompt or answer.

use std::borrow::Cow;

use rekursing_protocol::{Gpu, JobId, Moment, Nanos, OfferKind, PluginId, Price, Pricing, outlook::Range};
use serde::{Deserialize, Serialize};

use super::steer::Change;
use crate::{
    bridge::server::Kind,
    said::{Blank, Said},
};

/// How the agent stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// How the link stands.
    pub connection: Connection,
    /// Who the agent is, once registered.
    pub plugin: Option<PluginId>,
    /// The relay of the settings.
    pub relay: String,
    /// The GPU.
    pub gpu: Gpu,
    /// The first model server that has models, or the one that is nearest to it.
    pub server: ServerView,
    /// Every model server that is looked at: those of the settings, or the one that was found.
    pub servers: Vec<ServerView>,
    /// The model in the browser, where the owner has chosen one.
    pub browser: Option<ServerView>,
    /// The models that are offered.
    pub models: Vec<ModelView>,
    /// Models that are loaded and, as the owner wants it, not offered.
    pub withheld: Vec<String>,
    /// The jobs that run, oldest first.
    pub jobs: Vec<JobView>,
    /// What was earned, once the relay has told.
    pub earnings: Option<EarningsView>,
    /// Why jobs do not come, the weightiest first, by the relay.
    pub outlook: Vec<Hint>,
    /// The last self-test, once there was one.
    pub trial: Option<TrialView>,
    /// Jobs at once, as the owner set it.
    pub slots: u16,
    /// Whether the owner takes no new jobs.
    pub paused: bool,
    /// When the pause ends, if it does so by itself.
    pub paused_until: Option<Moment>,
    /// Why no new jobs are taken by the owner's own choice, a pause included.
    pub closed: Option<ClosedView>,
    /// Tokens that were done in the last sixty minutes and today.
    pub done: DoneView,
    /// What was changed from a phone of late.
    pub steered: Option<Change>,
    /// Whether phones may change anything.
    pub steering: bool,
    /// Whether the owner has said yes.
    pub consent: bool,
}

/// Why no new jobs are taken by the owner's own choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClosedView {
    /// Which choice.
    pub reason: Reason,
    /// When it ends, where that is known.
    pub until: Option<Moment>,
}

/// What was done, in tokens of prompts and answers, and in bytes. Counted only where the settings limit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DoneView {
    /// In the last sixty minutes.
    pub hour_tokens: u64,
    /// Since local midnight.
    pub day_tokens: u64,
    /// Bytes to and from the relay since the local month's begin.
    pub month_bytes: u64,
}

/// How the link stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// How far it is.
    pub phase: Phase,
    /// Why it is not ready, or not earning though it is.
    pub reason: Option<Reason>,
}

/// How far the link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is tried: no consent, or stopped until the owner acts.
    Off,
    /// Looking for the model server, registering.
    Preparing,
    /// The socket is being opened, or the relay has not said `ready` yet.
    Connecting,
    /// Jobs can come.
    Ready,
    /// The link broke; it is tried again after a pause.
    Waiting,
}

/// Why something is not as it should be: a stable code and a sentence for the owner, which is `why_` and
/// the code among the messages unless it has a key of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The code.
    pub code: Why,
    /// The key of the sentence's message, where it is not the code's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Cow<'static, str>>,
    /// The values in the sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Blank>,
    /// The sentence in English.
    pub text: String,
}

impl Reason {
    /// Says something closer than the code alone does.
    pub fn new(code: Why, Said { key, values, text }: Said) -> Reason {
        Reason { code, key: Some(key), values, text }
    }
}

/// Why something is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The owner has not said yes.
    NoConsent,
    /// The owner paused.
    Paused,
    /// It is not one of the hours that the owner has set.
    OutOfHours,
    /// The computer runs on its battery.
    OnBattery,
    /// Somebody uses the computer.
    InUse,
    /// The model server works for somebody else.
    OwnUse,
    /// A newer version waits for the running jobs.
    Updating,
    /// The tokens of an hour are spent.
    HourSpent,
    /// The tokens of the day are spent.
    DaySpent,
    /// The data of the month is spent.
    MonthSpent,
    /// The relay's address is none.
    BadRelayAddress,
    /// The relay does not answer.
    RelayUnreachable,
    /// The relay answered the registration with an error.
    RelayRefused,
    /// The relay does not know this plugin or its secret.
    RelayUnauthorized,
    /// The relay speaks a later version of the link.
    TooOld,
    /// The relay speaks an earlier version of the link.
    RelayOld,
    /// The computer's clock is far from the relay's.
    ClockWrong,
    /// The device key cannot be used, or the relay takes none.
    KeyUnusable,
    /// Another agent took over with the same identity.
    Replaced,
    /// The account that this plugin is paired with has revoked its key.
    KeyRevoked,
    /// The relay did not understand the agent, several times over.
    BadFrames,
    /// The relay has no room now.
    Overloaded,
    /// The relay is being restarted.
    Draining,
    /// The relay fell silent.
    HeartbeatLost,
    /// The relay does not read what it is sent.
    RelayStuck,
    /// The server has not been looked for yet.
    Looking,
    /// Nothing that serves models was found.
    NoServer,
    /// Nothing that serves models answers at the addresses that the owner has set.
    ServerSilent,
    /// Chrome lacks the owner's permission for the server's address.
    NotAllowed,
    /// The server refuses requests that name where they come from.
    OriginRefused,
    /// Something else than a model server answers at the address that the owner has set.
    NotAServer,
    /// Models are loaded, and the owner offers none of them.
    NoneChosen,
    /// The server wants an API token, or refuses the one that is set.
    TokenWanted,
    /// The server runs and has no model loaded.
    NoModel,
    /// The server runs and all its models run elsewhere.
    OnlyCloud,
    /// The model in the browser is being loaded.
    BrowserLoading,
    /// The model in the browser cannot run here.
    BrowserUnfit,
    /// Nobody knows yet how fast the model in the browser is.
    BrowserUntried,
    /// The model in the browser is too slow to be offered.
    BrowserSlow,
}

impl Why {
    /// Returns the sentence for the owner.
    pub fn sentence(self) -> &'static str {
        match self {
            Why::NoConsent => "Nothing is offered until you agree.",
            Why::Paused => "No new jobs are taken.",
            Why::OutOfHours => "Your schedule has no hours. Set some in the settings.",
            Why::OnBattery => "Waiting until the computer is plugged in.",
            Why::InUse => "Waiting until the computer is idle.",
            Why::OwnUse => "Your model server works for you. Jobs come again a minute after.",
            Why::Updating => "A newer version starts as soon as the running jobs are done.",
            Why::HourSpent => "The limit of tokens per hour is reached.",
            Why::DaySpent => "Today's limit of tokens is reached.",
            Why::MonthSpent => "This month's limit of data is reached.",
            Why::BadRelayAddress => {
                "The relay's address is not a ws://, wss://, http:// or https:// address."
            }
            Why::RelayUnreachable => "The relay cannot be reached. Trying again.",
            Why::RelayRefused => "The relay refused to register this computer. Trying again.",
            Why::RelayUnauthorized => {
                "The relay does not know this computer. Connect again to register anew."
            }
            Why::TooOld => "This version is too old for the relay. Update it.",
            Why::RelayOld => "The relay speaks an older version. Trying again.",
            Why::ClockWrong => "This computer's clock is wrong. Set it.",
            Why::KeyUnusable => "The key of this device cannot be used with the relay now. Trying again.",
            Why::Replaced => {
                "Another computer or browser took over as this one. Connect again to take it back."
            }
            Why::KeyRevoked => {
                "Your account has revoked the key of this device. Delete everything in the settings to begin anew."
            }
            Why::BadFrames => "The relay did not understand this version. Update, or connect again.",
            Why::Overloaded => "The relay is full. Trying again.",
            Why::Draining => "The relay is being restarted. Trying again.",
            Why::HeartbeatLost => "The relay fell silent. Trying again.",
            Why::RelayStuck => "The relay does not take what it is sent. Trying again.",
            Why::Looking => "Looking for a model server.",
            Why::NoServer => "No model server was found. Start LM Studio, Ollama or llama.cpp.",
            Why::ServerSilent => {
                "Nothing answers at the model server's address. Start the server, or set another address."
            }
            Why::NotAllowed => "Chrome does not let the extension reach this address yet.",
            Why::OriginRefused => "The model server refuses what comes from a browser extension.",
            Why::NotAServer => {
                "Something answers at this address, but it is no model server. Check the port."
            }
            Why::NoneChosen => "None of the loaded models is offered. Choose one in the settings.",
            Why::TokenWanted => "The model server wants an API token. Set it in the settings.",
            Why::NoModel => "The model server has no model loaded. Load one.",
            Why::OnlyCloud => "The model server has only models of a provider's cloud. Load one on your GPU.",
            Why::BrowserLoading => "The model in the browser is being loaded.",
            Why::BrowserUnfit => {
                "The model in the browser cannot run here. It may need more memory than there is. Choose a smaller one."
            }
            Why::BrowserUntried => {
                "The model in the browser is offered once its test has shown that it is fast enough."
            }
            Why::BrowserSlow => {
                "The model in the browser is too slow to be offered: it makes fewer than 2 tokens a second. Choose a smaller one."
            }
        }
    }

    /// Returns the code with its sentence.
    pub fn reason(self) -> Reason {
        Reason { code: self, key: None, values: Vec::new(), text: self.sentence().to_owned() }
    }
}

/// Something that keeps jobs away: a stable code, and a sentence for the owner with what can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The code, see `GET /api/plugin/outlook/{pluginId}` in `docs/http.md`.
    pub code: String,
    /// The key of the sentence's message.
    pub key: Cow<'static, str>,
    /// The values in the sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Blank>,
    /// The sentence in English.
    pub text: String,
    /// The model that it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl Hint {
    /// Says what keeps jobs away.
    pub fn new(code: &str, Said { key, values, text }: Said) -> Hint {
        Hint { code: code.to_owned(), key, values, text, model: None }
    }
}

/// The model server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerView {
    /// Its kind, when one was found.
    pub kind: Option<Kind>,
    /// Where it is, when one was found.
    pub address: Option<String>,
    /// Why it is of no use now.
    pub reason: Option<Reason>,
    /// Chrome's pattern for it, where the owner's permission is needed.
    pub origin: Option<String>,
    /// The models that it has loaded.
    pub models: Vec<String>,
    /// Those that it has and has not loaded.
    pub asleep: Vec<String>,
    /// Whether it loads and unloads models when the extension asks for it.
    pub loads: bool,
    /// The model that is being loaded or unloaded.
    pub moving: Option<String>,
    /// Why the last one was not, in a sentence for the owner.
    pub unmoved: Option<Said>,
    /// Jobs of the extension's that it works on.
    pub running: usize,
    /// Jobs at once that it takes.
    pub slots: usize,
    /// Requests that wait there, where it tells.
    pub waiting: Option<u16>,
    /// When it was looked at last.
    pub looked_at: Option<Moment>,
    /// Requests of others that it works on, where it tells.
    pub foreign: Option<u16>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelView {
    /// Its name.
    pub model: String,
    /// What it is for.
    pub kind: OfferKind,
    /// Its quantisation, or empty.
    pub quantization: String,
    /// Tokens of its context.
    pub context: u32,
    /// Jobs at once.
    pub slots: u16,
    /// The owner's price, where it is a fixed one.
    pub price: Option<Price>,
    /// How the owner prices it.
    pub pricing: Option<Pricing>,
    /// What the power for a million tokens of answers costs, in micro-dollars, once it is known.
    pub cost: Option<u64>,
    /// Whether the price does not cover the power.
    pub below_cost: bool,
    /// The market for it, once the relay has told.
    pub market: Option<MarketView>,
    /// A price that would do for it, once there is something to go by.
    pub proposal: Option<Proposal>,
    /// Whether it is loaded.
    pub loaded: bool,
    /// Measured tokens per second: of the last job, or of earlier ones and of the self-test.
    pub tokens_per_second: Option<u32>,
    /// Measured milliseconds to the first token, once a job was done.
    pub first_token_ms: Option<u32>,
    /// Jobs done since the agent started.
    pub done: u64,
}

/// A price that would do for a model, and what it goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// The price.
    pub pricing: Pricing,
    /// What it goes by.
    pub basis: Basis,
    /// Watts that were taken.
    pub watts: Option<u32>,
    /// Dollars per kilowatt-hour that were taken.
    pub per_kwh: Option<Nanos>,
}

/// What a proposed price goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The median of what others ask.
    Market,
    /// What the power costs by the owner's own figures.
    Power,
    /// What the power costs by usual figures, because the owner has set none.
    UsualPower,
}

/// The market for a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketView {
    /// What is asked here, in micro-dollars per million tokens, as the relay works it out.
    pub ask: Price,
    /// Others who serve the same model.
    pub others: u64,
    /// What they ask.
    pub range: Option<Range>,
    /// Requests for it today.
    pub requests: u64,
    /// What an hour of today's demand would bring, before the fee, if all who serve it had an equal share.
    pub hourly: Option<Nanos>,
}

/// One job that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// The job.
    pub id: JobId,
    /// Its model.
    pub model: String,
    /// How long it runs, in milliseconds.
    pub age_ms: u64,
    /// Pieces that came so far, about one a token.
    pub tokens: u64,
    /// Tokens per second since the first.
    pub tokens_per_second: u32,
}

/// A self-test: one short job of the owner's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrialView {
    /// The model.
    pub model: String,
    /// Whether it still runs.
    pub running: bool,
    /// Tokens per second.
    pub tokens_per_second: Option<u32>,
    /// Milliseconds to the first token.
    pub first_token_ms: Option<u32>,
    /// Why it failed, in a sentence for the owner.
    pub failed: Option<Said>,
}

/// What was earned, by the relay's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EarningsView {
    /// Earned since midnight UTC.
    pub today: Nanos,
    /// Earned today and in the six days before.
    pub week: Nanos,
    /// What each of these seven days earned, oldest first.
    pub days: [Nanos; 7],
    /// Earned in all.
    pub total: Nanos,
    /// What can be paid out.
    pub available: Nanos,
    /// What is held back until trusted.
    pub held: Nanos,
    /// When the last of it is due, if nobody trusts the owner before.
    pub held_until: Option<Moment>,
    /// What has arrived by payouts.
    pub paid: Nanos,
    /// Until when nothing is paid out because the destination of payouts is new.
    pub payouts_held_until: Option<Moment>,
    /// Jobs paid in all.
    pub jobs: u64,
}
