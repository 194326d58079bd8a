//! Passes: what an agent without a secret shows on the relay's HTTP routes. The device key signs for one, and
//! it holds for some minutes.

use rekursing_protocol::{
    Moment, PluginId, Span,
    device::{Purpose, Statement, host},
    pass::{Asking, Challenge, Pass},
};

use super::{Agent, Answer, Ask, AskId, Command, Proof, Sign, limits};

/// How long the relay may take for each of two answers.
const PATIENCE: Span = Span::secs(10);

/// How long before its end a pass is not used any more.
const MARGIN: Span = Span::secs(30);

/// How long after a failure the agent asks again by itself.
const REST: Span = Span::secs(30);

/// The pass, and how far the next one is.
#[derive(Debug, Default)]
pub(super) struct Passes {
    held: Option<Held>,
    stage: Stage,
}

#[derive(Debug)]
struct Held {
    pass: String,
    until: Moment,
}

#[derive(Debug, Default)]
enum Stage {
    /// None is wanted.
    #[default]
    Idle,
    /// The relay is asked what to sign.
    Asking { id: AskId },
    /// The device key signs.
    Signing { id: AskId, nonce: String, until: Moment },
    /// The relay is shown the signature.
    Redeeming { id: AskId },
    /// It has come to nothing.
    Resting { until: Moment },
}

/// What is to be shown to the relay.
pub(super) enum Bearer {
    /// This.
    Ready(String),
    /// A pass, which is on its way.
    Coming,
}

impl Passes {
    pub(super) fn awaits(&self, waited: AskId) -> bool {
        match &self.stage {
            Stage::Asking { id } | Stage::Signing { id, .. } | Stage::Redeeming { id } => *id == waited,
            Stage::Idle | Stage::Resting { .. } => false,
        }
    }

    /// Tells whether a pass is on its way, or was refused a moment ago.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.stage, Stage::Idle)
    }

    pub(super) fn wake_at(&self) -> Option<Moment> {
        match &self.stage {
            Stage::Signing { until, .. } | Stage::Resting { until } => Some(*until),
            Stage::Idle | Stage::Asking { .. } | Stage::Redeeming { .. } => None,
        }
    }

    /// Shows the pass no more: the relay does not take it.
    pub(super) fn forget(&mut self) {
        self.held = None;
    }
}

impl Agent {
    /// Returns what shows the relay who asks, or sees to it that there soon is something.
    pub(super) fn bearer(&mut self, now: Moment) -> Bearer {
        if let Some(secret) = self.identity().and_then(|identity| identity.secret.clone()) {
            return Bearer::Ready(secret);
        }
        if let Some(held) = self.passes.held.as_ref().filter(|held| now < held.until) {
            return Bearer::Ready(held.pass.clone());
        }
        if matches!(self.passes.stage, Stage::Idle | Stage::Resting { .. }) {
            let id = self.ask_for_pass("challenge", "{}".to_owned());
            self.passes.stage = Stage::Asking { id };
        }
        Bearer::Coming
    }

    /// Does what is due.
    pub(super) fn advance_passes(&mut self, now: Moment) {
        match self.passes.stage {
            Stage::Signing { until, .. } if now >= until => self.pass_failed(now),
            Stage::Resting { until } if now >= until => self.passes.stage = Stage::Idle,
            Stage::Idle
            | Stage::Asking { .. }
            | Stage::Signing { .. }
            | Stage::Redeeming { .. }
            | Stage::Resting { .. } => {}
        }
    }

    /// Takes in an answer of the relay on the way to a pass.
    pub(super) fn passed(&mut self, answer: Answer<'_>, now: Moment) {
        let body = if let Answer::Reply { status: 200, body } = answer { body } else { b"" };
        if let Stage::Asking { .. } = self.passes.stage {
            return self.challenged(serde_json::from_slice(body).ok(), now);
        }
        let Ok(Pass { pass, holds_ms }) = serde_json::from_slice(body) else { return self.pass_failed(now) };
        let until = now + limits::pass(holds_ms) - MARGIN;
        self.go_on_errands(&pass);
        self.passes = Passes { held: Some(Held { pass, until }), stage: Stage::Idle };
    }

    /// Has the device key sign what the relay has made up.
    fn challenged(&mut self, challenge: Option<Challenge>, now: Moment) {
        let (Some(Challenge { nonce, .. }), Some(plugin)) = (challenge, self.plugin()) else {
            return self.pass_failed(now);
        };
        let id = self.sign(Purpose::Pass, plugin, &nonce);
        self.passes.stage = Stage::Signing { id, nonce, until: now + limits::SIGNING_MAX };
    }

    /// Shows the relay what the device key has signed.
    pub(super) fn pass_signed(&mut self, proof: Option<Proof>, now: Moment) {
        let Stage::Signing { nonce, .. } = std::mem::take(&mut self.passes.stage) else { return };
        let (Some(Proof { signature, .. }), Some(plugin_id)) = (proof, self.plugin()) else {
            return self.pass_failed(now);
        };
        let asking = serde_json::json!(Asking { plugin_id, nonce, signature });
        let id = self.ask_for_pass("pass", asking.to_string());
        self.passes.stage = Stage::Redeeming { id };
    }

    /// Forgets the pass, and how far the next one is: they are not this identity's.
    pub(super) fn lose_pass(&mut self) {
        self.passes = Passes::default();
        self.deny_errands();
    }

    /// Has the device key of this relay sign who the agent is.
    pub(super) fn sign(&mut self, purpose: Purpose, plugin: PluginId, nonce: &str) -> AskId {
        let authority = self.relay.as_ref().map(|relay| host(&relay.authority())).unwrap_or_default();
        let statement = Statement { purpose, host: &authority, plugin, nonce };
        self.use_key(Some(statement.to_string()))
    }

    /// Has the device key of this relay used, to sign a text or to be told alone.
    pub(super) fn use_key(&mut self, text: Option<String>) -> AskId {
        let id = AskId(self.fresh_id());
        let relay = self.relay.as_ref().map(|relay| relay.http()).unwrap_or_default();
        self.commands.push(Command::Sign(Sign { id, relay, text }));
        id
    }

    fn plugin(&self) -> Option<PluginId> {
        self.identity().map(|identity| identity.plugin)
    }

    fn pass_failed(&mut self, now: Moment) {
        self.passes = Passes { held: None, stage: Stage::Resting { until: now + REST } };
        self.deny_errands();
    }

    fn ask_for_pass(&mut self, route: &str, body: String) -> AskId {
        let id = AskId(self.fresh_id());
        let relay = self.relay.as_ref().map(|relay| relay.http()).unwrap_or_default();
        self.commands.push(Command::Ask(Ask {
            id,
            url: format!("{relay}/api/plugin/{route}"),
            bearer: None,
            body: Some(body),
            timeout: PATIENCE,
            answer_bytes_max: 16 << 10,
        }));
        id
    }
}
