//! What the relay's ledger says was earned, asked for now and then.

use rekursing_protocol::{
    Day, Moment, Nanos, Span,
    earnings::{DayEarnings, Earnings},
};

use super::{Agent, Answer, Ask, AskId, Command, EarningsView};

/// How often it is asked for when nothing happens.
const EVERY: Span = Span::secs(60);

/// How long after a settlement it is asked for, so that many together cause one question.
const AFTER_SETTLEMENT: Span = Span::secs(1);

/// What is known of the earnings.
#[derive(Debug, Default)]
pub(super) struct Purse {
    seen: Option<EarningsView>,
    asking: Option<AskId>,
    next: Option<Moment>,
}

impl Purse {
    pub(super) fn awaits(&self, id: AskId) -> bool {
        self.asking == Some(id)
    }

    pub(super) fn seen(&self) -> Option<&EarningsView> {
        self.seen.as_ref()
    }

    /// Asks at the latest then.
    pub(super) fn ask_by(&mut self, at: Moment) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// Asks soon: a job was settled.
    pub(super) fn settled(&mut self, now: Moment) {
        self.ask_by(now + AFTER_SETTLEMENT);
    }

    pub(super) fn wake_at(&self) -> Option<Moment> {
        if self.asking.is_some() { None } else { self.next }
    }
}

impl Agent {
    /// Asks when it is due.
    pub(super) fn advance_purse(&mut self, now: Moment) {
        if !self.link.is_ready() || self.purse.wake_at().is_none_or(|at| now < at) {
            return;
        }
        let (Some(relay), Some(identity)) = (&self.relay, self.identity()) else { return };
        let url = format!("{}/api/plugin/earnings/{}", relay.http(), identity.plugin);
        let bearer = Some(identity.secret.clone());
        let id = AskId(self.fresh_id());
        (self.purse.asking, self.purse.next) = (Some(id), None);
        self.commands.push(Command::Ask(Ask {
            id,
            url,
            bearer,
            body: None,
            timeout: Span::secs(10),
            answer_bytes_max: 256 << 10,
        }));
    }

    /// Takes in the answer.
    pub(super) fn purse_filled(&mut self, answer: Answer<'_>, now: Moment) {
        self.purse.asking = None;
        self.purse.ask_by(now + EVERY);
        let Answer::Reply { status: 200, body } = answer else { return };
        let Ok(earnings) = serde_json::from_slice::<Earnings>(body) else { return };
        let seen = EarningsView {
            today: earnings.today,
            week: earnings.last7_days,
            days: week(&earnings.days, now),
            total: earnings.total,
            available: earnings.available,
            held: earnings.held,
            held_until: earnings.releases.last().map(|release| release.at),
            paid: earnings.paid,
            jobs: earnings.jobs,
        };
        self.changed |= self.purse.seen.as_ref() != Some(&seen);
        self.purse.seen = Some(seen);
    }
}

/// Returns what each of the seven days up to `now` earned.
fn week(days: &[DayEarnings], now: Moment) -> [Nanos; 7] {
    let today = now.0 / Span::DAY.0;
    let mut week = [Nanos::ZERO; 7];
    for (at, slot) in (0..).zip(week.iter_mut().rev()) {
        let day = today.checked_sub(at).map(Day);
        *slot = days.iter().find(|row| Some(row.day) == day).map_or(Nanos::ZERO, |row| row.earned);
    }
    week
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_has_seven_days_also_where_nothing_was_earned() {
        let row = |day, earned| DayEarnings {
            day: Day(day),
            jobs: 1,
            prompt_tokens: 1,
            answer_tokens: 1,
            earned: Nanos::new(earned),
        };
        let now = Moment(Span::DAY.0 * 100 + 5);
        let rows = [row(93, 9), row(94, 1), row(99, 6), row(100, 7)];
        assert_eq!(week(&rows, now), [1, 0, 0, 0, 0, 6, 7].map(Nanos::new));
        assert_eq!(week(&rows, Moment(0)), [Nanos::ZERO; 7]);
    }
}
