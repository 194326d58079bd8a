//! Refusals: why a job gets no answer, for a program (a code) and for a reader (a sentence).

use rekursing_protocol::{FailCode, KeyId, Nanos, OfferKind, Price, Span, Topics};

use crate::tier::Tier;

/// Why a job gets no answer. Nothing was delivered and nothing is charged.
///
/// Refusals of matching are named for the hard filter that emptied the list, and say what would fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The relay drains.
    #[error("the relay is about to restart and takes no new jobs; try again in a moment")]
    Draining,
    /// The job's id was used before.
    #[error("this job was already submitted")]
    DuplicateJob,
    /// The visitor has had today's free answers.
    #[error("today's {jobs_per_day} free answers are used up; they start afresh at midnight UTC")]
    FreeQuotaUsed {
        /// Free answers per UTC day.
        jobs_per_day: u32,
    },
    /// More free visitors than are remembered came today.
    #[error("too many visitors have asked for free answers today")]
    FreeVisitorsFull,
    /// Nobody at all serves anything.
    #[error("no provider is online")]
    NoProvider,
    /// Nobody serves a model of this name.
    #[error("no provider serves the model `{model}`")]
    ModelNotFound {
        /// The name as the page wrote it.
        model: String,
    },
    /// The model is for something else.
    #[error("the model does not serve {}", match kind { OfferKind::Text => "text", OfferKind::Embedding => "embeddings" })]
    WrongKind {
        /// What was asked for.
        kind: OfferKind,
    },
    /// Nobody whom the page lets answer serves the model.
    #[error("none of the providers that this request allows serves the model at the moment")]
    ProviderUnavailable,
    /// The prompt may go only to whom it is known of that they keep none, and nobody such is left.
    #[error(
        "every provider of this model that is left is somebody's own computer, which nobody can hold to keep no \
         prompt; allow `data_collection`, or ask a model of this relay's own servers or of your group"
    )]
    CollectionDenied,
    /// Everybody who serves the model serves a group of his own.
    #[error("every provider of this model serves a group of friends, and your account is in none of them")]
    GroupOnly,
    /// Everybody who is left serves known accounts alone.
    #[error(
        "every provider of this model that is left serves verified accounts only: those that have paid in, or \
         that the operator has marked"
    )]
    NotVerified,
    /// Everybody who is left refuses what the request is about.
    #[error("every provider of this model that is left refuses requests like this one: {}", names(*topics))]
    TopicRefused {
        /// What of it is refused.
        topics: Topics,
    },
    /// Prompt and answer together fit nobody's context.
    #[error("prompt and answer need {needs} tokens of context; the largest offered is {largest}")]
    ContextTooLong {
        /// Tokens of prompt and answer.
        needs: u64,
        /// Tokens of the largest context on offer.
        largest: u64,
    },
    /// Nobody who is left understands images.
    #[error("no provider of this model understands images")]
    VisionUnavailable,
    /// Nobody who is left has shown what the tier asks for.
    #[error("no provider of this model has reached the tier `{tier}`{}", best_tier(*best))]
    TierUnavailable {
        /// The tier asked for.
        tier: Tier,
        /// The highest tier that somebody has reached.
        best: Option<Tier>,
    },
    /// Everybody who is left asks for more.
    #[error(
        "the lowest price on offer is {} USD per million prompt tokens and {} USD per million answer tokens",
        dollars(lowest.input), dollars(lowest.output)
    )]
    PriceTooHigh {
        /// The lowest price on offer, after the tier.
        lowest: Price,
    },
    /// The page names no highest price, and everybody who is left asks for far more than is usual.
    #[error(
        "the lowest price on offer is {} USD per million prompt tokens and {} USD per million answer tokens, \
         far above what is usual; name `maxPrice` to pay it",
        dollars(lowest.input), dollars(lowest.output)
    )]
    PriceUnusual {
        /// The lowest price on offer, after the tier.
        lowest: Price,
    },
    /// The answer could cost more than the page allows.
    #[error("the answer may cost up to {lowest} USD, which is more than allowed")]
    CostTooHigh {
        /// The lowest upper bound on offer.
        lowest: Nanos,
    },
    /// Nobody's answer can be expected within the deadline.
    #[error("no answer can be expected before the deadline{}", soonest_told(*soonest))]
    TooLate {
        /// When the soonest can be expected to be whole; `None` where nobody could begin at once.
        soonest: Option<Span>,
    },
    /// Everybody who is left is slower.
    #[error("the fastest provider makes {}.{:03} tokens per second", fastest / 1_000, fastest % 1_000)]
    TooSlow {
        /// The highest speed on offer, in thousandths of a token per second.
        fastest: u64,
    },
    /// Nobody who is left has one of the quantisations.
    #[error("the model is offered in these quantisations only: {}", told(available))]
    QuantizationUnavailable {
        /// Those on offer, sorted.
        available: Vec<String>,
    },
    /// Only plugins of the page's own account or of the visitor's own network are left, and nobody is paid for
    /// answering himself.
    #[error(
        "only plugins of your own account or network serve this, and nobody is paid for answering himself"
    )]
    OnlyOwnProvider,
    /// Everybody who is left has failed too often.
    #[error("every provider of this model has failed too often of late")]
    ProviderUntrusted,
    /// The page's balance does not cover the upper bound of the cheapest offer.
    #[error("the answer may cost up to {needs} USD and {available} USD are available")]
    InsufficientFunds {
        /// The least that must be set aside.
        needs: Nanos,
        /// What the page has.
        available: Nanos,
    },
    /// What the key may spend today does not cover the upper bound of the cheapest offer.
    #[error(
        "the answer may cost up to {needs} USD, and the key {key} has {available} USD left of its budget for \
         today; the next day begins at midnight UTC"
    )]
    KeyBudgetDay {
        /// The key whose budget it is: the page's own, or one that it was made with.
        key: KeyId,
        /// The least that must be set aside.
        needs: Nanos,
        /// What is left of the budget.
        available: Nanos,
    },
    /// What the key may spend in all does not cover it.
    #[error(
        "the answer may cost up to {needs} USD, and the key {key} has {available} USD left of its budget in all"
    )]
    KeyBudgetTotal {
        /// The key whose budget it is: the page's own, or one that it was made with.
        key: KeyId,
        /// The least that must be set aside.
        needs: Nanos,
        /// What is left of the budget.
        available: Nanos,
    },
    /// The key may not ask the model.
    #[error("this key may ask these models only: {}", allowed.join(", "))]
    KeyModel {
        /// Those that it may ask.
        allowed: Vec<String>,
    },
    /// Everybody who is left asks for more than the key pays.
    #[error(
        "this key pays at most {} USD per million prompt tokens and {} USD per million answer tokens, and the \
         lowest price on offer is {} and {} USD",
        dollars(most.input), dollars(most.output), dollars(lowest.input), dollars(lowest.output)
    )]
    KeyPrice {
        /// The highest price that the key pays.
        most: Price,
        /// The lowest price on offer, after the tier.
        lowest: Price,
    },
    /// The operator's free budget does not cover the upper bound of the cheapest offer.
    #[error(
        "free answers are not funded at the moment: this one may cost up to {needs} USD and {available} USD are \
         there"
    )]
    FreeBudgetEmpty {
        /// The least that must be set aside.
        needs: Nanos,
        /// What the budget has.
        available: Nanos,
    },
    /// Neither the answer's ad nor the operator pays for what the cheapest offer is expected to cost.
    #[error(
        "free answers are not funded at the moment: this one can be expected to cost {expected} USD, of which \
         {covered} USD are covered"
    )]
    FreeNotCovered {
        /// What the answer can be expected to cost.
        expected: Nanos,
        /// What its ad can be expected to bring and what the operator adds to an answer, together.
        covered: Nanos,
    },
    /// Everybody who is left has paused.
    #[error("every provider of this model has paused")]
    ProviderPaused,
    /// Everybody is busy and as many jobs wait as may wait.
    #[error("every provider is busy and {waiting} jobs are waiting already")]
    QueueFull {
        /// Jobs waiting.
        waiting: usize,
    },
    /// No slot became free in time.
    #[error("no provider became free within {} seconds", waited.0 / 1_000)]
    QueueTimeout {
        /// How long the job waited.
        waited: Span,
    },
    /// Everybody who tried has failed.
    #[error("the provider could not answer ({})", fault(*code))]
    ProviderFailed {
        /// How the last one failed.
        code: FailCode,
    },
    /// The server refused the request as wrong, or its answer is too long, which no other provider would see
    /// differently.
    #[error("{}", mistake(*code, detail))]
    PageMistake {
        /// What is wrong with it.
        code: FailCode,
        /// The server's own words, or empty.
        detail: String,
    },
}

