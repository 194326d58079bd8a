//! What the market shows of itself.

use rekursing_protocol::{GroupId, JobId, KeyId, Moment, PluginId, Price};

use super::Market;
use crate::{
    job::State,
    matching, model_name,
    outcome::Outcome,
    purse::Taken,
    shelf::{Shelf, StockRef},
    tier::Tier,
    view::{Counts, ModelView, OfferView, SessionView, TierView},
};

impl Market {
    /// Tells whether a plugin has a session.
    pub fn is_live(&self, plugin: PluginId) -> bool {
        self.by_plugin.contains_key(&plugin)
    }

    /// Tells whether a job was asked with a key, or with one that was made with it.
    pub fn is_asked_with(&self, job: JobId, key: KeyId) -> bool {
        let spender = self.jobs.get(&job).and_then(|job| job.request.spender.as_ref());
        spender.is_some_and(|spender| spender.line().any(|spender| spender.key == key))
    }

    /// Returns the models that can be asked for, by name: of more than `most` those that most offer. Names come from
    /// plugins, which can invent them, so a look at all offers would take as long as somebody likes. Paused sessions,
    /// those that may be gone and those that serve a group alone do not count.
    pub fn models(&self, now: Moment, most: usize) -> Vec<ModelView> {
        let families = self.shelves.widest_families(most).into_iter();
        let mut models: Vec<ModelView> =
            families.filter_map(|family| self.model_on(now, self.shelves.at(family))).collect();
        models.sort_by(|one, other| one.id.cmp(&other.id));
        models
    }

    /// Returns the model that can be asked for by exactly this name.
    pub fn model(&self, now: Moment, name: &str) -> Option<ModelView> {
        let family = self.shelves.family(name)?;
        self.model_on(now, self.shelves.at(family)).filter(|model| model.id == name)
    }

    fn model_on(&self, now: Moment, shelf: &Shelf) -> Option<ModelView> {
        let mut view: Option<ModelView> = None;
        let mut latest = None;
        let mut tiers = Tier::ALL.map(|tier| (tier, None, None));
        for StockRef { session: at, stock } in &shelf.members {
            let session = self.session(*at);
            if session.is_paused || !session.is_public() || session.is_silent(&self.terms, now) {
                continue;
            }
            let stock = &session.stocks[usize::from(*stock)];
            let offer = &*stock.offer;
            let price = stock.ask;
            let view = view.get_or_insert_with(|| ModelView {
                id: model_name::plain(&offer.model),
                kind: offer.kind,
                providers: 0,
                price_min: price,
                price_max: price,
                millitokens_per_second: 0,
                context: 0,
                quantizations: Vec::new(),
                vision: false,
                tools: false,
                browser: true,
                slots_free: 0,
                pace: self.paces.of(now, &offer.model),
                tiers: Vec::new(),
            });
            // Offers of one session stand side by side.
            view.providers += usize::from(latest.replace(*at) != Some(*at));
            view.price_min = sides(view.price_min, price, u64::min);
            view.price_max = sides(view.price_max, price, u64::max);
            view.millitokens_per_second =
                view.millitokens_per_second.max(stock.speed.millitokens_per_second());
            view.context = view.context.max(offer.context);
            view.vision |= offer.vision;
            view.tools |= offer.tools;
            view.browser &= offer.browser;
            if stock.open.is_some() {
                let free = session.slots.saturating_sub(session.busy());
                view.slots_free += usize::from(free.min(offer.slots.saturating_sub(stock.busy)));
            }
            if !offer.quantization.is_empty()
                && let Err(place) = view.quantizations.binary_search(&offer.quantization)
            {
                view.quantizations.insert(place, offer.quantization.clone());
            }
            for (tier, latest, view) in &mut tiers {
                if matching::reaches(&self.terms, now, session, stock, *tier) {
                    let price = price.scaled(self.terms.tiers.of(*tier).price_permille);
                    let is_another = latest.replace(*at) != Some(*at);
                    count(view, *tier, price, stock.speed.millitokens_per_second(), usize::from(is_another));
                }
            }
        }
        if let Some(view) = &mut view {
            view.tiers = tiers.into_iter().filter_map(|(_, _, view)| view).collect();
        }
        view
    }

    /// Returns the models that a group's plugins offer at this moment, sorted.
    pub fn models_of(&self, group: GroupId) -> Vec<String> {
        let plugins = self.groups.get(group).into_iter().flat_map(|group| group.plugins.keys());
        let sessions = plugins.filter_map(|plugin| Some(self.session(*self.by_plugin.get(plugin)?)));
        let open = sessions.filter(|session| !session.is_paused && !session.is_suspended());
        let mut models: Vec<String> = open
            .flat_map(|session| &session.stocks)
            .map(|stock| model_name::plain(&stock.offer.model))
            .collect();
        models.sort();
        models.dedup();
        models
    }

