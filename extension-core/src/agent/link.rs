//! The link to the relay: registered once, opened, greeted, and tried again when it breaks, unless the
//! relay said to stop. What keeps it while it stands is the session's.

use std::borrow::Cow;

use rekursing_protocol::{
    Moment, Span, ToPlugin, ToRelay, VERSION,
    device::Purpose,
    frame::{Hello, Identify, Inventory, Ready, close},
    register::{Registered, Registration},
};

use super::{
    Agent, Answer, Ask, AskId, Command, Identity, Phase, Proof, Why,
    journal::Entry,
    limits::{self, MESSAGE_BYTES_MAX},
    outlook,
    resume::{Ticket, push},
    session::Session,
    tries::{self, Tries},
};

/// How long the relay may take to open the socket, to greet and to say `ready`.
const PATIENCE: Span = Span::secs(10);

/// The close code for a relay that fell silent; the relay does not read it.
pub(super) const HEARTBEAT_LOST: u16 = 4900;

/// The close code for a relay that does not read what it is sent; the relay does not read it either.
const STUCK: u16 = 4901;

/// Frames that the relay did not understand, within which time, stop the agent.
const BAD_FRAMES_MAX: usize = 3;
const BAD_FRAMES_WITHIN: Span = Span::secs(600);

/// Bytes of a frame around a piece of text.
const FRAME_OVERHEAD_BYTES: u32 = 256;

/// How the link stands.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) stage: Stage,
    tries: Tries,
    /// When the relay did not understand a frame.
    bad_frames: Vec<Moment>,
    /// What resumes the session.
    pub(super) ticket: Option<Ticket>,
}

#[derive(Debug, Default)]
pub(super) enum Stage {
    /// To be tried as soon as it is known what there is to offer.
    #[default]
    Due,
    /// The shell is asked for the device key to register with.
    Keying { asking: AskId, until: Moment },
    /// The relay is asked for an identity.
    Registering { asking: AskId },
    /// The socket is being opened.
    Opening { until: Moment },
    /// The socket is open and the relay has not said `ready`.
    Greeting { until: Moment, greeted: Option<Greeted> },
    /// The device key signs what the relay said in its greeting.
    Signing { asking: AskId, until: Moment, hello: Hello },
    /// Jobs can come.
    Ready(Session),
    /// To be tried again then.
    Waiting { until: Moment, why: Why },
    /// Not tried again by itself.
    Stopped { why: Why },
}

/// What the relay asked for in its `hello`, and what it was told in return.
#[derive(Debug)]
pub(super) struct Greeted {
    heartbeat: Span,
    piece_bytes_max: usize,
    /// For how long the relay lets a session be resumed.
    resume_within: Span,
    inventory: Inventory,
}

