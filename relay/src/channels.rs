//! Channels: what owners show of themselves, and how everybody's service goes at this moment, told to whoever
//! watches.
//!
//! Which providers there are, with their models and prices, is told of everybody. How they are doing right now
//! is told of those alone who have opened a channel: see `docs/http.md`.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use anyhow::Result;
use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::Mutex;
use rekursing_market::{ModelView, OfferView, SessionView};
use rekursing_protocol::{Day, Hour, Moment, PluginId, Serves, Span};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::{
    fresh::Fresh,
    house::House,
    http::figures::{dollars, tokens_per_second},
    seats::{Seat, Seats},
    store::{Channel, Leader, LeadingTeam, ServedInAll, Standard, Uptime, Watched},
    switches::{Feature, Switches},
};

/// Most providers that are told of at once, those with a channel first.
pub const SHOWN_MAX: usize = 500;

/// Models of an hour of which it is kept for how long they could be asked for, those of most providers first: names
/// come from plugins, which can invent them.
const MODELS_PER_HOUR_MAX: usize = 500;

/// Minutes between looks at what is told of longer times.
const UPTIMES_EVERY: u64 = 10;

/// Minutes that are over of which it is remembered which models could be asked for: five with the present one.
const MINUTES_REMEMBERED: usize = 4;

/// Those who watch from one address at once.
const WATCHERS_PER_ADDRESS: usize = 50;

/// For how long a look at everybody is good.
const SEEN_FRESH: Span = Span::millis(900);

/// For how long a leaderboard is good.
const LEADERS_FRESH: Span = Span::secs(60);

/// Leaderboards.
const BOARDS: usize = 9;

/// Channels of which it is kept what was told a moment ago.
const PAGES_MAX: usize = 1_000;

/// Places of a leaderboard.
const LEADERS_MAX: u64 = 50;

/// Of how many answers and failures a reliability is known.
const RELIABLE_JOBS_MIN: u64 = 20;

/// What is told to whoever watches: everything, and what has changed since the message before.
#[derive(Debug, Clone)]
pub struct Aired {
    /// Counts messages.
    pub number: u64,
    /// Everything, as the event `live`.
    pub whole: Bytes,
    /// What is different from the message before, as the event `changes`.
    pub changes: Bytes,
}

/// Over which time leaders are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Over {
    /// This UTC day.
    Day,
    /// This one and the six before.
    Week,
    /// All of it.
    All,
}

impl Over {
    /// Returns the UTC day from which on it counts.
    fn from(self, now: Moment) -> Day {
        Day(match self {
            Over::Day => now.day(),
            Over::Week => now.day().saturating_sub(6),
            Over::All => 0,
        })
    }
}

/// All channels, and who watches.
#[derive(Debug)]
pub struct Channels {
    /// Channels are opened and closed one after the other, so that the store has them as they are here.
    pub changing: tokio::sync::Mutex<()>,
    open: DashMap<PluginId, Channel>,
    switches: Arc<Switches>,
    aired: watch::Sender<Aired>,
    /// Who watches.
    seats: Seats,
    seen: Mutex<Option<(Moment, Arc<Value>)>>,
    leaders: Fresh<(Standard, Over), Vec<Leader>>,
    teams: Fresh<(Standard, Over), Vec<LeadingTeam>>,
    /// What is told of one channel.
    pages: Fresh<PluginId, Value>,
    known: Mutex<Known>,
}

/// What is looked up from time to time.
#[derive(Debug, Default)]
struct Known {
    /// What is shown, by provider.
    shown: Vec<(PluginId, Value)>,
    totals: Value,
    served: HashMap<PluginId, ServedInAll>,
    uptimes: HashMap<String, Uptime>,
    /// The models that are kept of this hour, which is counted as the store does.
    kept: (u64, HashSet<String>),
    /// Minutes since the start.
    looks: u64,
    /// The models that could be asked for in the latest minutes.
    minutes: VecDeque<HashSet<String>>,
}

impl Channels {
    /// Takes the channels that are stored.
    pub fn new(channels: Vec<Channel>, switches: Arc<Switches>) -> Channels {
        let aired = Aired { number: 0, whole: Bytes::new(), changes: Bytes::new() };
        Channels {
            changing: tokio::sync::Mutex::default(),
            open: channels.into_iter().map(|channel| (channel.plugin, channel)).collect(),
            switches,
            aired: watch::Sender::new(aired),
            seats: Seats::default(),
            seen: Mutex::default(),
            leaders: Fresh::new(LEADERS_FRESH, BOARDS),
            teams: Fresh::new(LEADERS_FRESH, BOARDS),
            pages: Fresh::new(SEEN_FRESH, PAGES_MAX),
            known: Mutex::default(),
        }
    }

