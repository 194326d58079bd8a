//! Matching: whether an offer fits a job, and if none does, which filter emptied the list.

use rekursing_protocol::{GroupId, Moment, Nanos, OfferKind, PluginId, Price, Serves, Topics};

use crate::{
    free::Cover,
    ledger::Quote,
    purse::{Room, Spender},
    quantization,
    record::whole,
    refusal::Refusal,
    request::{Payer, Request, Wish},
    session::{Session, Stock},
    terms::Terms,
    tier::Tier,
};

/// What a job needs of an offer.
#[derive(Debug)]
pub(crate) struct Need<'a> {
    pub(crate) request: &'a Request,
    /// The groups of whoever pays.
    pub(crate) groups: Vec<GroupId>,
    /// Plugins that failed the job.
    pub(crate) excluded: &'a [PluginId],
    /// What the job may be bounded by: its hold, or else what the payer has.
    pub(crate) room: Room,
    /// How many tokens a free answer can be expected to have.
    pub(crate) free_tokens_expected: u64,
    /// The highest ask that is taken of a page that names no highest price, see [`Terms::price_times_max`].
    pub(crate) ceiling: Price,
}

/// On what terms an offer fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fit {
    /// What the owner asks, before the tier: what he asks of his group where the page is in it.
    pub(crate) ask: Price,
    /// The group that page and plugin are both in.
    pub(crate) group: Option<GroupId>,
    /// What the page pays, after the tier.
    pub(crate) price: Price,
    /// Most answer tokens.
    pub(crate) answer_tokens_max: u64,
    /// The most that the job may cost: what is held.
    pub(crate) bound: Quote,
}

/// The hard filter that an offer fails, with what it has to offer there. In the order of the filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Miss {
    Kind,
    KeyModel,
    Routing,
    Collection,
    Group,
    Unverified,
    Topics(Topics),
    Context { needs: u64, context: u64 },
    Vision,
    Tier { reached: Option<Tier> },
    Price(Price),
    KeyPrice(Price),
    Unusual(Price),
    Cost(Nanos),
    Speed { millitokens: u64 },
    Quantization(Vec<String>),
    OwnPlugin,
    Failed,
    Trust,
    Uncovered(Cover),
    Funds(Nanos),
    Paused,
}

