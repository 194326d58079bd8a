//! When jobs are taken: only while the computer is idle, only in set hours, only on mains power,
//! only while the owner does not use the model server.

use rekursing_protocol::{Moment, Span};
use serde::{Deserialize, Serialize};

use super::{Closed, Week, Zone};
use crate::{
    agent::Why,
    said::{Blank, Said},
};

/// How long after the owner's own last request at the model server jobs stay away: whoever talks
/// to a model reads its answer before asking again.
pub const OWN_USE_REST: Span = Span::secs(60);

/// When jobs are taken. Without any rule, always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct When {
    /// Only after so many minutes without a key or a mouse.
    pub idle_minutes: Option<u16>,
    /// Only in these hours.
    pub hours: Option<Week>,
    /// Not on battery.
    pub mains_only: bool,
    /// Not while the model server works for somebody else.
    pub own_use_first: bool,
    /// Running jobs are given back as soon as one of these rules holds; else they finish.
    pub give_back: bool,
}

/// What the shell sees around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// Local time.
    pub zone: Zone,
    /// Keyboard and mouse.
    pub input: Input,
    /// Whether the computer runs on its battery.
    pub on_battery: bool,
    /// When the model server was last seen at work for somebody else.
    pub own_use: Option<Moment>,
}

/// Whether anybody uses keyboard and mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Input {
    /// Somebody does, or it is not known.
    #[default]
    Used,
    /// Nobody has since then.
    Idle(Moment),
}

impl When {
    /// Tells why no new jobs are taken at `now`, if a rule keeps them away.
    pub fn closed(&self, around: &Surroundings, now: Moment) -> Option<Closed> {
        self.out_of_hours(around, now)
            .or_else(|| self.on_battery(around))
            .or_else(|| self.in_use(around, now))
            .or_else(|| self.serving_owner(around, now))
    }

    /// Returns when the answer may become another one with nothing else happening.
    pub fn changes_at(&self, around: &Surroundings, now: Moment) -> Option<Moment> {
        let hours = self.hours.and_then(|week| week.changes_at(around.zone, now));
        let idle = self.idle_at(around);
        let rest = around.own_use.filter(|_| self.own_use_first).map(|at| at + OWN_USE_REST);
        [hours, idle, rest].into_iter().flatten().filter(|at| *at > now).min()
    }

    fn out_of_hours(&self, around: &Surroundings, now: Moment) -> Option<Closed> {
        let week = self.hours.filter(|week| !week.is_open(around.zone, now))?;
        let until = week.changes_at(around.zone, now);
        let Some(at) = until else { return Some(Closed::plain(Why::OutOfHours, None)) };
        let day = match around.zone.day(at).saturating_sub(around.zone.day(now)) {
            0 => String::new(),
            1 => " tomorrow".to_owned(),
            days => format!(" in {days} days"),
        };
        let text = format!("Outside your schedule. Jobs come again at {}{day}.", around.zone.clock(at));
        let said = Said::new("why_out_of_hours_until", [Blank::At(at)], text);
        Some(Closed::new(Why::OutOfHours, said, until))
    }

    fn on_battery(&self, around: &Surroundings) -> Option<Closed> {
        (self.mains_only && around.on_battery).then(|| Closed::plain(Why::OnBattery, None))
    }

    fn in_use(&self, around: &Surroundings, now: Moment) -> Option<Closed> {
        let minutes = self.idle_minutes?;
        let until = self.idle_at(around);
        if until.is_some_and(|until| until <= now) {
            return None;
        }
        let unit = if minutes == 1 { "minute" } else { "minutes" };
        let text = format!("Waiting until the computer is idle for {minutes} {unit}.");
        let said = Said::new("why_in_use_for", [Blank::Count(minutes.into())], text);
        Some(Closed::new(Why::InUse, said, until))
    }

    fn serving_owner(&self, around: &Surroundings, now: Moment) -> Option<Closed> {
        let until = around.own_use.filter(|_| self.own_use_first)? + OWN_USE_REST;
        (now < until).then(|| Closed::plain(Why::OwnUse, Some(until)))
    }