/// Quantisations as a list, for a reader. One that does not say what it is has no name.
fn told(quantizations: &[String]) -> String {
    let named = quantizations.iter().map(|name| if name.is_empty() { "unknown" } else { name });
    named.collect::<Vec<&str>>().join(", ")
}

/// Micro-dollars as dollars, for a reader.
fn dollars(micros: u64) -> Nanos {
    Nanos::new(i64::try_from(micros.saturating_mul(1_000)).unwrap_or(i64::MAX))
}

impl Refusal {
    /// Returns the stable code that programs go by.
    pub const fn code(&self) -> &'static str {
        match self {
            Refusal::Draining => "draining",
            Refusal::DuplicateJob => "duplicate_job",
            Refusal::FreeQuotaUsed { .. } => "free_quota_used",
            Refusal::FreeVisitorsFull => "free_visitors_full",
            Refusal::NoProvider => "no_provider",
            Refusal::ModelNotFound { .. } => "model_not_found",
            Refusal::WrongKind { .. } => "wrong_kind",
            Refusal::ProviderUnavailable => "provider_unavailable",
            Refusal::CollectionDenied => "collection_denied",
            Refusal::GroupOnly => "group_only",
            Refusal::NotVerified => "not_verified",
            Refusal::TopicRefused { .. } => "topic_refused",
            Refusal::ContextTooLong { .. } => "context_too_long",
            Refusal::VisionUnavailable => "vision_unavailable",
            Refusal::TierUnavailable { .. } => "tier_unavailable",
            Refusal::PriceTooHigh { .. } | Refusal::PriceUnusual { .. } => "price_too_high",
            Refusal::CostTooHigh { .. } => "cost_too_high",
            Refusal::TooLate { .. } => "too_late",
            Refusal::TooSlow { .. } => "too_slow",
            Refusal::QuantizationUnavailable { .. } => "quantization_unavailable",
            Refusal::OnlyOwnProvider => "only_own_provider",
            Refusal::ProviderUntrusted => "provider_untrusted",
            Refusal::InsufficientFunds { .. } => "insufficient_funds",
            Refusal::KeyBudgetDay { .. } => "key_budget_day",
            Refusal::KeyBudgetTotal { .. } => "key_budget_total",
            Refusal::KeyModel { .. } => "key_model",
            Refusal::KeyPrice { .. } => "key_price",
            Refusal::FreeBudgetEmpty { .. } => "free_budget_empty",
            Refusal::FreeNotCovered { .. } => "free_not_covered",
            Refusal::ProviderPaused => "provider_paused",
            Refusal::QueueFull { .. } => "queue_full",
            Refusal::QueueTimeout { .. } => "queue_timeout",
            Refusal::ProviderFailed { .. } => "provider_failed",
            Refusal::PageMistake { code: FailCode::ContextOverflow, .. } => "context_too_long",
            Refusal::PageMistake { code: FailCode::TooLarge, .. } => "answer_too_large",
            Refusal::PageMistake { .. } => "bad_request",
        }
    }

    /// Tells whether the same request may well be answered a little later.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Refusal::Draining
            | Refusal::NoProvider
            | Refusal::ProviderUnavailable
            | Refusal::ProviderUntrusted
            | Refusal::ProviderPaused
            | Refusal::QueueFull { .. }
            | Refusal::QueueTimeout { .. }
            | Refusal::TooLate { soonest: None }
            | Refusal::ProviderFailed { .. } => true,
            Refusal::DuplicateJob
            | Refusal::FreeQuotaUsed { .. }
            | Refusal::FreeVisitorsFull
            | Refusal::ModelNotFound { .. }
            | Refusal::WrongKind { .. }
            | Refusal::CollectionDenied
            | Refusal::GroupOnly
            | Refusal::NotVerified
            | Refusal::TopicRefused { .. }
            | Refusal::ContextTooLong { .. }
            | Refusal::VisionUnavailable
            | Refusal::TierUnavailable { .. }
            | Refusal::PriceTooHigh { .. }
            | Refusal::PriceUnusual { .. }
            | Refusal::CostTooHigh { .. }
            | Refusal::TooLate { soonest: Some(_) }
            | Refusal::TooSlow { .. }
            | Refusal::QuantizationUnavailable { .. }
            | Refusal::OnlyOwnProvider
            | Refusal::InsufficientFunds { .. }
            | Refusal::KeyBudgetDay { .. }
            | Refusal::KeyBudgetTotal { .. }
            | Refusal::KeyModel { .. }
            | Refusal::KeyPrice { .. }
            | Refusal::FreeBudgetEmpty { .. }
            | Refusal::FreeNotCovered { .. }
            | Refusal::PageMistake { .. } => false,
        }
    }
}