impl Link {
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready(_))
    }

    pub(super) fn awaits(&self, id: AskId) -> bool {
        match self.stage {
            Stage::Keying { asking, .. } | Stage::Registering { asking } | Stage::Signing { asking, .. } => {
                asking == id
            }
            Stage::Due
            | Stage::Opening { .. }
            | Stage::Greeting { .. }
            | Stage::Ready(_)
            | Stage::Waiting { .. }
            | Stage::Stopped { .. } => false,
        }
    }

    /// Returns why it is not tried again, when it is not.
    pub(super) fn stopped_for(&self) -> Option<Why> {
        match self.stage {
            Stage::Stopped { why } => Some(why),
            Stage::Due
            | Stage::Keying { .. }
            | Stage::Registering { .. }
            | Stage::Opening { .. }
            | Stage::Greeting { .. }
            | Stage::Signing { .. }
            | Stage::Ready(_)
            | Stage::Waiting { .. } => None,
        }
    }

    /// Ends a pause or a stop.
    pub(super) fn retry(&mut self) {
        if matches!(self.stage, Stage::Waiting { .. } | Stage::Stopped { .. }) {
            *self = Link { ticket: self.ticket.take(), ..Link::default() };
        }
    }

    /// Returns how many heartbeats were sent on this connection.
    pub(super) fn beats(&self) -> u64 {
        if let Stage::Ready(session) = &self.stage { session.beats() } else { 0 }
    }

    /// Returns until when the session can be resumed, while it is lost and the relay has not been asked.
    pub(super) fn resume_until(&self) -> Option<Moment> {
        let is_asked = matches!(self.stage, Stage::Greeting { greeted: Some(_), .. });
        self.ticket.as_ref().and_then(|ticket| ticket.until).filter(|_| !is_asked)
    }

    pub(super) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Due | Stage::Keying { .. } | Stage::Registering { .. } => Phase::Preparing,
            Stage::Opening { .. } | Stage::Greeting { .. } | Stage::Signing { .. } => Phase::Connecting,
            Stage::Ready(_) => Phase::Ready,
            Stage::Waiting { .. } => Phase::Waiting,
            Stage::Stopped { .. } => Phase::Off,
        }
    }

    pub(super) fn reason(&self) -> Option<Why> {
        match self.stage {
            Stage::Waiting { why, .. } | Stage::Stopped { why } => Some(why),
            Stage::Due
            | Stage::Keying { .. }
            | Stage::Registering { .. }
            | Stage::Opening { .. }
            | Stage::Greeting { .. }
            | Stage::Signing { .. }
            | Stage::Ready(_) => None,
        }
    }

    pub(super) fn wake_at(&self, idle: bool) -> Option<Moment> {
        [self.stage_until(idle), self.resume_until()].into_iter().flatten().min()
    }

    fn stage_until(&self, idle: bool) -> Option<Moment> {
        match &self.stage {
            Stage::Due | Stage::Registering { .. } | Stage::Stopped { .. } => None,
            Stage::Keying { until, .. }
            | Stage::Opening { until }
            | Stage::Greeting { until, .. }
            | Stage::Signing { until, .. }
            | Stage::Waiting { until, .. } => Some(*until),
            Stage::Ready(session) => Some(session.wake_at(idle)),
        }
    }

    /// Tells whether a close of the relay's ends the session too: it does when the relay has a cause. One that
    /// has no room now, or is too slow, has not even looked whose session it is.
    fn ends_session(&self, code: u16) -> bool {
        let has_cause = matches!(code, close::BAD_FRAME | close::DRAINING) || close::is_final(code);
        has_cause || self.is_ready() && (4000..5000).contains(&code)
    }

    fn has_socket(&self) -> bool {
        matches!(
            self.stage,
            Stage::Opening { .. } | Stage::Greeting { .. } | Stage::Signing { .. } | Stage::Ready(_)
        )
    }
}

impl Agent {
    /// Does what is due on the link.
    pub(super) fn advance_link(&mut self, now: Moment) {
        if self.link.resume_until().is_some_and(|until| now >= until) {
            self.give_session_up(now);
            self.changed = true;
        }
        match &mut self.link.stage {
            Stage::Due if self.watch.has_looked() => self.connect(now),
            Stage::Waiting { until, .. } if now >= *until => self.connect(now),
            Stage::Opening { until } | Stage::Greeting { until, .. } if now >= *until => {
                self.drop_link(close::NOT_IDENTIFIED, Why::RelayUnreachable, now);
            }
            Stage::Keying { until, .. } | Stage::Signing { until, .. } if now >= *until => {
                self.link_signed(None, now);
            }
            Stage::Ready(_) => self.advance_session(now),
            Stage::Due
            | Stage::Keying { .. }
            | Stage::Registering { .. }
            | Stage::Opening { .. }
            | Stage::Greeting { .. }
            | Stage::Signing { .. }
            | Stage::Waiting { .. }
            | Stage::Stopped { .. } => {}
        }
    }

    /// Goes on to register, or opens the socket when that was done before.
    fn connect(&mut self, now: Moment) {
        self.changed = true;
        let Some(relay) = self.relay.clone() else {
            self.link.stage = Stage::Stopped { why: Why::BadRelayAddress };
            return;
        };
        self.take_up(now);
        if self.identity().is_some() {
            self.link.stage = Stage::Opening { until: now + PATIENCE };
            self.commands.push(Command::OpenSocket { url: format!("{}/api/plugin/connect", relay.socket()) });
            return;
        }
        let asking = self.use_key(None);
        self.link.stage = Stage::Keying { asking, until: now + limits::SIGNING_MAX };
    }

