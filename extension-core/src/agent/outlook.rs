//! Why jobs do not come: asked of the relay now and then while none runs, and said in the owner's words.

use rekursing_protocol::{
    Moment, Nanos, Span,
    outlook::{ModelOutlook, Obstacle, Outlook, Quality, Wanted},
};

use super::{Agent, Answer, Hint, MarketView, inquiry::Inquiry};
use crate::said::{Blank, Said};

const HOUR: Span = Span::secs(60 * 60);

/// How long after the link is there it is asked for: the owner's first look finds it.
pub(super) const AFTER_READY: Span = Span::secs(2);

/// From how many of a thousand thumbs up on nothing is said of them: few owners have less, and they can help it.
const CONTENT_PERMILLE: u64 = 700;

/// What the relay has said.
#[derive(Debug, Default)]
pub(super) struct Prospects {
    seen: Option<Outlook>,
    pub(super) inquiry: Inquiry,
}

impl Agent {
    /// Asks when it is due.
    pub(super) fn advance_prospects(&mut self, now: Moment) {
        self.inquire("outlook", |agent| &mut agent.prospects.inquiry, now);
    }

    /// Takes in the answer. A relay that does not tell has no outlook.
    pub(super) fn prospects_told(&mut self, answer: Answer<'_>, now: Moment) {
        self.prospects.inquiry.answered(now);
        let Answer::Reply { status: 200, body } = answer else { return };
        let Ok(outlook) = serde_json::from_slice::<Outlook>(body) else { return };
        self.changed |= self.prospects.seen.as_ref() != Some(&outlook);
        self.prospects.seen = Some(outlook);
    }

    /// Returns why jobs do not come, the weightiest first. What the agent knows better itself is left out.
    pub(super) fn hints(&self) -> Vec<Hint> {
        let outlook =
            self.prospects.seen.as_ref().filter(|_| self.link.is_ready() && self.gate.closed().is_none());
        let obstacles = outlook.into_iter().flat_map(|outlook| &outlook.obstacles);
        let hints =
            obstacles.filter_map(|it| hint(it).map(|hint| Hint { model: model(it).cloned(), ..hint }));
        hints.chain(outlook.and_then(|outlook| thumbs(outlook.quality?))).collect()
    }
}

impl Agent {
    /// Returns what the relay has said of the market for a model.
    pub(super) fn market(&self, model: &str) -> Option<MarketView> {
        let outlook = self.prospects.seen.as_ref().filter(|_| self.link.is_ready())?;
        let ModelOutlook { ask, others, market, requests, .. } =
            outlook.models.iter().find(|known| known.model == model)?;
        let hourly = hourly(outlook, model);
        Some(MarketView { ask: *ask, others: *others, range: *market, requests: *requests, hourly })
    }
}

/// Returns what an hour of today's demand for a model would bring, before the fee, if everybody who serves it
/// had an equal share: price × tokens ÷ who serves it ÷ hours. The first hour of counting is taken whole.
fn hourly(outlook: &Outlook, model: &str) -> Option<Nanos> {
    let known = outlook.models.iter().find(|known| known.model == model)?;
    let all = i128::from(known.ask.cost(known.prompt_tokens, known.answer_tokens)?.get());
    let hours_ms = i128::from(outlook.counted_ms.max(HOUR.0));
    let share = all * i128::from(HOUR.0) / hours_ms / i128::from(known.others.saturating_add(1));
    i64::try_from(share).ok().map(Nanos::new)
}

/// Says that pages do not like the answers, where many have said so. It keeps no job away, and comes last.
fn thumbs(Quality { permille, .. }: Quality) -> Option<Hint> {
    if permille >= CONTENT_PERMILLE {
        return None;
    }
    let percent = permille / 10;
    let text = format!(
        "Pages were content with only {percent} % of your answers of late. A larger model or a finer \
         quantisation pleases them more."
    );
    Some(Hint::new("thumbs", Said::new("hint_thumbs", [Blank::Number(percent)], text)))
}