    /// Returns a plugin's channel.
    pub fn find(&self, plugin: PluginId) -> Option<Channel> {
        self.open.get(&plugin).map(|channel| channel.clone())
    }

    /// Tells whether something is shown of a plugin.
    fn is_open(&self, plugin: PluginId) -> bool {
        self.switches.is_on(Feature::Channels) && self.open.contains_key(&plugin)
    }

    /// Opens a channel, or changes it.
    pub fn put(&self, channel: Channel) {
        self.pages.forget(channel.plugin);
        let shows_earnings = channel.shows_earnings;
        let before = self.open.insert(channel.plugin, channel);
        // Another text moves nobody among the leaders.
        if before.is_none_or(|before| before.shows_earnings != shows_earnings) {
            self.leaders.clear();
            self.regrouped();
        }
    }

    /// Closes a channel.
    pub fn close(&self, plugin: PluginId) {
        self.open.remove(&plugin);
        self.pages.forget(plugin);
        self.leaders.clear();
        self.regrouped();
    }

    /// Notes that teams have changed.
    pub fn regrouped(&self) {
        self.teams.clear();
    }

    /// Notes that somebody follows a channel, or does no more.
    pub fn followed(&self, plugin: PluginId) {
        self.pages.forget(plugin);
    }

    /// Returns what is told of a channel, as of a second ago at most, or looks it up.
    ///
    /// # Errors
    /// Those of the look.
    pub async fn page<E>(
        &self,
        now: Moment,
        plugin: PluginId,
        look: impl Future<Output = Result<Value, E>>,
    ) -> Result<Arc<Value>, E> {
        self.pages.of(now, plugin, look).await
    }

    /// Takes a seat for somebody who watches from this address, if there is one: so many there are in all.
    pub fn seat(&self, address: IpAddr, most: usize) -> Option<Seat> {
        self.seats.take(address, most, WATCHERS_PER_ADDRESS)
    }

    /// Returns what is told from here on.
    pub fn watch(&self) -> watch::Receiver<Aired> {
        self.aired.subscribe()
    }

    /// Tells whoever watches what is different from before.
    pub fn air(&self, house: &House) {
        if self.aired.receiver_count() == 0 {
            return;
        }
        let (shown, totals) = self.look(house);
        let mut known = self.known.lock();
        let changes = changes(&known.shown, &shown, &known.totals, &totals);
        let Some(changes) = changes else { return };
        let whole = event("live", &whole(&shown, &totals));
        (known.shown, known.totals) = (shown, totals);
        drop(known);
        self.aired.send_modify(|aired| {
            *aired = Aired { number: aired.number + 1, whole, changes: event("changes", &changes) };
        });
    }

    /// Returns everything as it was a second ago at most: to see it takes a look at every session.
    pub fn now(&self, house: &House) -> Arc<Value> {
        let now = house.desk.now();
        // Who comes meanwhile waits for this look.
        let mut known = self.seen.lock();
        if let Some((at, seen)) = &*known
            && now.since(*at) < SEEN_FRESH
        {
            return Arc::clone(seen);
        }
        let (shown, totals) = self.look(house);
        let seen = Arc::new(whole(&shown, &totals));
        *known = Some((now, Arc::clone(&seen)));
        seen
    }

    /// Returns one provider as it is at this moment, where it is live and public.
    pub fn now_of(&self, house: &House, plugin: PluginId) -> Option<Value> {
        let session = house.desk.session_of(plugin).filter(is_public)?;
        Some(self.view(house, &session, &at_work(house)))
    }

    fn look(&self, house: &House) -> (Vec<(PluginId, Value)>, Value) {
        let mut sessions = house.desk.sessions();
        sessions.retain(is_public);
        // Those with a channel come first; among equals, who came first.
        sessions.sort_by_key(|session| !self.is_open(session.plugin));
        sessions.truncate(SHOWN_MAX);
        let at_work = at_work(house);
        let shown =
            sessions.iter().map(|session| (session.plugin, self.view(house, session, &at_work))).collect();
        let counts = house.desk.counts();
        let totals = json!({
            "providers": counts.sessions,
            "slots": counts.slots,
            "jobsRunning": counts.running,
            "jobsWaiting": counts.waiting,
            "jobsCompleted": counts.completed,
        });
        (shown, totals)
    }