    /// Takes in what the device key has signed, or that there is none.
    pub(super) fn link_signed(&mut self, proof: Option<Proof>, now: Moment) {
        match std::mem::take(&mut self.link.stage) {
            Stage::Keying { .. } => self.register(proof),
            Stage::Signing { hello, .. } => self.identify(&hello, proof, now),
            stage @ (Stage::Due
            | Stage::Registering { .. }
            | Stage::Opening { .. }
            | Stage::Greeting { .. }
            | Stage::Ready(_)
            | Stage::Waiting { .. }
            | Stage::Stopped { .. }) => self.link.stage = stage,
        }
    }

    /// Registers with the device key, or for a secret where there is none.
    fn register(&mut self, proof: Option<Proof>) {
        let Some(relay) = self.relay.clone() else { return };
        let registration = Registration {
            name: self.config.name.clone(),
            gpu: self.gpu.clone(),
            models: self.inventory().offers,
            key: proof.map(|proof| proof.key),
        };
        let id = AskId(self.fresh_id());
        self.link.stage = Stage::Registering { asking: id };
        self.commands.push(Command::Ask(Ask {
            id,
            url: format!("{}/api/plugin/register", relay.http()),
            bearer: None,
            body: serde_json::to_string(&registration).ok(),
            timeout: PATIENCE,
            answer_bytes_max: 64 << 10,
        }));
    }

    /// Takes in the answer to the registration.
    pub(super) fn registered(&mut self, answer: Answer<'_>, now: Moment) {
        let Answer::Reply { status, body } = answer else { return self.pause(Why::RelayUnreachable, now) };
        // A network that wants its users to sign in answers in the relay's place, and so does a proxy before it.
        if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err() {
            return self.pause(Why::RelayUnreachable, now);
        }
        let registered =
            serde_json::from_slice::<Registered>(body).ok().filter(|_| matches!(status, 200 | 201));
        let (Some(registered), Some(relay)) = (registered, &self.relay) else {
            return self.pause(Why::RelayRefused, now);
        };
        let identity =
            Identity { relay: relay.http(), plugin: registered.plugin_id, secret: registered.secret };
        self.become_known(identity, now);
        self.lose_pass();
        self.connect(now);
    }

    /// Takes in that the socket is open. The relay speaks first.
    pub(super) fn socket_open(&mut self, now: Moment) {
        if let Stage::Opening { .. } = self.link.stage {
            self.link.stage = Stage::Greeting { until: now + PATIENCE, greeted: None };
        }
    }

    /// Takes in a frame.
    pub(super) fn frame(&mut self, text: &str, now: Moment) {
        if !self.link.has_socket() {
            return;
        }
        if text.len() > MESSAGE_BYTES_MAX {
            return self.drop_link(close::TOO_LARGE, Why::BadFrames, now);
        }
        let Ok(frame) = serde_json::from_str::<ToPlugin>(text) else {
            return self.drop_link(close::BAD_FRAME, Why::BadFrames, now);
        };
        match (frame, &mut self.link.stage) {
            (ToPlugin::Hello(hello), Stage::Greeting { greeted: None, .. }) => self.greet(hello, now),
            (ToPlugin::Ready(ready), Stage::Greeting { greeted: Some(_), .. }) => self.ready(ready, now),
            (ToPlugin::Ack(ack), Stage::Ready(session)) => {
                session.acked(ack.n);
                self.jobs.ended.acknowledge(ack.n);
            }
            (ToPlugin::Start(start), Stage::Ready(session)) => {
                let piece_bytes_max = session.piece_bytes_max();
                self.start(&start, piece_bytes_max, now);
            }
            (ToPlugin::Cancel(cancel), Stage::Ready(_)) => self.cancel(&cancel, now),
            (ToPlugin::Credit(credit), Stage::Ready(_)) => self.credit(&credit, now),
            (ToPlugin::Settled(settled), Stage::Ready(_)) => {
                self.jobs.ended.forget(settled.job);
                self.purse.settled(now);
            }
            (ToPlugin::Drain(drain), Stage::Ready(session)) => {
                // Whoever is there when the relay comes back knows nothing of this session.
                self.link.ticket = None;
                session.drain(&drain, &mut self.random, now);
            }
            (ToPlugin::Steer(steer), Stage::Ready(_)) => self.steer(steer, now),
            // A frame out of its turn.
            (
                ToPlugin::Hello(_)
                | ToPlugin::Ready(_)
                | ToPlugin::Ack(_)
                | ToPlugin::Start(_)
                | ToPlugin::Cancel(_)
                | ToPlugin::Credit(_)
                | ToPlugin::Settled(_)
                | ToPlugin::Drain(_)
                | ToPlugin::Steer(_),
                _,
            ) => self.drop_link(close::BAD_FRAME, Why::BadFrames, now),
        }
    }

