//! Inquiries: what the relay's HTTP routes are asked about the plugin itself, now and then.

use rekursing_protocol::{Moment, Span};

use super::{Agent, Ask, AskId, Command, pass::Bearer};

/// How often something is asked for when nothing happens.
pub(super) const EVERY: Span = Span::secs(60);

/// Something that is asked for again and again, one question at a time.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    asking: Option<AskId>,
    next: Option<Moment>,
}

impl Inquiry {
    pub(super) fn awaits(&self, id: AskId) -> bool {
        self.asking == Some(id)
    }

    /// Asks at the latest then.
    pub(super) fn ask_by(&mut self, at: Moment) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    pub(super) fn wake_at(&self) -> Option<Moment> {
        if self.asking.is_some() { None } else { self.next }
    }

    /// Notes that the question was answered, or never will be.
    pub(super) fn answered(&mut self, now: Moment) {
        self.asking = None;
        self.ask_by(now + EVERY);
    }
}

impl Agent {
    /// Asks for what the relay has of this plugin under `/api/plugin/{route}/…`, when that is due.
    pub(super) fn inquire(&mut self, route: &str, of: fn(&mut Agent) -> &mut Inquiry, now: Moment) {
        if !self.link.is_ready() || self.passes.is_busy() || of(self).wake_at().is_none_or(|at| now < at) {
            return;
        }
        let (Some(relay), Some(identity)) = (&self.relay, self.identity()) else { return };
        let url = format!("{}/api/plugin/{route}/{}", relay.http(), identity.plugin);
        // It is asked for again when the pass is there.
        let Bearer::Ready(bearer) = self.bearer(now) else { return };
        let bearer = Some(bearer);
        let id = AskId(self.fresh_id());
        *of(self) = Inquiry { asking: Some(id), next: None };
        self.commands.push(Command::Ask(Ask {
            id,
            url,
            bearer,
            body: None,
            timeout: Span::secs(10),
            answer_bytes_max: 256 << 10,
        }));
    }
}