fn names(topics: Topics) -> String {
    topics.names().collect::<Vec<_>>().join(", ")
}

fn soonest_told(soonest: Option<Span>) -> String {
    soonest.map_or_else(
        || ": nobody who would be asked could begin at once".to_owned(),
        |Span(ms)| format!("; the soonest is expected within {ms} ms"),
    )
}

fn best_tier(best: Option<Tier>) -> String {
    best.map_or_else(String::new, |tier| format!("; the highest reached is `{tier}`"))
}

/// Returns what is wrong with a request, in words for a reader.
fn mistake(code: FailCode, detail: &str) -> String {
    match (code, detail) {
        (FailCode::TooLarge, _) => {
            "the answer is longer than a provider takes in; ask for less at once".to_owned()
        }
        (_, "") => "the model server refused the request".to_owned(),
        (_, detail) => format!("the model server refused the request: {detail}"),
    }
}

/// Returns what failed, in words for a reader.
const fn fault(code: FailCode) -> &'static str {
    match code {
        FailCode::Busy => "busy",
        FailCode::Paused => "paused",
        FailCode::ModelMissing => "the model is not there",
        FailCode::ModelLoading => "the model is still loading",
        FailCode::ModelCrashed => "the model crashed",
        FailCode::ContextOverflow => "the context is too small",
        FailCode::BadRequest => "the request was refused",
        FailCode::Unreachable => "the model server is out of reach",
        FailCode::Unauthorized => "the model server wants another token",
        FailCode::ServerError => "the model server reported an error",
        FailCode::Malformed => "the model server spoke nonsense",
        FailCode::TooLarge => "the answer is too long",
        FailCode::Cut => "the answer broke off",
        FailCode::Stalled => "the answer stalled",
        FailCode::TimeUp => "the answer took too long",
        FailCode::Empty => "the answer was empty",
        FailCode::Refused => "the plugin refused the job",
        FailCode::Cancelled => "the job was dropped",
    }
}