/// Tells on what terms the offer fits, or the first hard filter that it fails. Free slots are another
/// matter: an offer that fits and has none is worth waiting for.
pub(crate) fn fit(
    terms: &Terms,
    now: Moment,
    need: &Need<'_>,
    session: &Session,
    stock: &Stock,
) -> Result<Fit, Miss> {
    let (request, offer) = (need.request, &*stock.offer);
    let keep = |kept: bool, miss: Miss| if kept { Ok(()) } else { Err(miss) };

    keep(offer.kind == request.kind, Miss::Kind)?;
    let spender = request.spender.as_deref();
    keep(spender.is_none_or(|spender| spender.allows(&offer.model)), Miss::KeyModel)?;
    let routing = request.routing.as_deref();
    keep(routing.is_none_or(|routing| routing.admits(session.plugin)), Miss::Routing)?;
    let fellow = need.fellow(session);
    let is_close = session.is_upstream || fellow.is_some();
    keep(is_close || !routing.is_some_and(|routing| routing.denies_collection), Miss::Collection)?;
    match session.serves {
        Serves::Everyone => {}
        Serves::Verified => keep(request.is_verified || fellow.is_some(), Miss::Unverified)?,
        Serves::Group => keep(fellow.is_some(), Miss::Group)?,
    }
    if !session.refuses.is_empty() {
        // What nobody has looked at may be about anything.
        let refused = request.topics.map_or(session.refuses, |topics| topics & session.refuses);
        keep(refused.is_empty(), Miss::Topics(refused))?;
    }
    let ask = fellow.map_or(stock.ask, |_| session.ask_of_friends(stock));
    let answer_tokens_max = answer_room(terms, request, u64::from(offer.context))?;
    keep(offer.vision || !request.needs_vision, Miss::Vision)?;
    if !reaches(terms, now, session, stock, request.tier) {
        return Err(Miss::Tier { reached: highest_tier(terms, now, session, stock) });
    }

    let permille = terms.tiers.of(request.tier).price_permille;
    let price = ask.scaled(permille);
    keep(is_within(price, price_max(terms, request)), Miss::Price(price))?;
    let most = spender.and_then(Spender::price_max);
    keep(most.is_none_or(|most| is_within(price, most)), Miss::KeyPrice(price))?;
    keep(is_usual(ask, need.ceiling, [request.price_max, most]), Miss::Unusual(price))?;
    let Some(bound) = Quote::new(price, request.prompt_tokens_max, answer_tokens_max) else {
        return Err(Miss::Cost(Nanos::MAX));
    };
    let cost = bound.amount();
    keep(request.cost_max.is_none_or(|most| cost <= most), Miss::Cost(cost))?;

    let millitokens = crate::record::rounded(stock.speed.tokens_per_second(terms) * 1_000.0);
    keep(millitokens >= request.millitokens_per_second_min, Miss::Speed { millitokens })?;
    let welcome = &request.quantizations;
    if !welcome.is_empty() && !welcome.iter().any(|wish| quantization::is(&offer.quantization, wish)) {
        return Err(Miss::Quantization(vec![offer.quantization.clone()]));
    }
    keep(!is_own(request.payer, session), Miss::OwnPlugin)?;
    keep(!need.excluded.contains(&session.plugin), Miss::Failed)?;
    keep(offer.continues || !request.is_continuation(), Miss::Failed)?;
    let trusted = session.reliability.success(terms, now) * 1_000.0 >= whole(terms.trust_permille_min);
    keep(trusted, Miss::Trust)?;
    let tokens = need.free_tokens_expected.min(answer_tokens_max);
    if let Some(cover) = Cover::of(terms, request, price, tokens).filter(|cover| !cover.is_enough()) {
        return Err(Miss::Uncovered(cover));
    }
    keep(cost <= need.room.left, Miss::Funds(cost))?;
    keep(!session.is_paused, Miss::Paused)?;
    Ok(Fit { ask, group: fellow, price, answer_tokens_max, bound })
}

impl Need<'_> {
    /// Returns the group that page and plugin are both in.
    fn fellow(&self, session: &Session) -> Option<GroupId> {
        session.group.filter(|own| self.groups.contains(own))
    }
}

/// Tells whether a plugin would be paid for answering its own owner, as far as that is known: by the page that
/// it is paired with, or by the network that a visitor asks from.
fn is_own(payer: Payer, session: &Session) -> bool {
    match payer {
        Payer::Page(account) => session.account == Some(account),
        Payer::Free { visitor } => session.network == Some(visitor),
    }
}

/// Returns how many answer tokens the job may have within the context.
fn answer_room(terms: &Terms, request: &Request, context: u64) -> Result<u64, Miss> {
    let (wanted, needed) = match (request.kind, request.answer_tokens_max) {
        (OfferKind::Embedding, _) => (0, 0),
        // To go on for a while is better than to break off, whether or not there is room for all that is left.
        (OfferKind::Text, Some(most)) if request.is_continuation() => {
            (most.max(1), terms.answer_tokens_room_min.clamp(1, most.max(1)))
        }
        (OfferKind::Text, Some(most)) => (most.max(1), most.max(1)),
        (OfferKind::Text, None) => {
            let wanted = terms.answer_tokens_default.max(1);
            (wanted, terms.answer_tokens_room_min.clamp(1, wanted))
        }
    };
    let most = match request.payer {
        Payer::Page(_) => u64::MAX,
        Payer::Free { .. } if request.prompt_tokens > terms.free_prompt_tokens_max => {
            let context = terms.free_prompt_tokens_max;
            return Err(Miss::Context { needs: request.prompt_tokens, context });
        }
        Payer::Free { .. } => terms.free_answer_tokens_max.max(1),
    };
    let needs = request.prompt_tokens.saturating_add(needed.min(most));
    if needs > context {
        return Err(Miss::Context { needs, context });
    }
    Ok(wanted.min(most).min(context - request.prompt_tokens))
}