/// Says an obstacle in the owner's words, with what can be done about it.
fn hint(obstacle: &Obstacle) -> Option<Hint> {
    let name = |model: &String| Blank::Text(model.clone());
    Some(match obstacle {
        Obstacle::NotConnected | Obstacle::NoModel | Obstacle::Paused => return None,
        Obstacle::Parked { .. } => Hint::new(
            "parked",
            Said::plain(
                "hint_parked",
                "Several jobs in a row failed, so you get none for some seconds. Check the model server.",
            ),
        ),
        Obstacle::Untrusted { success_permille, .. } => {
            let percent = success_permille / 10;
            let text = format!(
                "Only {percent} % of your latest jobs went well. Check the model server; the record heals with time."
            );
            Hint::new("untrusted", Said::new("hint_untrusted", [Blank::Number(percent)], text))
        }
        Obstacle::NoDemand => {
            Hint::new("no_demand", Said::plain("hint_no_demand", "Nobody has asked for anything today yet."))
        }
        Obstacle::NotWanted { model, instead: Wanted { model: other, requests } } => {
            let text =
                format!("Nobody has asked for {model} today. {other} was asked for {}.", times(*requests));
            let values = [name(model), name(other), Blank::Count(*requests)];
            Hint::new("not_wanted", Said::new("hint_not_wanted", values, text))
        }
        Obstacle::Dear { model, percent, .. } => {
            let text = format!(
                "Your price for {model} is {percent} % above what most others ask. Lower it or follow the market."
            );
            Hint::new("dear", Said::new("hint_dear", [name(model), Blank::Number(*percent)], text))
        }
        Obstacle::TooShort { model, context, permille } => {
            let percent = permille / 10;
            let text = format!(
                "The context of {model}, {context} tokens, is too small for {percent} % of today's requests. Load \
                 it with a larger one."
            );
            let values = [name(model), Blank::Number((*context).into()), Blank::Number(percent)];
            Hint::new("too_short", Said::new("hint_too_short", values, text))
        }
        Obstacle::GroupOnly { accounts: None } => Hint::new(
            "no_group",
            Said::plain(
                "hint_no_group",
                "You serve your group alone, and you are in none. Make or join one, or serve more people.",
            ),
        ),
        Obstacle::GroupOnly { accounts: Some(0) } => Hint::new(
            "empty_group",
            Said::plain(
                "hint_empty_group",
                "You serve your group alone, and nobody in it can ask yet. Give the code to your friends.",
            ),
        ),
        // Friends ask when they ask: that is no obstacle.
        Obstacle::GroupOnly { accounts: Some(_) } => return None,
        Obstacle::VerifiedOnly { permille } => {
            let percent = permille / 10;
            let text = format!(
                "You serve verified accounts alone, and {percent} % of today's requests came from others."
            );
            Hint::new("verified_only", Said::new("hint_verified_only", [Blank::Number(percent)], text))
        }
        Obstacle::TopicRefused { permille } => {
            let percent = permille / 10;
            let text = format!("{percent} % of today's requests were about topics that you do not answer.");
            Hint::new("topic_refused", Said::new("hint_topic_refused", [Blank::Number(percent)], text))
        }
        Obstacle::Outranked { model, by } => {
            let others = if *by == 1 { "other with room is" } else { "others with room are" };
            let text = format!("{by} {others} well ahead for {model} in speed, success and price.");
            Hint::new("outranked", Said::new("hint_outranked", [name(model), Blank::Count(*by)], text))
        }
        Obstacle::New { jobs_left, pages_left, .. } => Hint::new("new", newness(*jobs_left, *pages_left)),
    })
}

/// Returns the model that an obstacle is about.
fn model(obstacle: &Obstacle) -> Option<&String> {
    match obstacle {
        Obstacle::NotWanted { model, .. }
        | Obstacle::Dear { model, .. }
        | Obstacle::TooShort { model, .. }
        | Obstacle::Outranked { model, .. } => Some(model),
        Obstacle::NotConnected
        | Obstacle::NoModel
        | Obstacle::Paused
        | Obstacle::Parked { .. }
        | Obstacle::Untrusted { .. }
        | Obstacle::NoDemand
        | Obstacle::GroupOnly { .. }
        | Obstacle::VerifiedOnly { .. }
        | Obstacle::TopicRefused { .. }
        | Obstacle::New { .. } => None,
    }
}

fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

fn newness(jobs: u64, pages: u64) -> Said {
    const THEN: &str = "Then the best-paid jobs come to you too, and nothing is held back.";
    match (jobs, pages) {
        (0, 0) => Said::new(
            "hint_new",
            [],
            format!("You are new: a few days since your first paid job are missing. {THEN}"),
        ),
        (jobs, 0) => Said::new(
            "hint_new_jobs",
            [Blank::Number(jobs)],
            format!("You are new. Paid jobs still missing: {jobs}. {THEN}"),
        ),
        (0, pages) => Said::new(
            "hint_new_pages",
            [Blank::Number(pages)],
            format!("You are new. Paying accounts still missing: {pages}. {THEN}"),
        ),
        (jobs, pages) => Said::new(
            "hint_new_both",
            [Blank::Number(jobs), Blank::Number(pages)],
            format!("You are new. Still missing: paid jobs ({jobs}), paying accounts ({pages}). {THEN}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::Price;

    use super::*;

    #[test]
    fn every_hint_reads_as_its_message() {
        let model = || "tiny".to_owned();
        let wanted = |requests| Wanted { model: "huge".to_owned(), requests };
        let new = |jobs_left, pages_left| Obstacle::New { jobs_left, pages_left, known_at: None };
        for obstacle in [
            Obstacle::Parked { until: Moment(1) },
            Obstacle::Untrusted { success_permille: 402, lowest_permille: 500 },
            Obstacle::NoDemand,
            Obstacle::NotWanted { model: model(), instead: wanted(1) },
            Obstacle::NotWanted { model: model(), instead: wanted(214) },
            Obstacle::Dear { model: model(), percent: 40, median: Price::new(1, 2) },
            Obstacle::TooShort { model: model(), context: 4_096, permille: 600 },
            Obstacle::GroupOnly { accounts: None },
            Obstacle::GroupOnly { accounts: Some(0) },
            Obstacle::VerifiedOnly { permille: 402 },
            Obstacle::TopicRefused { permille: 60 },
            Obstacle::Outranked { model: model(), by: 1 },
            Obstacle::Outranked { model: model(), by: 2 },
            new(0, 0),
            new(3, 0),
            new(0, 2),
            new(3, 2),
        ] {
            let Hint { key, values, text, .. } = hint(&obstacle).unwrap();
            Said { key, values, text }.reads_as_its_message();
        }
        let Hint { key, values, text, .. } = thumbs(Quality { permille: 412, voices: 9 }).unwrap();
        Said { key, values, text }.reads_as_its_message();
        assert_eq!(thumbs(Quality { permille: 700, voices: 9 }), None);
        let friends = Obstacle::GroupOnly { accounts: Some(2) };
        for unsaid in [Obstacle::NotConnected, Obstacle::NoModel, Obstacle::Paused, friends] {
            assert_eq!(hint(&unsaid), None);
        }
    }
}
