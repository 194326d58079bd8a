//! How much is done at most.

use rekursing_protocol::Moment;
use serde::{Deserialize, Serialize};

use super::{Closed, Tally, Zone};
use crate::{
    agent::Why,
    said::{Blank, Said},
};

/// How much is done at most; `None` is no limit of the owner's own. Tokens are those of prompts
/// and answers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Allowance {
    /// Tokens in any sixty minutes.
    pub hour_tokens: Option<u64>,
    /// Tokens from one local midnight to the next.
    pub day_tokens: Option<u64>,
    /// Tokens of one answer. Longer ones end there, with the reason `length`.
    pub answer_tokens: Option<u32>,
    /// Tokens of prompt and answer together that a model is offered with.
    pub context_tokens: Option<u32>,
    /// Bytes to and from the relay from one local month's begin to the next.
    pub month_bytes: Option<u64>,
}

impl Allowance {
    /// Tells whether tokens have to be counted.
    pub fn counts(&self) -> bool {
        self.hour_tokens.is_some() || self.day_tokens.is_some()
    }

    /// Tells why no new jobs are taken, when the tokens of an hour or of the day are spent.
    /// `running` is what the jobs that have not ended have come to.
    pub fn closed(&self, tally: &Tally, running: u64, zone: Zone, now: Moment) -> Option<Closed> {
        self.month_spent(tally, zone, now)
            .or_else(|| self.day_spent(tally, running, zone, now))
            .or_else(|| self.hour_spent(tally, running, zone, now))
    }

    /// Returns the tokens that the limits leave; `None` without a limit. `running` is what the jobs that have not
    /// ended have come to.
    pub fn left(&self, tally: &Tally, running: u64, zone: Zone, now: Moment) -> Option<u64> {
        let hour = self.hour_tokens.map(|most| most.saturating_sub(tally.hour(now)));
        let day = self.day_tokens.map(|most| most.saturating_sub(tally.day(zone, now)));
        let left = [hour, day].into_iter().flatten().min()?;
        Some(left.saturating_sub(running))
    }

    fn month_spent(&self, tally: &Tally, zone: Zone, now: Moment) -> Option<Closed> {
        let most = self.month_bytes?;
        if tally.month(zone, now) < most {
            return None;
        }
        let most = gigabytes(most);
        let text = format!("This month's limit of data ({most} GB) is reached. Jobs come again next month.");
        let said = Said::new("why_month_spent_of", [Blank::Text(most)], text);
        Some(Closed::new(Why::MonthSpent, said, Some(zone.month_after(now))))
    }

    fn day_spent(&self, tally: &Tally, running: u64, zone: Zone, now: Moment) -> Option<Closed> {
        let most = self.day_tokens?;
        if tally.day(zone, now).saturating_add(running) < most {
            return None;
        }
        let text = format!("Today's limit of tokens ({most}) is reached. Jobs come again at midnight.");
        let said = Said::new("why_day_spent_of", [Blank::Number(most)], text);
        Some(Closed::new(Why::DaySpent, said, Some(zone.midnight_after(now))))
    }

    fn hour_spent(&self, tally: &Tally, running: u64, zone: Zone, now: Moment) -> Option<Closed> {
        let most = self.hour_tokens?;
        if tally.hour(now).saturating_add(running) < most {
            return None;
        }
        let until = tally.below_at(most.saturating_sub(running), now);
        let reached = format!("The limit of tokens per hour ({most}) is reached.");
        let said = match until {
            None => Said::new("why_hour_spent_of", [Blank::Number(most)], reached),
            Some(at) => {
                let text = format!("{reached} Jobs come again at {}.", zone.clock(at));
                Said::new("why_hour_spent_until", [Blank::Number(most), Blank::At(at)], text)
            }
        };
        Some(Closed::new(Why::HourSpent, said, until))
    }
}

/// Writes bytes as gigabytes, without a zero at the end.
pub fn gigabytes(bytes: u64) -> String {
    let text = format!("{}.{:09}", bytes / 1_000_000_000, bytes % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-02 12:00 UTC.
    const NOON: Moment = Moment(1_772_452_800_000);
    const MINUTE: u64 = 60_000;

    #[test]
    fn jobs_wait_until_enough_of_the_hour_has_passed() {
        let zone = Zone::default();
        let most = Allowance { hour_tokens: Some(100), ..Allowance::default() };
        let mut tally = Tally::default();
        tally.count(60, zone, NOON);
        tally.count(39, zone, Moment(NOON.0 + 10 * MINUTE));
        let at = Moment(NOON.0 + 10 * MINUTE);
        assert_eq!(most.closed(&tally, 0, zone, at), None);
        // A job that runs counts as far as it has come.
        let closed = most.closed(&tally, 1, zone, at).unwrap();
        closed.reason.reads_as_its_message();
        assert_eq!(closed.reason.code, Why::HourSpent);
        assert_eq!(closed.until, Some(Moment(NOON.0 + 60 * MINUTE)));
        assert_eq!(
            closed.reason.text,
            "The limit of tokens per hour (100) is reached. Jobs come again at 13:00."
        );
        assert_eq!(most.closed(&tally, 1, zone, Moment(NOON.0 + 60 * MINUTE)), None);
    }

    #[test]
    fn a_day_is_a_local_one() {
        let zone = Zone::ahead(60);
        let most = Allowance { day_tokens: Some(50), ..Allowance::default() };
        let mut tally = Tally::default();
        tally.count(50, zone, NOON);
        let closed = most.closed(&tally, 0, zone, NOON).unwrap();
        assert_eq!(
            (closed.reason.code, closed.until),
            (Why::DaySpent, Some(Moment(NOON.0 + 11 * 60 * MINUTE)))
        );
        closed.reason.reads_as_its_message();
        assert_eq!(most.closed(&tally, 0, zone, closed.until.unwrap()), None);
    }

    #[test]
    fn a_month_of_data_is_a_local_one_too() {
        let zone = Zone::ahead(60);
        let most = Allowance { month_bytes: Some(1_500_000_000), ..Allowance::default() };
        let mut tally = Tally::default();
        tally.carry(1_499_999_999, zone, NOON);
        assert_eq!(most.closed(&tally, 9, zone, NOON), None, "tokens that run are no bytes");
        tally.carry(1, zone, NOON);
        let closed = most.closed(&tally, 0, zone, NOON).unwrap();
        closed.reason.reads_as_its_message();
        // 2026-03-31 23:00 UTC.
        assert_eq!((closed.reason.code, closed.until), (Why::MonthSpent, Some(Moment(1_774_998_000_000))));
        assert_eq!(
            closed.reason.text,
            "This month's limit of data (1.5 GB) is reached. Jobs come again next month."
        );
        assert_eq!(most.closed(&tally, 0, zone, Moment(1_774_998_000_000)), None);
    }

    #[test]
    fn nothing_at_all_is_a_limit_too() {
        let none = Allowance { hour_tokens: Some(0), ..Allowance::default() };
        let closed = none.closed(&Tally::default(), 0, Zone::default(), NOON).unwrap();
        closed.reason.reads_as_its_message();
        assert_eq!((closed.reason.code, closed.until), (Why::HourSpent, None));
    }
}
