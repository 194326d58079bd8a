//! When jobs are taken, as the form has it.

use serde::{Deserialize, Serialize};

use super::form::{Errors, note};
use crate::{
    choices::{Hours, Week, When},
    said::{Blank, Said},
};

/// Longest time without a key or a mouse that can be waited for, in minutes.
const IDLE_MINUTES_MAX: u16 = 1_440;

/// When jobs are taken, as texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WhenForm {
    /// Only while the computer is idle.
    pub idle: bool,
    /// After how many minutes.
    pub idle_minutes: String,
    /// Only in the hours below.
    pub hours: bool,
    /// The hours of each weekday, Monday first.
    pub days: Vec<DayForm>,
    /// Not on battery.
    pub mains_only: bool,
    /// Not while the model server works for somebody else.
    pub own_use_first: bool,
    /// Running jobs are given back.
    pub give_back: bool,
}

/// The hours of one weekday.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DayForm {
    /// Whether jobs are taken on this day.
    pub on: bool,
    /// From when, as `22:00`.
    pub from: String,
    /// Until when, as `06:00`.
    pub to: String,
}

impl Default for WhenForm {
    fn default() -> WhenForm {
        WhenForm {
            idle: false,
            idle_minutes: "10".to_owned(),
            hours: false,
            days: vec![DayForm::default(); 7],
            mains_only: false,
            own_use_first: false,
            give_back: false,
        }
    }
}

impl Default for DayForm {
    fn default() -> DayForm {
        DayForm { on: false, from: "22:00".to_owned(), to: "06:00".to_owned() }
    }
}

impl WhenForm {
    pub(super) fn show(when: &When) -> WhenForm {
        let week = when.hours.map_or([None; 7], |week| week.0);
        let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
        let day = |hours: Option<Hours>| match hours {
            Some(hours) => DayForm { on: true, from: clock(hours.from), to: clock(hours.to) },
            None => DayForm::default(),
        };
        let usual = WhenForm::default();
        WhenForm {
            idle: when.idle_minutes.is_some(),
            idle_minutes: when.idle_minutes.map_or(usual.idle_minutes, |minutes| minutes.to_string()),
            hours: when.hours.is_some(),
            days: week.map(day).to_vec(),
            mains_only: when.mains_only,
            own_use_first: when.own_use_first,
            give_back: when.give_back,
        }
    }

    pub(super) fn read(&self, errors: &mut Errors) -> When {
        let minutes = self.idle.then(|| note(errors, "idle", self.minutes())).flatten();
        When {
            idle_minutes: minutes,
            hours: if self.hours { self.week(errors) } else { None },
            mains_only: self.mains_only,
            own_use_first: self.own_use_first,
            give_back: self.give_back,
        }
    }

    fn minutes(&self) -> Result<u16, Said> {
        let minutes = self.idle_minutes.trim().parse().ok();
        minutes.filter(|minutes| (1..=IDLE_MINUTES_MAX).contains(minutes)).ok_or_else(|| {
            let text = format!("Write a whole number of minutes from 1 to {IDLE_MINUTES_MAX}.");
            Said::new("form_minutes", [Blank::Number(IDLE_MINUTES_MAX.into())], text)
        })
    }

    fn week(&self, errors: &mut Errors) -> Option<Week> {
        let mut week = [None; 7];
        for (at, (day, hours)) in self.days.iter().zip(&mut week).enumerate().filter(|(_, (day, _))| day.on) {
            *hours = note(errors, &format!("day:{at}"), day.read());
        }
        if !self.days.iter().any(|day| day.on) {
            errors.insert("hours".to_owned(), Said::plain("form_no_day", "Choose at least one day."));
        }
        Some(Week(week))
    }
}

impl DayForm {
    fn read(&self) -> Result<Hours, Said> {
        let said = || Said::plain("form_times", "Write both times as hours and minutes, such as 22:00.");
        let (from, to) = clock(&self.from).zip(clock(&self.to)).ok_or_else(said)?;
        Ok(Hours { from, to })
    }
}

/// Reads `22:05` as minutes since midnight.
fn clock(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let number = |text: &str, below: u16| text.parse().ok().filter(|number: &u16| *number < below);
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}