/// Returns the highest price that the payer takes, each side apart.
fn price_max(terms: &Terms, request: &Request) -> Price {
    let asked = request.price_max.unwrap_or(Price::new(u64::MAX, u64::MAX));
    match request.payer {
        Payer::Page(_) => asked,
        Payer::Free { .. } => Price::new(
            asked.input.min(terms.free_price_max.input),
            asked.output.min(terms.free_price_max.output),
        ),
    }
}

/// Tells whether an ask is usual on each side for which nobody named a highest price. One side's limit says
/// nothing of the other.
fn is_usual(ask: Price, ceiling: Price, named: [Option<Price>; 2]) -> bool {
    let side = |of: fn(Price) -> u64| {
        let is_named = named.into_iter().flatten().any(|most| of(most) < u64::MAX);
        is_named || of(ask) <= of(ceiling)
    };
    side(|price| price.input) && side(|price| price.output)
}

fn is_within(price: Price, most: Price) -> bool {
    price.input <= most.input && price.output <= most.output
}

/// Tells whether an offer is of a tier: it has shown what the tier asks for, and runs in no browser if the tier is
/// not the lowest.
pub(crate) fn reaches(terms: &Terms, now: Moment, session: &Session, stock: &Stock, tier: Tier) -> bool {
    let floor = &terms.tiers.of(tier).floor;
    (tier == Tier::Low || !stock.offer.browser)
        && stock.speed.answers() >= floor.answers_min
        && stock.speed.tokens_per_second(terms) * 1_000.0 >= whole(floor.millitokens_per_second_min)
        && stock.speed.first_token(terms) * 1_000.0 <= whole(floor.first_token_max.0)
        && session.reliability.success(terms, now) * 1_000.0 >= whole(floor.success_permille_min)
        && (floor.quantization_bits_min == 0
            || quantization::bits(&stock.offer.quantization) >= Some(floor.quantization_bits_min))
        && (!floor.is_trusted || session.standing.is_trusted(terms, now))
}

/// Returns the highest tier whose floor an offer keeps.
pub(crate) fn highest_tier(terms: &Terms, now: Moment, session: &Session, stock: &Stock) -> Option<Tier> {
    let reached = |tier: &Tier| reaches(terms, now, session, stock, *tier);
    Tier::ALL.into_iter().rev().find(reached)
}

impl Miss {
    /// Returns how far the offer came: the number of the filter.
    const fn stage(&self) -> u8 {
        match self {
            Miss::Kind => 0,
            Miss::KeyModel => 1,
            Miss::Routing => 2,
            Miss::Collection => 3,
            Miss::Group => 4,
            Miss::Unverified => 5,
            Miss::Topics(_) => 6,
            Miss::Context { .. } => 7,
            Miss::Vision => 8,
            Miss::Tier { .. } => 9,
            Miss::Price(_) => 10,
            Miss::KeyPrice(_) => 11,
            Miss::Unusual(_) => 12,
            Miss::Cost(_) => 13,
            Miss::Speed { .. } => 14,
            Miss::Quantization(_) => 15,
            Miss::OwnPlugin => 16,
            Miss::Failed => 17,
            Miss::Trust => 18,
            Miss::Uncovered(_) => 19,
            Miss::Funds(_) => 20,
            Miss::Paused => 21,
        }
    }

