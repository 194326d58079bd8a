//! What the relay's ledger says was earned, asked for now and then.

use rekursing_protocol::{Moment, Span, earnings::Earnings};

use super::{Agent, Answer, EarningsView, inquiry::Inquiry};

/// How long after a settlement it is asked for, so that many together cause one question.
const AFTER_SETTLEMENT: Span = Span::secs(1);

/// What is known of the earnings.
#[derive(Debug, Default)]
pub(super) struct Purse {
    seen: Option<EarningsView>,
    pub(super) inquiry: Inquiry,
}

impl Purse {
    pub(super) fn seen(&self) -> Option<&EarningsView> {
        self.seen.as_ref()
    }

    /// Asks soon: a job was settled.
    pub(super) fn settled(&mut self, now: Moment) {
        self.inquiry.ask_by(now + AFTER_SETTLEMENT);
    }
}

impl Agent {
    /// Asks when it is due.
    pub(super) fn advance_purse(&mut self, now: Moment) {
        self.inquire("earnings", |agent| &mut agent.purse.inquiry, now);
    }

    /// Takes in the answer.
    pub(super) fn purse_filled(&mut self, answer: Answer<'_>, now: Moment) {
        self.purse.inquiry.answered(now);
        let Answer::Reply { status: 200, body } = answer else { return };
        let Ok(earnings) = serde_json::from_slice::<Earnings>(body) else { return };
        let seen = EarningsView {
            today: earnings.today,
            total: earnings.total,
            available: earnings.available,
            held: earnings.held,
            held_until: earnings.releases.last().map(|release| release.at),
            jobs: earnings.jobs,
        };
        self.changed |= self.purse.seen.as_ref() != Some(&seen);
        self.purse.seen = Some(seen);
    }
}