    fn view(&self, house: &House, session: &SessionView, at_work: &HashMap<PluginId, Work>) -> Value {
        let face = house.desk.face(session.session);
        let models: Vec<Value> = session.offers.iter().map(model).collect();
        let mut view = json!({
            "pluginId": session.plugin,
            "name": face.as_ref().map(|face| &*face.name).unwrap_or_default(),
            "gpu": face.as_ref().map(|face| face.gpu.name()),
            "gpuClass": face.as_ref().map(|face| face.gpu.class),
            "models": models,
            "slots": session.slots,
            "paused": session.paused,
            "since": session.since,
            "channel": Value::Null,
        });
        if self.is_open(session.plugin) {
            let served = self.known.lock().served.get(&session.plugin).copied().unwrap_or_default();
            let work = at_work.get(&session.plugin).copied().unwrap_or_default();
            view["channel"] = json!({
                "jobsNow": work.jobs,
                "tokensPerSecondNow": tokens_per_second(work.millitokens_per_second).unwrap_or_default(),
                "jobs": served.jobs,
                "answerTokens": served.answer_tokens,
                "successPermille": session.success_permille,
                "quality": house.qualities.of(session.plugin),
            });
        }
        view
    }

    /// Returns who leads, as of a minute ago at most.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn leaders(&self, house: &House, standard: Standard, over: Over) -> Result<Arc<Vec<Leader>>> {
        let now = house.desk.now();
        let look = house.desk.store().leaders(standard, over.from(now), RELIABLE_JOBS_MIN, LEADERS_MAX);
        self.leaders.of(now, (standard, over), look).await
    }

    /// Returns which teams lead, as of a minute ago at most.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn leading_teams(
        &self,
        house: &House,
        standard: Standard,
        over: Over,
    ) -> Result<Arc<Vec<LeadingTeam>>> {
        let now = house.desk.now();
        let store = house.desk.store();
        let look = store.leading_teams(standard, over.from(now), RELIABLE_JOBS_MIN, LEADERS_MAX);
        self.teams.of(now, (standard, over), look).await
    }

    /// Returns how much of the time a model that can be asked for could be: of the latest minutes, this one among
    /// them, of a day and of 30 days, in thousandths.
    pub fn uptime(&self, model: &str) -> Value {
        let known = self.known.lock();
        let uptime = known.uptimes.get(model);
        json!({
            "fiveMinutes": known.latest_permille(model),
            "day": uptime.map(|uptime| uptime.day_permille),
            "thirtyDays": uptime.map(|uptime| uptime.month_permille),
        })
    }

    /// Notes what became of jobs in the minute that was begun, before the relay ends.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn end(&self, house: &House) -> Result<()> {
        let outcomes = house.desk.take_outcomes();
        let watched = Watched { outcomes, ..Watched::default() };
        house.desk.store().watched(house.desk.now(), watched).await
    }

    /// Notes what is seen in this minute, and looks up what is told of longer times.
    ///
    /// # Errors
    /// When the store cannot be written or read.
    pub async fn minute(&self, house: &House) -> Result<()> {
        let now = house.desk.now();
        let present = house.desk.sessions().into_iter().filter(is_public).map(|session| session.plugin);
        let present = present.filter(|plugin| self.is_open(*plugin)).collect();
        let views = house.desk.models();
        let (models, is_due) = {
            let mut known = self.known.lock();
            known.minutes.push_back(views.iter().map(|model| model.id.clone()).collect());
            while known.minutes.len() > MINUTES_REMEMBERED {
                known.minutes.pop_front();
            }
            known.looks += 1;
            (known.keep(Hour::of(now).0, &views), known.looks % UPTIMES_EVERY == 1)
        };
        let outcomes = house.desk.take_outcomes();
        let store = house.desk.store();
        store.watched(now, Watched { present, models, outcomes }).await?;
        let served = store.served_in_all().await?.into_iter().collect();
        self.known.lock().served = served;
        if is_due {
            house.qualities.look(store, now).await?;
            let uptimes = store.uptimes(now).await?;
            let uptimes = uptimes.into_iter().map(|uptime| (uptime.model.clone(), uptime)).collect();
            self.known.lock().uptimes = uptimes;
        }
        Ok(())
    }
}

impl Known {
    /// Returns in how many thousandths of the latest minutes a model could be asked for that can be now.
    fn latest_permille(&self, model: &str) -> usize {
        let seen = self.minutes.iter().filter(|models| models.contains(model)).count();
        (seen + 1) * 1_000 / (self.minutes.len() + 1)
    }

    /// Returns those of the models of which this minute is kept.
    fn keep(&mut self, hour: u64, views: &[ModelView]) -> Vec<String> {
        if self.kept.0 != hour {
            self.kept = (hour, HashSet::new());
        }
        let mut views: Vec<&ModelView> = views.iter().collect();
        views.sort_by_key(|view| Reverse(view.providers));
        let kept = &mut self.kept.1;
        let mut models = Vec::new();
        for view in views {
            if kept.contains(&view.id) || kept.len() < MODELS_PER_HOUR_MAX {
                kept.insert(view.id.clone());
                models.push(view.id.clone());
            }
        }
        models
    }
}

/// Writes an event, once for all who watch.
pub fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// What friends have among themselves is nobody else's business.
fn is_public(session: &SessionView) -> bool {
    session.serves != Serves::Group
}

