//! Estimates: what an answer can be expected to cost and to take, before anybody is asked for it.
//!
//! Nothing is set aside and nothing changes. The offers that are looked at are those among which a job would
//! be drawn, by the same filters and in the same order.

use rekursing_protocol::{Moment, Nanos, Span};

use super::Market;
use crate::{
    auto::{self, Auto, BILLIONS_ASSUMED, Choice, Estimate},
    matching::{self, Fit, Miss, Need},
    model_name,
    record::{rounded, whole},
    refusal::Refusal,
    request::{Request, Wish},
    session::{Session, Stock},
    shelf::{ShelfId, StockRef},
    size,
    tier::Tier,
};

/// Most offers of a shelf that are looked at for an estimate, so that one costs no more than so many matches
/// however many offers there are: as many again where nobody is free.
const LOOKS_MAX: usize = 64;

/// Most offers that are looked at for a choice, those of all families in all tiers together: the more there are to
/// choose from, the fewer of each.
const CHOICE_LOOKS_MAX: usize = 4_096;

/// Most families among which a model is chosen. Names come from plugins, which can invent them.
const FAMILIES_MAX: usize = 64;

/// For how long it is known which those are, where there are more: every family is looked at for it.
const WIDEST_FRESH: Span = Span::secs(10);

impl Market {
    /// Estimates a request's answer, or tells why nobody would give it.
    pub fn estimate(&mut self, now: Moment, request: &Request) -> Result<Estimate, Refusal> {
        self.wake(now);
        let shelf = self.shelves.find(&request.model, request.kind);
        let shelf = shelf.ok_or_else(|| matching::nothing_answers(&request.model))?;
        self.look_at_asks(now, shelf);
        let need = self.need_of(now, request, shelf);
        self.estimate_on(now, &need, shelf, LOOKS_MAX).map_err(|miss| miss.refusal(&need))
    }

    /// Chooses model and tier for a request that leaves them to the market; of one that names its model, the
    /// tier.
    pub fn choose(&mut self, now: Moment, request: &Request, auto: &Auto) -> Result<Choice, Refusal> {
        self.wake(now);
        let shelves: Vec<ShelfId> = match &request.model {
            Wish::Any => self.widest(now),
            named @ Wish::Named(_) => self.shelves.find(named, request.kind).into_iter().collect(),
        };
        let (Some(first), mut misses) = (shelves.first().copied(), Miss::Kind) else {
            return Err(matching::nothing_answers(&request.model));
        };
        for shelf in &shelves {
            self.look_at_asks(now, *shelf);
        }
        let looks_max = (CHOICE_LOOKS_MAX / (shelves.len() * Tier::ALL.len())).clamp(1, LOOKS_MAX);
        let mut estimates = Vec::new();
        for tier in Tier::ALL {
            let request = Request { tier, ..request.clone() };
            for shelf in &shelves {
                match self.estimate_on(now, &self.need_of(now, &request, *shelf), *shelf, looks_max) {
                    Ok(estimate) => estimates.push(estimate),
                    Err(miss) => misses = misses.or(miss),
                }
            }
        }
        if estimates.is_empty() {
            return Err(misses.refusal(&self.need_of(now, request, first)));
        }
        auto::choose(auto, &estimates)
    }

    /// Returns the families among which a model is chosen. Where there are more, all of them were looked at a while
    /// ago.
    fn widest(&mut self, now: Moment) -> Vec<ShelfId> {
        if self.shelves.family_count() > FAMILIES_MAX
            && let Some((at, known)) = &self.widest
            && now.since(*at) < WIDEST_FRESH
        {
            let there: Vec<ShelfId> =
                known.iter().copied().filter(|id| self.shelves.is_family(*id)).collect();
            if !there.is_empty() {
                return there;
            }
        }
        let widest = self.shelves.widest_families(FAMILIES_MAX);
        self.widest = Some((now, widest.clone()));
        widest
    }

