//! Pause: no new jobs, until a moment or until the owner says.

pub use rekursing_protocol::frame::Rest;
use rekursing_protocol::{Moment, Span};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::{Closed, Zone};
use crate::{
    agent::Why,
    said::{Blank, Said},
};

/// Whether no new jobs are taken, and until when.
///
/// In JSON it is `false`, `true` or `{"until": MILLISECONDS}`; anything else reads as `false`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pause {
    /// Jobs are taken.
    #[default]
    Off,
    /// None until the owner says so.
    On,
    /// None until then.
    Until(Moment),
}

impl Pause {
    /// Returns the pause that an owner asks for at `now`.
    pub fn asked(rest: Rest, zone: Zone, now: Moment) -> Pause {
        match rest {
            Rest::None => Pause::Off,
            Rest::Hour => Pause::Until(now + Span::secs(3_600)),
            Rest::Tomorrow => Pause::Until(zone.midnight_after(now)),
            Rest::Said => Pause::On,
        }
    }

    /// Tells why no new jobs are taken, if the pause still holds.
    pub fn closed(self, zone: Zone, now: Moment) -> Option<Closed> {
        match self {
            Pause::Until(until) if now < until => {
                let day = if zone.day(until) == zone.day(now) { "" } else { " tomorrow" };
                let text = format!("No new jobs are taken until {}{day}.", zone.clock(until));
                let said = Said::new("why_paused_until", [Blank::At(until)], text);
                Some(Closed::new(Why::Paused, said, Some(until)))
            }
            Pause::Off | Pause::Until(_) => None,
            Pause::On => Some(Closed::plain(Why::Paused, None)),
        }
    }
}

impl Serialize for Pause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = match self {
            Pause::Off => json!(false),
            Pause::On => json!(true),
            Pause::Until(until) => json!({"until": until}),
        };
        value.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Pause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pause, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let until = value["until"].as_u64().map(|until| Pause::Until(Moment(until)));
        Ok(until.unwrap_or(if value == json!(true) { Pause::On } else { Pause::Off }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-01 22:30 UTC.
    const NOW: Moment = Moment(1_772_404_200_000);

    #[test]
    fn a_pause_ends_by_itself_when_it_was_asked_for_a_time() {
        let zone = Zone::ahead(60);
        for (rest, millis, sentence) in [
            (Rest::Hour, 3_600_000, "No new jobs are taken until 00:30 tomorrow."),
            (Rest::Tomorrow, 1_800_000, "No new jobs are taken until 00:00 tomorrow."),
        ] {
            let pause = Pause::asked(rest, zone, NOW);
            let closed = pause.closed(zone, Moment(NOW.0 + millis - 1)).unwrap();
            assert_eq!(closed.until, Some(Moment(NOW.0 + millis)));
            closed.reason.reads_as_its_message();
            assert_eq!(pause.closed(zone, NOW).unwrap().reason.text, sentence);
            assert_eq!(pause.closed(zone, Moment(NOW.0 + millis)), None);
        }
        let said = Pause::asked(Rest::Said, zone, NOW);
        assert_eq!(said.closed(zone, Moment(u64::MAX)).unwrap().until, None);
        assert_eq!(Pause::asked(Rest::None, zone, NOW).closed(zone, NOW), None);
    }

    #[test]
    fn what_was_kept_before_a_pause_could_end_is_still_read() {
        for (json, pause) in [
            ("true", Pause::On),
            ("false", Pause::Off),
            (r#"{"until":5}"#, Pause::Until(Moment(5))),
            ("null", Pause::Off),
            (r#""no""#, Pause::Off),
            (r#"{"until":"never"}"#, Pause::Off),
        ] {
            assert_eq!(serde_json::from_str::<Pause>(json).unwrap(), pause, "{json}");
        }
        for pause in [Pause::On, Pause::Off, Pause::Until(Moment(5))] {
            let json = serde_json::to_string(&pause).unwrap();
            assert_eq!(serde_json::from_str::<Pause>(&json).unwrap(), pause);
        }
    }
}