fn model(view: &OfferView) -> Value {
    let OfferView { offer, ask, millitokens_per_second } = view;
    json!({
        "id": offer.model,
        "quantization": offer.quantization,
        "context": offer.context,
        "loaded": offer.loaded,
        "browser": offer.browser,
        "price": { "input": dollars(ask.input), "output": dollars(ask.output) },
        "tokensPerSecond": tokens_per_second(*millitokens_per_second),
    })
}

/// What a provider is doing.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    jobs: u32,
    millitokens_per_second: u64,
}

/// Tells who is at work on what is streamed at this moment.
fn at_work(house: &House) -> HashMap<PluginId, Work> {
    let mut at_work: HashMap<PluginId, Work> = HashMap::new();
    for (plugin, millitokens_per_second) in house.desk.paces() {
        let work = at_work.entry(plugin).or_default();
        work.jobs += 1;
        work.millitokens_per_second += millitokens_per_second;
    }
    at_work
}

fn whole(shown: &[(PluginId, Value)], totals: &Value) -> Value {
    let providers: Vec<&Value> = shown.iter().map(|(_, view)| view).collect();
    json!({"totals": totals, "providers": providers})
}

/// Returns what is different; nothing where nothing is.
fn changes(
    before: &[(PluginId, Value)],
    shown: &[(PluginId, Value)],
    totals_before: &Value,
    totals: &Value,
) -> Option<Value> {
    let known: HashMap<PluginId, &Value> = before.iter().map(|(plugin, view)| (*plugin, view)).collect();
    let changed: Vec<&Value> = shown
        .iter()
        .filter(|(plugin, view)| known.get(plugin).is_none_or(|known| *known != view))
        .map(|(_, view)| view)
        .collect();
    let there: HashSet<PluginId> = shown.iter().map(|(plugin, _)| *plugin).collect();
    let gone: Vec<PluginId> =
        before.iter().map(|(plugin, _)| *plugin).filter(|one| !there.contains(one)).collect();
    let mut changes = Map::new();
    if !changed.is_empty() {
        changes.insert("providers".to_owned(), json!(changed));
    }
    if !gone.is_empty() {
        changes.insert("gone".to_owned(), json!(gone));
    }
    if totals != totals_before {
        changes.insert("totals".to_owned(), totals.clone());
    }
    (!changes.is_empty()).then_some(Value::Object(changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_latest_five_minutes_the_present_one_counts_too() {
        let mut known = Known::default();
        assert_eq!(known.latest_permille("m"), 1_000, "nothing was looked at before");
        for model in ["m", "other", "other", "other"] {
            known.minutes.push_back(HashSet::from([model.to_owned()]));
        }
        assert_eq!((known.latest_permille("m"), known.latest_permille("other")), (400, 800));
        assert_eq!(known.minutes.len(), MINUTES_REMEMBERED);
    }

    #[test]
    fn whoever_watches_is_told_who_is_new_who_has_changed_and_who_is_gone_and_nothing_else() {
        let id = PluginId::from_bits;
        let before = [(id(1), json!({"n": 1})), (id(2), json!({"n": 2})), (id(3), json!({"n": 3}))];
        let after = [(id(1), json!({"n": 1})), (id(2), json!({"n": 20})), (id(4), json!({"n": 4}))];
        let totals = json!({"slots": 1});
        let told = changes(&before, &after, &totals, &totals).unwrap();
        assert_eq!(told, json!({"providers": [{"n": 20}, {"n": 4}], "gone": [id(3)]}));
        assert_eq!(changes(&after, &after, &totals, &totals), None);
        let told = changes(&after, &after, &totals, &json!({"slots": 2})).unwrap();
        assert_eq!(told, json!({"totals": {"slots": 2}}));
    }

    #[tokio::test]
    async fn another_text_of_a_channel_leaves_the_leaders_as_they_are() {
        let channels = Channels::new(Vec::new(), Arc::new(Switches::of(Vec::new())));
        let plugin = PluginId::from_bits(1);
        let put = |about: &str, shows_earnings| {
            channels.put(Channel { plugin, about: about.to_owned(), shows_earnings, opened: Moment(0) });
        };
        let looks = Mutex::new(0);
        let looked = async || {
            let look = async {
                *looks.lock() += 1;
                Ok::<_, anyhow::Error>(Vec::new())
            };
            channels.leaders.of(Moment(0), (Standard::Tokens, Over::Day), look).await.unwrap();
            *looks.lock()
        };
        put("one", false);
        assert_eq!(looked().await, 1);
        put("two", false);
        assert_eq!(looked().await, 1);
        put("two", true);
        assert_eq!(looked().await, 2);
        channels.close(plugin);
        assert_eq!(looked().await, 3);
        put("two", true);
        assert_eq!(looked().await, 4);
    }
}