    /// Estimates the answer of those on a shelf among whom a job would be drawn now; where all of them are
    /// busy, of those for whom it would wait. So many are looked at at most.
    fn estimate_on(
        &self,
        now: Moment,
        need: &Need<'_>,
        shelf: ShelfId,
        looks_max: usize,
    ) -> Result<Estimate, Miss> {
        let open = self.asked_first(now, need, shelf, looks_max);
        let is_open = !open.is_empty();
        let offers = if is_open { open } else { self.waited_for(now, need, shelf, looks_max)? };
        let stock = |at: StockRef| {
            let session = self.session(at.session);
            (session, &session.stocks[usize::from(at.stock)])
        };
        let mean = |figure: &dyn Fn(&Session, &Stock, &Fit) -> f64| {
            let figures = offers.iter().map(|(at, fit)| {
                let (session, stock) = stock(*at);
                figure(session, stock, fit)
            });
            figures.sum::<f64>() / whole(offers.len() as u64)
        };
        let request = need.request;
        let tokens = |fit: &Fit| self.lengths.usual(&self.terms).min(fit.answer_tokens_max);
        let cost = |fit: &Fit| {
            let cost = fit.price.cost(request.prompt_tokens, tokens(fit)).unwrap_or(Nanos::MAX);
            whole(cost.get().unsigned_abs())
        };
        let first_token = mean(&|_, stock, _| stock.speed.first_token(&self.terms) * 1_000.0);
        let generation = mean(&|_, stock, fit| {
            whole(tokens(fit)) * 1_000.0 / stock.speed.tokens_per_second(&self.terms).max(0.001)
        });
        let success = mean(&|session, _, _| {
            session.reliability.success(&self.terms, now) * session.reliability.stability()
        });
        let quality = mean(&|session, stock, _| self.quality(now, session, stock));
        let cost = rounded(mean(&|_, _, fit| cost(fit)).ceil());
        let dearest = offers.iter().map(|(_, fit)| fit.bound).max_by_key(|bound| bound.amount());
        let (first, fit) = offers.first().ok_or(Miss::Kind)?;
        let (_, best) = stock(*first);
        let dearest = self.cover(now, need, shelf, dearest.unwrap_or(fit.bound));
        Ok(Estimate {
            model: model_name::plain(&best.offer.model),
            tier: request.tier,
            offers: offers.len(),
            prompt_tokens: request.prompt_tokens,
            answer_tokens: tokens(fit),
            answer_tokens_max: fit.answer_tokens_max,
            cost: Nanos::new(i64::try_from(cost).unwrap_or(i64::MAX)),
            cost_max: dearest.amount(),
            first_token: Span(rounded(first_token)),
            time: Span(rounded(first_token + generation)),
            success_permille: rounded(success * 1_000.0),
            quality_permille: rounded(quality * 1_000.0),
            is_ready: is_open && best.offer.loaded,
        })
    }

    fn asked_first(
        &self,
        now: Moment,
        need: &Need<'_>,
        shelf: ShelfId,
        looks_max: usize,
    ) -> Vec<(StockRef, Fit)> {
        let routing = need.request.routing.as_deref();
        let favourite = routing.and_then(|routing| self.favourite(now, need, shelf, routing, looks_max));
        if let Some((place, fit)) = favourite {
            return vec![(place.at, fit)];
        }
        let best = self.drawn_from(now, need, shelf, looks_max);
        best.into_iter().map(|(place, fit)| (place.at, fit)).collect()
    }

    fn waited_for(
        &self,
        now: Moment,
        need: &Need<'_>,
        shelf: ShelfId,
        looks_max: usize,
    ) -> Result<Vec<(StockRef, Fit)>, Miss> {
        let (mut offers, mut misses) = (Vec::new(), Miss::Kind);
        for at in self.shelves.at(shelf).members.iter().take(looks_max) {
            match self.fits(now, need, *at) {
                Ok(fit) => offers.push((*at, fit)),
                Err(miss) => misses = misses.or(miss),
            }
        }
        if offers.is_empty() { Err(misses) } else { Ok(offers) }
    }

    /// Returns how good an offer's answers can be expected to be. The size that a model's name says is
    /// believed of owners who are known: a name costs nothing.
    fn quality(&self, now: Moment, session: &Session, stock: &Stock) -> f64 {
        let said = size::billions(&stock.offer.model);
        let is_known = session.is_upstream || session.standing.has_voice(&self.terms, now);
        let believed = said.map(|size| if is_known { size } else { size.min(BILLIONS_ASSUMED) });
        auto::quality(believed, matching::highest_tier(&self.terms, now, session, stock))
    }
}