    /// Tells whether some session refuses something, so that what requests are about has to be known.
    pub const fn is_choosy(&self) -> bool {
        self.refusing > 0
    }

    /// Returns every session whose socket is there, in the order in which they came.
    pub fn sessions(&self) -> Vec<SessionView> {
        let mut sessions: Vec<_> =
            self.sessions.iter().flatten().filter(|session| !session.is_suspended()).collect();
        sessions.sort_by_key(|session| session.arrival);
        sessions.into_iter().map(|session| self.session_view(session)).collect()
    }

    /// Returns the session of a plugin, if it has one whose socket is there.
    pub fn session_of(&self, plugin: PluginId) -> Option<SessionView> {
        let at = usize::try_from(*self.by_plugin.get(&plugin)?).ok()?;
        let session = self.sessions.get(at)?.as_ref().filter(|session| !session.is_suspended())?;
        Some(self.session_view(session))
    }

    fn session_view(&self, session: &crate::session::Session) -> SessionView {
        SessionView {
            session: session.id,
            plugin: session.plugin,
            since: session.since,
            slots: session.slots,
            paused: session.is_paused,
            paused_until: session.paused_until,
            serves: session.serves,
            suspect: session.is_suspect,
            parked: session.breaker.is_tripped(),
            success_permille: crate::record::rounded(
                session.reliability.success(&self.terms, session.alive) * 1_000.0,
            ),
            offers: session
                .stocks
                .iter()
                .map(|stock| OfferView {
                    offer: std::sync::Arc::clone(&stock.offer),
                    ask: stock.ask,
                    millitokens_per_second: stock.speed.millitokens_per_second(),
                })
                .collect(),
        }
    }

    /// Takes what became of plugins' jobs since the last call, for strangers, by plugin.
    pub fn take_outcomes(&mut self) -> Vec<(PluginId, Outcome)> {
        self.outcomes.take()
    }

    /// Returns what a key with a budget, and those made with it, have taken as of this day.
    pub fn taken(&self, now: Moment, key: KeyId) -> Taken {
        self.purses.taken(now, key)
    }

    /// Tells whether a session is there.
    pub fn has_session(&self, session: rekursing_protocol::SessionId) -> bool {
        self.by_session.contains_key(&session)
    }

    /// Returns the jobs that a session has, each with its lease; nothing when the session is gone.
    pub fn jobs_of(&self, session: rekursing_protocol::SessionId) -> Option<Vec<(JobId, u32)>> {
        let at = self.by_session.get(&session)?;
        Some(self.session(*at).jobs.iter().map(|job| (*job, self.jobs[job].lease)).collect())
    }

    /// Returns how much of everything there is, in time that grows with the number of sessions.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            sessions: self.by_session.len() - self.suspended,
            suspended: self.suspended,
            waiting: self.queue.len(),
            running: self.jobs.values().filter(|job| matches!(job.state, State::Running(_))).count(),
            completed: self.tally.completed,
            failed: self.tally.failed,
            refused: self.tally.refused,
            cancelled: self.tally.cancelled,
            retries: self.tally.retries,
            open_holds: self.book.open_holds().len(),
            ..Counts::default()
        };
        for session in self.sessions.iter().flatten().filter(|session| !session.is_suspended()) {
            counts.suspects += usize::from(session.is_suspect);
            counts.parked += usize::from(session.breaker.is_tripped());
            counts.offers += session.stocks.len();
            counts.slots += usize::from(session.slots);
        }
        counts
    }
}

/// Adds an offer to what is to be had in a tier.
fn count(
    view: &mut Option<TierView>,
    tier: Tier,
    price: Price,
    millitokens_per_second: u64,
    providers: usize,
) {
    let (price_min, price_max) = (price, price);
    let view =
        view.get_or_insert(TierView { tier, providers: 0, price_min, price_max, millitokens_per_second: 0 });
    view.providers += providers;
    view.price_min = sides(view.price_min, price, u64::min);
    view.price_max = sides(view.price_max, price, u64::max);
    view.millitokens_per_second = view.millitokens_per_second.max(millitokens_per_second);
}

fn sides(one: Price, other: Price, choose: fn(u64, u64) -> u64) -> Price {
    Price::new(choose(one.input, other.input), choose(one.output, other.output))
}
