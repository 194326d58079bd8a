//! Why jobs do not come: asked of the relay now and then while none runs, and said in the owner's words.

use rekursing_protocol::{
    Moment, Nanos, Span,
    outlook::{ModelOutlook, Obstacle, Outlook, Wanted},
};

use super::{Agent, Answer, Hint, MarketView, inquiry::Inquiry};

const HOUR: Span = Span::secs(60 * 60);

/// How long after the link is there it is asked for: the owner's first look finds it.
pub(super) const AFTER_READY: Span = Span::secs(2);

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
        let obstacles =
            self.prospects.seen.as_ref().filter(|_| self.link.is_ready() && self.gate.closed().is_none());
        let hints = obstacles.into_iter().flat_map(|outlook| &outlook.obstacles).filter_map(sentence);
        hints.map(|(code, text)| Hint { code: code.to_owned(), text }).collect()
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

/// Says an obstacle in the owner's words, with what can be done about it.
fn sentence(obstacle: &Obstacle) -> Option<(&'static str, String)> {
    Some(match obstacle {
        Obstacle::NotConnected | Obstacle::NoModel | Obstacle::Paused => return None,
        Obstacle::Parked { .. } => (
            "parked",
            "Several jobs in a row failed, so you get none for some seconds. Check the model server."
                .to_owned(),
        ),
        Obstacle::Untrusted { success_permille, .. } => (
            "untrusted",
            format!(
                "Only {} % of your latest jobs went well. Check the model server; the record heals with time.",
                success_permille / 10
            ),
        ),
        Obstacle::NoDemand => ("no_demand", "Nobody has asked for anything today yet.".to_owned()),
        Obstacle::NotWanted { model, instead: Wanted { model: other, requests } } => (
            "not_wanted",
            format!("Nobody has asked for {model} today. {other} was asked for {}.", times(*requests)),
        ),
        Obstacle::Dear { model, percent, .. } => (
            "dear",
            format!(
                "Your price for {model} is {percent} % above what most others ask. Lower it or follow the market."
            ),
        ),
        Obstacle::TooShort { model, context, permille } => (
            "too_short",
            format!(
                "The context of {model}, {context} tokens, is too small for {} % of today's requests. Load it with \
                 a larger one.",
                permille / 10
            ),
        ),
        Obstacle::Outranked { model, by } => (
            "outranked",
            format!("{by} others with room are well ahead for {model} in speed, success and price."),
        ),
        Obstacle::New { jobs_left, pages_left, .. } => ("new", newness(*jobs_left, *pages_left)),
    })
}

fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

fn newness(jobs: u64, pages: u64) -> String {
    let missing = match (jobs, pages) {
        (0, 0) => "a few days since your first paid job are missing".to_owned(),
        (jobs, 0) => format!("{jobs} more paid jobs are missing"),
        (0, pages) => format!("{pages} more accounts that pay you are missing"),
        (jobs, pages) => format!("{jobs} more paid jobs are missing, from {pages} more accounts"),
    };
    format!("You are new: {missing}. Then the best-paid jobs come to you too, and nothing is held back.")
}