    /// Takes two misses together: the list was emptied by the later filter, and of two that came as
    /// far the better figure is told.
    pub(crate) fn or(self, other: Miss) -> Miss {
        match (self, other) {
            (Miss::Context { needs, context }, Miss::Context { needs: _, context: second }) => {
                Miss::Context { needs, context: context.max(second) }
            }
            (Miss::Topics(one), Miss::Topics(second)) => Miss::Topics(one | second),
            (Miss::Tier { reached: one }, Miss::Tier { reached: second }) => {
                Miss::Tier { reached: one.max(second) }
            }
            (Miss::Price(one), Miss::Price(second)) => Miss::Price(lower(one, second)),
            (Miss::KeyPrice(one), Miss::KeyPrice(second)) => Miss::KeyPrice(lower(one, second)),
            (Miss::Unusual(one), Miss::Unusual(second)) => Miss::Unusual(lower(one, second)),
            (Miss::Cost(one), Miss::Cost(second)) => Miss::Cost(one.min(second)),
            (Miss::Uncovered(one), Miss::Uncovered(second)) => {
                Miss::Uncovered(if second.expected < one.expected { second } else { one })
            }
            (Miss::Funds(one), Miss::Funds(second)) => Miss::Funds(one.min(second)),
            (Miss::Speed { millitokens: one }, Miss::Speed { millitokens: second }) => {
                Miss::Speed { millitokens: one.max(second) }
            }
            (Miss::Quantization(mut names), Miss::Quantization(more)) => {
                for name in more {
                    if let Err(place) = names.binary_search(&name) {
                        names.insert(place, name);
                    }
                }
                Miss::Quantization(names)
            }
            (one, other) => {
                if other.stage() > one.stage() {
                    other
                } else {
                    one
                }
            }
        }
    }

    /// Returns the refusal that says so.
    pub(crate) fn refusal(self, need: &Need<'_>) -> Refusal {
        match self {
            Miss::Kind => Refusal::WrongKind { kind: need.request.kind },
            Miss::Routing => Refusal::ProviderUnavailable,
            Miss::Collection => Refusal::CollectionDenied,
            Miss::Group => Refusal::GroupOnly,
            Miss::Unverified => Refusal::NotVerified,
            Miss::Topics(topics) => Refusal::TopicRefused { topics },
            Miss::Context { needs, context } => Refusal::ContextTooLong { needs, largest: context },
            Miss::Vision => Refusal::VisionUnavailable,
            Miss::Tier { reached } => Refusal::TierUnavailable { tier: need.request.tier, best: reached },
            Miss::KeyModel => {
                let spender = need.request.spender.as_deref();
                Refusal::KeyModel { allowed: spender.map(Spender::models).unwrap_or_default().to_vec() }
            }
            Miss::Price(lowest) => Refusal::PriceTooHigh { lowest },
            Miss::KeyPrice(lowest) => {
                let most = need.request.spender.as_deref().and_then(Spender::price_max).unwrap_or_default();
                Refusal::KeyPrice { most, lowest }
            }
            Miss::Unusual(lowest) => Refusal::PriceUnusual { lowest },
            Miss::Cost(lowest) => Refusal::CostTooHigh { lowest },
            Miss::Speed { millitokens } => Refusal::TooSlow { fastest: millitokens },
            Miss::Quantization(available) => Refusal::QuantizationUnavailable { available },
            Miss::OwnPlugin => Refusal::OnlyOwnProvider,
            // Matching a first time excludes nobody; a retry tells the failure itself.
            Miss::Failed => Refusal::NoProvider,
            Miss::Trust => Refusal::ProviderUntrusted,
            Miss::Uncovered(cover) => cover.refusal(),
            Miss::Funds(needs) => match need.request.payer {
                Payer::Page(_) => need.room.refusal(needs),
                Payer::Free { .. } => Refusal::FreeBudgetEmpty { needs, available: need.room.left },
            },
            Miss::Paused => Refusal::ProviderPaused,
        }
    }
}

/// Returns the price that costs less for a prompt and an answer of one length.
fn lower(one: Price, second: Price) -> Price {
    let total = |price: Price| price.input.saturating_add(price.output);
    if total(second) < total(one) { second } else { one }
}

/// Returns the refusal of a wish that nothing answers to.
pub(crate) fn nothing_answers(wish: &Wish) -> Refusal {
    match wish {
        Wish::Any => Refusal::NoProvider,
        Wish::Named(model) => Refusal::ModelNotFound { model: model.clone() },
    }
}