    /// Takes in who greets, and has the device key sign for it where it takes one.
    fn greet(&mut self, hello: Hello, now: Moment) {
        if hello.version != VERSION {
            if hello.version < VERSION {
                return self.drop_link(close::VERSION, Why::RelayOld, now);
            }
            self.give_session_up(now);
            self.commands.push(Command::CloseSocket(close::VERSION));
            return self.stop(Why::TooOld);
        }
        let plugin = self.identity().map(|identity| identity.plugin);
        let (Some(plugin), Some(nonce)) = (plugin, &hello.nonce) else {
            return self.identify(&hello, None, now);
        };
        let asking = self.sign(Purpose::Link, plugin, nonce);
        self.link.stage = Stage::Signing { asking, until: now + limits::SIGNING_MAX, hello };
    }

    /// Tells the relay who the agent is and what it offers. A key goes with a secret in whose place it is to be.
    fn identify(&mut self, hello: &Hello, proof: Option<Proof>, now: Moment) {
        let Some(identity) = self.identity().cloned() else { return };
        self.link.stage = Stage::Greeting { until: now + PATIENCE, greeted: None };
        if identity.secret.is_none() && proof.is_none() {
            return self.drop_link(close::NOT_IDENTIFIED, Why::KeyUnusable, now);
        }
        let key = proof.as_ref().map(|proof| proof.key.as_str()).filter(|_| identity.secret.is_some());
        let signature = proof.as_ref().map(|proof| proof.signature.as_str());
        let resume_within = limits::resume(hello.resume_ms);
        if resume_within == Span::ZERO {
            self.give_session_up(now);
        }
        let inventory = self.inventory();
        let name = self.name.clone();
        let identify = Identify {
            version: VERSION,
            plugin: identity.plugin,
            secret: identity.secret.as_deref().map(Cow::Borrowed),
            signature: signature.map(Cow::Borrowed),
            key: key.map(Cow::Borrowed),
            agent: Cow::Borrowed(&name),
            gpu: self.gpu.clone(),
            inventory: inventory.clone(),
            resume: self.resumable(hello.frame_bytes_max),
        };
        push(&mut self.commands, &ToRelay::Identify(Box::new(identify)));
        let room = hello.frame_bytes_max.saturating_sub(FRAME_OVERHEAD_BYTES);
        // JSON writes a control character in six bytes.
        let piece_bytes_max = usize::try_from(room / 6).unwrap_or(usize::MAX).max(1);
        let heartbeat = limits::heartbeat(hello.heartbeat_ms);
        let greeted = Greeted { heartbeat, piece_bytes_max, resume_within, inventory };
        self.link.stage = Stage::Greeting { until: now + PATIENCE, greeted: Some(greeted) };
    }

    /// Takes in that jobs can come.
    fn ready(&mut self, mut ready: Ready, now: Moment) {
        let Stage::Greeting { greeted: Some(greeted), .. } = std::mem::take(&mut self.link.stage) else {
            return;
        };
        let Greeted { heartbeat, piece_bytes_max, resume_within, inventory } = greeted;
        let session = Session::begin(heartbeat, piece_bytes_max, inventory, &mut self.random, now);
        self.link.stage = Stage::Ready(session);
        if ready.keyed {
            self.erase_secret();
        }
        let (session, within) = (ready.session, resume_within);
        let token = ready.token.take().filter(|_| within > Span::ZERO);
        self.link.ticket = token.map(|token| Ticket { session, token, within, until: None });
        self.resume(&ready, now);
        self.changed = true;
        self.purse.inquiry.ask_by(now);
        self.prospects.inquiry.ask_by(now + outlook::AFTER_READY);
        self.tell_inventory();
    }