    /// Returns since when, or from when on, the computer has been idle for long enough.
    fn idle_at(&self, around: &Surroundings) -> Option<Moment> {
        match around.input {
            Input::Used => None,
            Input::Idle(since) => Some(since + Span::secs(u64::from(self.idle_minutes?) * 60)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Hours;

    /// 2026-03-02 12:00 UTC, a Monday.
    const NOON: Moment = Moment(1_772_452_800_000);

    fn around() -> Surroundings {
        Surroundings::default()
    }

    fn code(closed: Option<Closed>) -> Option<(Why, Option<Moment>)> {
        closed.map(|closed| (closed.reason.code, closed.until))
    }

    #[test]
    fn without_a_rule_jobs_are_always_taken() {
        let busy = Surroundings { on_battery: true, own_use: Some(NOON), ..around() };
        assert_eq!(When::default().closed(&busy, NOON), None);
        assert_eq!(When::default().changes_at(&busy, NOON), None);
    }

    #[test]
    fn each_rule_keeps_jobs_away_for_its_own_reason() {
        let idle = When { idle_minutes: Some(10), ..When::default() };
        let battery = When { mains_only: true, ..When::default() };
        let own = When { own_use_first: true, ..When::default() };
        let nights = Week([Some(Hours { from: 22 * 60, to: 6 * 60 }); 7]);
        let hours = When { hours: Some(nights), ..When::default() };
        let ago = |secs| NOON - Span::secs(secs);
        let later = |secs| NOON + Span::secs(secs);
        let seen = |input| Surroundings { input, ..around() };
        let served = |at| Surroundings { own_use: Some(at), ..around() };
        for (rule, scene, expected) in [
            (idle, around(), Some((Why::InUse, None))),
            (idle, seen(Input::Idle(ago(599))), Some((Why::InUse, Some(later(1))))),
            (idle, seen(Input::Idle(ago(600))), None),
            (battery, around(), None),
            (battery, Surroundings { on_battery: true, ..around() }, Some((Why::OnBattery, None))),
            (own, around(), None),
            (own, served(ago(59)), Some((Why::OwnUse, Some(later(1))))),
            (own, served(ago(60)), None),
            (hours, around(), Some((Why::OutOfHours, Some(later(36_000))))),
            (hours, Surroundings { zone: Zone::ahead(11 * 60), ..around() }, None),
        ] {
            assert_eq!(code(rule.closed(&scene, NOON)), expected, "{rule:?} {scene:?}");
        }
    }

    #[test]
    fn the_sentence_says_what_is_waited_for() {
        let text = |rule: When| {
            let reason = rule.closed(&around(), NOON).unwrap().reason;
            reason.reads_as_its_message();
            reason.text
        };
        let idle = |minutes| When { idle_minutes: Some(minutes), ..When::default() };
        assert_eq!(text(idle(10)), "Waiting until the computer is idle for 10 minutes.");
        assert_eq!(text(idle(1)), "Waiting until the computer is idle for 1 minute.");
        let mut week = Week([None; 7]);
        let rule = |week| When { hours: Some(week), ..When::default() };
        assert_eq!(text(rule(week)), "Your schedule has no hours. Set some in the settings.");
        for (day, sentence) in [
            (0, "Outside your schedule. Jobs come again at 22:00."),
            (1, "Outside your schedule. Jobs come again at 22:00 tomorrow."),
            (3, "Outside your schedule. Jobs come again at 22:00 in 3 days."),
        ] {
            week = Week([None; 7]);
            week.0[day] = Some(Hours { from: 22 * 60, to: 6 * 60 });
            assert_eq!(text(rule(week)), sentence);
        }
    }

    #[test]
    fn the_next_change_is_the_earliest_of_all_rules() {
        let nights = Week([Some(Hours { from: 22 * 60, to: 6 * 60 }); 7]);
        let rules =
            When { idle_minutes: Some(1), hours: Some(nights), own_use_first: true, ..When::default() };
        let later = |secs| Some(NOON + Span::secs(secs));
        assert_eq!(rules.changes_at(&around(), NOON), later(36_000));
        let scene = Surroundings { own_use: Some(NOON), ..around() };
        assert_eq!(rules.changes_at(&scene, NOON), later(60));
        let scene = Surroundings { input: Input::Idle(NOON - Span::secs(20)), ..scene };
        assert_eq!(rules.changes_at(&scene, NOON), later(40));
    }
}
