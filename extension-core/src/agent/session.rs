//! The session while it stands: heartbeats and their answers, what the relay was told last, and when to
//! leave one that drains.

use rekursing_protocol::{
    Moment, Span, ToRelay,
    frame::{Drain, Heartbeat, Inventory},
};

use super::{
    Agent, Why,
    link::{HEARTBEAT_LOST, Stage},
    random::Random,
};

/// How long a session must have held for the next pause to be short again.
const STABLE: Span = Span::secs(60);

/// How long the relay may take to answer when there is a reason to believe that it is gone.
const ANSWER_SOON: Span = Span::secs(5);

/// A session in which jobs can come.
#[derive(Debug)]
pub(super) struct Session {
    since: Moment,
    heartbeat: Span,
    next_beat: Moment,
    beats: u64,
    acked: u64,
    /// When the last heartbeat must have been answered.
    answer_by: Moment,
    piece_bytes_max: usize,
    /// What the relay was told last.
    inventory: Inventory,
    /// When to leave if idle, and at the latest.
    leave: Option<(Moment, Moment)>,
}

impl Session {
    /// Begins one whose relay was told this inventory. The first heartbeat comes at random within the first
    /// interval, so that those of plugins that came together do not.
    pub(super) fn begin(
        heartbeat: Span,
        piece_bytes_max: usize,
        inventory: Inventory,
        random: &mut Random,
        now: Moment,
    ) -> Session {
        let next_beat = now + random.within(heartbeat);
        Session {
            since: now,
            heartbeat,
            next_beat,
            beats: 0,
            acked: 0,
            answer_by: now,
            piece_bytes_max,
            inventory,
            leave: None,
        }
    }

    /// Returns how many heartbeats were sent.
    pub(super) fn beats(&self) -> u64 {
        self.beats
    }

    /// Returns the most bytes of a piece.
    pub(super) fn piece_bytes_max(&self) -> usize {
        self.piece_bytes_max
    }

    /// Takes in that the relay has heard this heartbeat.
    pub(super) fn acked(&mut self, beat: u64) {
        self.acked = self.acked.max(beat);
    }

    /// Takes in that the relay drains: it is left at a random moment once idle, and before it cuts.
    pub(super) fn drain(&mut self, drain: &Drain, random: &mut Random, now: Moment) {
        let latest = now + Span::millis(drain.deadline_ms.into());
        let after = random.within(Span::millis(drain.spread_ms.into()));
        self.leave = Some(((now + after).min(latest), latest));
    }

    /// Tells whether it has held for so long that its end is nobody's failure.
    pub(super) fn has_held(&self, now: Moment) -> bool {
        now.since(self.since) >= STABLE
    }

    /// Returns when something is due, with jobs or without.
    pub(super) fn wake_at(&self, idle: bool) -> Moment {
        let leave = self.leave.map(|(at, latest)| if idle { at } else { latest });
        let answer = self.is_waiting().then_some(self.answer_by);
        [leave, answer].into_iter().flatten().fold(self.next_beat, Moment::min)
    }

    fn is_waiting(&self) -> bool {
        self.acked < self.beats
    }

    /// Counts a heartbeat that is sent now, and returns its number.
    fn beat(&mut self, now: Moment) -> u64 {
        self.beats += 1;
        self.next_beat = now + self.heartbeat;
        self.answer_by = self.next_beat;
        self.beats
    }
}

impl Agent {
    /// Does what is due in the session.
    pub(super) fn advance_session(&mut self, now: Moment) {
        let Stage::Ready(session) = &self.link.stage else { return };
        let idle = self.jobs.is_empty();
        if session.leave.is_some_and(|(at, latest)| now >= latest || idle && now >= at) {
            self.drop_link(1000, Why::Draining, now);
        } else if session.is_waiting() && now >= session.answer_by {
            self.drop_link(HEARTBEAT_LOST, Why::HeartbeatLost, now);
        } else if now >= session.next_beat {
            self.beat(now);
        }
    }

    /// Looks whether the relay is still there: its answer to a heartbeat is due soon.
    pub(super) fn check_session(&mut self, now: Moment) {
        let Stage::Ready(session) = &self.link.stage else { return };
        if !session.is_waiting() {
            self.beat(now);
        }
        if let Stage::Ready(session) = &mut self.link.stage {
            session.answer_by = now + ANSWER_SOON;
        }
    }

    fn beat(&mut self, now: Moment) {
        let Stage::Ready(session) = &mut self.link.stage else { return };
        let n = session.beat(now);
        let heartbeat = Heartbeat {
            n,
            jobs: u16::try_from(self.jobs.len()).unwrap_or(u16::MAX),
            queue: self.queue(),
            models: self.records.take_report(),
        };
        self.send(&ToRelay::Heartbeat(heartbeat));
    }

    /// Tells the relay what is offered, if that is news.
    pub(super) fn tell_inventory(&mut self) {
        let inventory = self.inventory();
        let Stage::Ready(session) = &mut self.link.stage else { return };
        if session.inventory != inventory {
            session.inventory = inventory.clone();
            self.send(&ToRelay::Inventory(inventory));
        }
    }
}
