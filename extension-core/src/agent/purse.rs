//! What the relay's ledger says was earned, asked for now and then.

use rekursing_protocol::{
    Day, Moment, Nanos, Span,
    earnings::{DayEarnings, Earnings},
};

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
            week: earnings.last7_days,
            days: week(&earnings.days, now),
            total: earnings.total,
            available: earnings.available,
            held: earnings.held,
            held_until: earnings.releases.last().map(|release| release.at),
            paid: earnings.paid,
            payouts_held_until: earnings.payouts_held_until,
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