    /// Forgets the secret: the relay takes the device key in its place, and has made sure of that before.
    fn erase_secret(&mut self) {
        let Some(identity) = self.identity.as_mut().filter(|identity| identity.secret.is_some()) else {
            return;
        };
        identity.secret = None;
        self.commands.push(Command::Save(identity.clone()));
    }

    /// Takes in that the relay reads nothing. What waits would only be late.
    pub(super) fn socket_stuck(&mut self, now: Moment) {
        if self.link.has_socket() {
            self.drop_link(STUCK, Why::RelayStuck, now);
        }
    }

    /// Takes in that the socket was closed by the other end, or never opened.
    pub(super) fn socket_closed(&mut self, code: u16, now: Moment) {
        if !self.link.has_socket() {
            return;
        }
        self.note(Entry::Closed(code), now);
        if self.link.ends_session(code) {
            self.give_session_up(now);
        } else {
            self.keep_session(now);
        }
        match code {
            close::UNAUTHORIZED => self.stop(Why::RelayUnauthorized),
            close::VERSION => self.stop(Why::TooOld),
            close::REPLACED => self.stop(Why::Replaced),
            close::REVOKED => self.stop(Why::KeyRevoked),
            close::BAD_FRAME => {
                self.link.bad_frames.retain(|at| now.since(*at) < BAD_FRAMES_WITHIN);
                self.link.bad_frames.push(now);
                if self.link.bad_frames.len() >= BAD_FRAMES_MAX {
                    self.stop(Why::BadFrames);
                } else {
                    self.pause(Why::BadFrames, now);
                }
            }
            close::OVERLOADED | close::RATE_LIMITED => {
                self.pause(Why::Overloaded, now);
            }
            close::DRAINING => self.pause(Why::Draining, now),
            _ => self.pause(Why::RelayUnreachable, now),
        }
    }

    /// Closes the socket from here, and tries again after a pause.
    pub(super) fn drop_link(&mut self, code: u16, why: Why, now: Moment) {
        // A relay that is silent may be back, or believe the same of this agent.
        if matches!(code, HEARTBEAT_LOST | STUCK | close::NOT_IDENTIFIED) {
            self.keep_session(now);
        } else {
            self.give_session_up(now);
        }
        self.commands.push(Command::CloseSocket(code));
        self.pause(why, now);
    }

    /// Waits for a while before the next try.
    fn pause(&mut self, why: Why, now: Moment) {
        let is_waited_for = self.link.ticket.is_some();
        // Not because answers wait: a relay that says `ready` and closes at once would be called without end.
        if let Stage::Ready(session) = &self.link.stage
            && session.has_held(now)
        {
            self.link.tries = Tries::default();
        }
        let pause = self.link.tries.pause(why, is_waited_for, &mut self.random);
        self.link.stage = Stage::Waiting { until: now + pause, why };
        self.changed = true;
    }

    /// Takes in that the network may be another than a moment ago: looks whether the relay is still there,
    /// or tries again soon where it could not be reached. Nothing, when the last news are too fresh.
    pub(super) fn look_at_network(&mut self, now: Moment) {
        let is_of_network = match &self.link.stage {
            Stage::Ready(_) => true,
            Stage::Waiting { why, .. } => {
                matches!(why, Why::RelayUnreachable | Why::HeartbeatLost | Why::RelayStuck)
            }
            Stage::Due
            | Stage::Keying { .. }
            | Stage::Registering { .. }
            | Stage::Opening { .. }
            | Stage::Greeting { .. }
            | Stage::Signing { .. }
            | Stage::Stopped { .. } => false,
        };
        if !is_of_network || !self.link.tries.take_news(now) {
            return;
        }
        if let Stage::Waiting { until, .. } = &mut self.link.stage {
            *until = (*until).min(now + self.random.within(tries::SOON));
        } else {
            self.check_session(now);
        }
    }

    /// Waits for the owner.
    fn stop(&mut self, why: Why) {
        self.link.stage = Stage::Stopped { why };
        self.changed = true;
    }

    /// Leaves the relay in good order, and forgets how the link stood.
    pub(super) fn leave_relay(&mut self, now: Moment) {
        self.abort_jobs(now);
        if self.link.has_socket() {
            self.commands.push(Command::CloseSocket(1000));
        }
        self.link = Link::default();
        self.purse = super::Purse::default();
    }
}
