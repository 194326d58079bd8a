//! What the agent has been through lately, for an owner who asks for help: times, codes and models,
//! never a word of a prompt or an answer, no secret and no address.

use std::collections::VecDeque;

use rekursing_protocol::{FailCode, Moment, date::Day};

use super::{Agent, Phase, Why};

/// Most entries; older ones are forgotten.
const ENTRIES_MAX: usize = 300;

/// What the agent has been through.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: VecDeque<(Moment, Entry)>,
    /// What was said last of how the agent stands, so that only news are said.
    said: Option<Standing>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// How the agent stands has changed.
    Standing(Standing),
    /// The relay closed the socket.
    Closed(u16),
    /// A job began.
    Began { model: String },
    /// A job ended well, after so many pieces.
    Done { model: String, pieces: u64 },
    /// A job failed.
    Failed { model: String, code: FailCode },
}

/// How the agent stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    phase: Phase,
    link: Option<Why>,
    choice: Option<Why>,
    server: Option<Why>,
    models: usize,
}

impl Agent {
    /// Notes what happened.
    pub(super) fn note(&mut self, entry: Entry, now: Moment) {
        let entries = &mut self.journal.entries;
        if entries.len() == ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back((self.gate.wall(now), entry));
    }

    /// Notes how the agent stands, if that is news.
    pub(super) fn note_standing(&mut self, now: Moment) {
        let standing = Standing {
            phase: if self.config.consent { self.link.phase() } else { Phase::Off },
            link: self.link.reason(),
            choice: self.gate.closed().map(|closed| closed.reason.code),
            server: self.watch.reason(),
            models: self.watch.offers().len(),
        };
        if self.journal.said.as_ref() != Some(&standing) {
            self.journal.said = Some(standing.clone());
            self.note(Entry::Standing(standing), now);
        }
    }

    /// Writes what the agent has been through, a line for each thing, oldest first.
    pub fn journal(&self) -> String {
        self.journal.entries.iter().map(|(at, entry)| format!("{} {}\n", written(*at), line(entry))).collect()
    }
}

fn line(entry: &Entry) -> String {
    match entry {
        Entry::Standing(standing) => {
            let why = |of: &str, why: Option<Why>| why.map(|why| format!(" {of}={}", code(&why)));
            let reasons =
                [why("link", standing.link), why("choice", standing.choice), why("server", standing.server)];
            let reasons: String = reasons.into_iter().flatten().collect();
            format!("{} models={}{reasons}", code(&standing.phase), standing.models)
        }
        Entry::Closed(code) => format!("closed code={code}"),
        Entry::Began { model } => format!("job began model={model}"),
        Entry::Done { model, pieces } => format!("job done model={model} pieces={pieces}"),
        Entry::Failed { model, code: why } => format!("job failed model={model} code={}", code(why)),
    }
}

/// Returns the code by which a value goes in JSON.
fn code(value: &impl serde::Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
}

/// Writes a moment as `2026-03-01 22:05:09 UTC`.
fn written(at: Moment) -> String {
    let second = at.0 / 1_000 % 86_400;
    format!("{} {:02}:{:02}:{:02} UTC", Day(at.day()), second / 3_600, second / 60 % 60, second % 60)
}
