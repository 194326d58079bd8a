//! The house: what every handler and session shares.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use dashmap::DashMap;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use metrics_exporter_prometheus::PrometheusHandle;
use rekursing_protocol::{
    AccountId, CampaignId, GroupId, JobId, KeyId, Moment, PhoneId, PluginId, SessionId, Span, TeamId,
};
use tokio::sync::Semaphore;

use crate::{
    ads::Ads,
    chance,
    channels::Channels,
    config::Config,
    crowds::Crowds,
    desk::Desk,
    devices::Devices,
    disputes::Disputes,
    downloads::Downloads,
    gate::Passed,
    groups::Codes,
    http::Written,
    memory::Memory,
    pairings::Pairings,
    payouts::Payouts,
    phones::Phones,
    quality::Qualities,
    receipt::{self, Seal},
    replay::Replays,
    roll::Roll,
    store::Holder,
    switches::Switches,
    top_ups::TopUps,
    upstream::Upstreams,
};

/// What every handler and session shares.
#[derive(Debug)]
pub struct House {
    /// The numbers.
    pub config: Config,
    /// The desk.
    pub desk: Desk,
    /// The ads.
    pub ads: Arc<Ads>,
    /// Owners' payouts.
    pub payouts: Arc<Payouts>,
    /// Disputes of jobs.
    pub disputes: Disputes,
    /// Registered plugins.
    pub plugins: Roll,
    /// What plugins with a device key sign, and get for it.
    pub devices: Devices,
    /// Codes that pair plugins with accounts.
    pub pairings: Pairings<AccountId, PluginId>,
    /// Owners' phones.
    pub phones: Phones,
    /// API keys in use.
    pub keys: Arc<Keys>,
    /// Answers for callers who ask again.
    pub replays: Replays,
    /// What calls have paid for to be let through.
    pub passed: Passed,
    /// How pages pay in, where the operator has set that up.
    pub top_ups: Option<TopUps>,
    /// Direct providers.
    pub upstreams: Upstreams,
    /// What signs receipts.
    pub seal: Seal,
    /// What makes the tokens by which visitors read theirs.
    pub receipts: receipt::Tokens,
    /// Codes by which one joins a group.
    pub codes: Codes,
    /// Codes by which one joins a team.
    pub team_codes: Codes,
    /// Which models the public list of served jobs names.
    pub crowds: Crowds,
    /// What owners show of themselves, and who watches.
    pub channels: Channels,
    /// What the operator has switched off.
    pub switches: Arc<Switches>,
    /// Extensions to install.
    pub downloads: Downloads,
    /// What pages think of answers.
    pub qualities: Qualities,
    /// Lists for anybody.
    pub written: Written,
    /// Live sessions, counted.
    pub sessions: Places,
    /// Calls per address.
    pub rates: Rates,
    /// Memory for requests that are read, wait or run, and for what is kept of their answers.
    pub memory: Memory,
    /// Turns at reading long prompts and answers.
    pub long_reads: Arc<Semaphore>,
    /// Whether the relay is about to stop.
    pub draining: AtomicBool,
    /// Where metrics are read from.
    pub metrics: PrometheusHandle,
}

/// Longest text that is read and counted where it arrives: a longer one would keep other streams waiting.
pub const READ_AT_ONCE_BYTES: usize = 16 * 1024;

impl House {
    /// Makes an id for a session.
    pub fn session_id(&self) -> SessionId {
        let (ms, random) = chance::id(self.desk.now());
        SessionId::new(ms, random)
    }

    /// Makes an id for a job.
    pub fn job_id(&self) -> JobId {
        chance::job_id(self.desk.now())
    }

    /// Makes an id for a phone.
    pub fn phone_id(&self) -> PhoneId {
        let (ms, random) = chance::id(self.desk.now());
        PhoneId::new(ms, random)
    }

    /// Makes an id for a plugin.
    pub fn plugin_id(&self) -> PluginId {
        let (ms, random) = chance::id(self.desk.now());
        PluginId::new(ms, random)
    }

    /// Reads something long beside the streams. `None` when reading it panics.
    ///
    /// What has begun goes on when nobody waits for it any more: until it has ended it has its turn, and what it
    /// reads must have its room, so that room is to be moved into `read`.
    pub async fn aside<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        // Two at once are enough to keep the processors busy; the others wait their turn.
        let turn = Arc::clone(&self.long_reads).acquire_owned().await;
        let read = move || {
            let read = read();
            drop(turn);
            read
        };
        tokio::task::spawn_blocking(read).await.ok()
    }

    /// Makes an id for a group.
    pub fn group_id(&self) -> GroupId {
        let (ms, random) = chance::id(self.desk.now());
        GroupId::new(ms, random)
    }

    /// Makes an id for a team.
    pub fn team_id(&self) -> TeamId {
        let (ms, random) = chance::id(self.desk.now());
        TeamId::new(ms, random)
    }

    /// Makes an id for a campaign.
    pub fn campaign_id(&self) -> CampaignId {
        let (ms, random) = chance::id(self.desk.now());
        CampaignId::new(ms, random)
    }

    /// Tells whether the relay is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// API keys in use, by their hash: whose money each may spend, and how.
#[derive(Debug, Default)]
pub struct Keys {
    holders: DashMap<[u8; 32], Holder>,
    /// How often everything was forgotten.
    age: AtomicU64,
}

/// When a key was begun to be looked up.
#[derive(Debug, Clone, Copy)]
pub struct Age(u64);

impl Keys {
    /// Returns who holds a known key.
    pub fn holder(&self, hash: &[u8; 32]) -> Option<Holder> {
        self.holders.get(hash).map(|holder| holder.clone())
    }

    /// Begins to look a key up.
    pub fn age(&self) -> Age {
        Age(self.age.load(Ordering::SeqCst))
    }

    /// Keeps what was found, unless everything was forgotten meanwhile: the key may be one that was
    /// revoked behind the look.
    pub fn keep(&self, hash: [u8; 32], holder: Holder, looked: Age) {
        self.holders.insert(hash, holder);
        if self.age().0 != looked.0 {
            self.holders.remove(&hash);
        }
    }

    /// Forgets every key, so that each is looked up anew.
    pub fn forget(&self) {
        self.age.fetch_add(1, Ordering::SeqCst);
        self.holders.clear();
    }
}

/// A count of what is open.
#[derive(Debug, Default)]
pub struct Places(AtomicUsize);

impl Places {
    /// Takes a place. Returns `false` when it is one too many; the place is taken all the same, so
    /// that every `enter` has its `leave`.
    pub fn enter(&self, limit: usize) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) < limit
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns how many places are taken.
    pub fn taken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// For how long no token of the operator's is looked at from where too many wrong ones came.
const BARRED: Span = Span::secs(60);

/// How often one address may do what.
#[derive(Debug)]
pub struct Rates {
    registrations: DefaultKeyedRateLimiter<IpAddr>,
    connects: DefaultKeyedRateLimiter<IpAddr>,
    free_requests: DefaultKeyedRateLimiter<IpAddr>,
    estimates: DefaultKeyedRateLimiter<AccountId>,
    ratings: DefaultKeyedRateLimiter<AccountId>,
    own_calls: DefaultKeyedRateLimiter<KeyId>,
    owner_calls: DefaultKeyedRateLimiter<PluginId>,
    channels: DefaultKeyedRateLimiter<PluginId>,
    agent_messages: DefaultKeyedRateLimiter<IpAddr>,
    keys: DefaultKeyedRateLimiter<IpAddr>,
    challenges: DefaultKeyedRateLimiter<IpAddr>,
    passes: DefaultKeyedRateLimiter<PluginId>,
    group_tries: DefaultKeyedRateLimiter<IpAddr>,
    outlooks: DefaultKeyedRateLimiter<PluginId>,
    phones: DefaultKeyedRateLimiter<PhoneId>,
    payouts: DefaultKeyedRateLimiter<PluginId>,
    voices: DefaultKeyedRateLimiter<IpAddr>,
    wrong_tokens: DefaultKeyedRateLimiter<IpAddr>,
    /// Until when no token is looked at from these addresses.
    barred: DashMap<IpAddr, Moment>,
}

/// How often a plugin may change something about its payouts: they are all changed in one line.
const PAYOUT_CHANGES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).unwrap();

/// How often an address may ask for something to sign.
const CHALLENGES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(120).unwrap();

/// How often a plugin may get a pass.
const PASSES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(12).unwrap();

/// How often a phone may look or wish: one that is looked at looks every ten seconds.
const PHONE_CALLS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// How often a plugin may ask for its outlook.
const OUTLOOKS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(12).unwrap();

/// How often an address may give a thumb or open a dispute.
const VOICES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(120).unwrap();

/// How often an account may have a task rated by its objectives.
const RATINGS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(300).unwrap();

impl Rates {
    /// Sets up the limits of a config.
    pub fn new(config: &Config) -> Rates {
        let quota = |count: u32| Quota::per_minute(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN));
        let per_minute = |count: u32| RateLimiter::keyed(quota(count));
        Rates {
            registrations: per_minute(config.limits.registrations_per_minute),
            connects: per_minute(config.limits.connects_per_minute),
            free_requests: per_minute(config.limits.free_requests_per_minute),
            estimates: RateLimiter::keyed(quota(config.limits.estimates_per_minute)),
            ratings: RateLimiter::keyed(Quota::per_minute(RATINGS_PER_MINUTE)),
            own_calls: RateLimiter::keyed(quota(config.limits.own_calls_per_minute)),
            owner_calls: RateLimiter::keyed(quota(config.limits.own_calls_per_minute)),
            channels: RateLimiter::keyed(quota(config.limits.channel_changes_per_minute)),
            agent_messages: per_minute(config.limits.mcp_messages_per_minute),
            keys: per_minute(config.limits.keys_per_minute),
            challenges: RateLimiter::keyed(Quota::per_minute(CHALLENGES_PER_MINUTE)),
            passes: RateLimiter::keyed(Quota::per_minute(PASSES_PER_MINUTE)),
            group_tries: per_minute(config.limits.group_tries_per_minute),
            outlooks: RateLimiter::keyed(Quota::per_minute(OUTLOOKS_PER_MINUTE)),
            phones: RateLimiter::keyed(Quota::per_minute(PHONE_CALLS_PER_MINUTE)),
            payouts: RateLimiter::keyed(Quota::per_minute(PAYOUT_CHANGES_PER_MINUTE)),
            voices: RateLimiter::keyed(Quota::per_minute(VOICES_PER_MINUTE)),
            wrong_tokens: per_minute(config.limits.wrong_tokens_per_minute),
            barred: DashMap::new(),
        }
    }

    /// Counts a registration.
    pub fn registration(&self, address: IpAddr) -> bool {
        self.registrations.check_key(&address).is_ok()
    }

    /// Counts a change of a plugin's payouts.
    pub fn payout(&self, plugin: PluginId) -> bool {
        self.payouts.check_key(&plugin).is_ok()
    }

    /// Counts a thumb that is given, or a dispute that is opened.
    pub fn voice(&self, address: IpAddr) -> bool {
        self.voices.check_key(&address).is_ok()
    }

    /// Counts a nonce that is asked for.
    pub fn challenge(&self, address: IpAddr) -> bool {
        self.challenges.check_key(&address).is_ok()
    }

    /// Counts a pass of a plugin's.
    pub fn pass(&self, plugin: PluginId) -> bool {
        self.passes.check_key(&plugin).is_ok()
    }

    /// Counts a plugin's look at its outlook.
    pub fn outlook(&self, plugin: PluginId) -> bool {
        self.outlooks.check_key(&plugin).is_ok()
    }

    /// Counts a call of a phone's.
    pub fn phone(&self, phone: PhoneId) -> bool {
        self.phones.check_key(&phone).is_ok()
    }

    /// Counts a plugin's connection.
    pub fn connect(&self, address: IpAddr) -> bool {
        self.connects.check_key(&address).is_ok()
    }

    /// Counts a request without an API key.
    pub fn free_request(&self, address: IpAddr) -> bool {
        self.free_requests.check_key(&address).is_ok()
    }

    /// Counts an estimate for an account.
    pub fn estimate(&self, account: AccountId) -> bool {
        self.estimates.check_key(&account).is_ok()
    }

    /// Counts a task that an account has rated.
    pub fn rating(&self, account: AccountId) -> bool {
        self.ratings.check_key(&account).is_ok()
    }

    /// Counts a call about an account with one of its keys.
    pub fn own_call(&self, key: KeyId) -> bool {
        self.own_calls.check_key(&key).is_ok()
    }

    /// Counts a call about a plugin.
    pub fn owner_call(&self, plugin: PluginId) -> bool {
        self.owner_calls.check_key(&plugin).is_ok()
    }

    /// Counts a change of a plugin's channel.
    pub fn channel(&self, plugin: PluginId) -> bool {
        self.channels.check_key(&plugin).is_ok()
    }

    /// Counts a message of an agent's.
    pub fn agent_message(&self, address: IpAddr) -> bool {
        self.agent_messages.check_key(&address).is_ok()
    }

    /// Counts a key that a page makes.
    pub fn key(&self, address: IpAddr) -> bool {
        self.keys.check_key(&address).is_ok()
    }

    /// Counts a call that changes a group or tries a code.
    pub fn group_try(&self, address: IpAddr) -> bool {
        self.group_tries.check_key(&address).is_ok()
    }

    /// Counts a wrong token of the operator's. Of too many, the right one is not seen for a minute either:
    /// else who guesses would learn it all the same.
    pub fn wrong_token(&self, now: Moment, address: IpAddr) {
        if self.wrong_tokens.check_key(&address).is_err() {
            self.barred.insert(address, now + BARRED);
        }
    }

    /// Tells whether no token is looked at from an address.
    pub fn is_barred(&self, now: Moment, address: IpAddr) -> bool {
        self.barred.get(&address).is_some_and(|until| now < *until)
    }

    /// Forgets addresses and plugins that have been quiet.
    pub fn tidy(&self, now: Moment) {
        let Rates { registrations, connects, free_requests, keys, challenges, passes, .. } = self;
        let Rates { outlooks, payouts, phones, wrong_tokens, group_tries, barred, .. } = self;
        let Rates { estimates, ratings, own_calls, owner_calls, channels, .. } = self;
        let Rates { agent_messages, voices, .. } = self;
        for rate in [registrations, connects, free_requests, keys, challenges, wrong_tokens, group_tries] {
            rate.retain_recent();
        }
        agent_messages.retain_recent();
        voices.retain_recent();
        for rate in [estimates, ratings] {
            rate.retain_recent();
        }
        own_calls.retain_recent();
        for rate in [passes, outlooks, payouts, owner_calls, channels] {
            rate.retain_recent();
        }
        phones.retain_recent();
        barred.retain(|_, until| now < *until);
    }
}

#[cfg(test)]
mod tests {
    use rekursing_market::{Limits, Spender};
    use std::sync::mpsc;

    use super::*;
    use crate::relay;

    #[tokio::test]
    async fn what_is_read_beside_the_streams_has_its_turn_until_its_end_also_when_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::parse(&format!("data_dir = {:?}", folder.path())).unwrap();
        let house = relay::open(config).unwrap();
        let (begun, begins) = mpsc::channel();
        let (go, goes) = mpsc::channel::<()>();
        let mut read = Box::pin(house.aside(move || {
            begun.send(()).unwrap();
            goes.recv().unwrap();
        }));
        assert!(futures_util::poll!(&mut read).is_pending());
        begins.recv().unwrap();
        drop(read);
        assert_eq!(house.long_reads.available_permits(), 1);
        go.send(()).unwrap();
        let both = house.long_reads.acquire_many(2).await.unwrap();
        assert_eq!(both.num_permits(), 2);
        house.desk.store().stop();
    }

    #[test]
    fn a_key_that_is_revoked_while_it_is_looked_up_is_not_kept() {
        let (keys, account) = (Keys::default(), AccountId::from_bits(1));
        let spender = Spender { key: KeyId::from_bits(1), limits: Limits::default(), maker: None };
        let holder = Holder { account, spender: Arc::new(spender), is_verified: false };
        let is_known = |keys: &Keys| keys.holder(&[1; 32]).is_some();
        let looked = keys.age();
        keys.keep([1; 32], holder.clone(), looked);
        assert!(is_known(&keys));
        keys.forget();
        assert!(!is_known(&keys));
        keys.keep([1; 32], holder.clone(), looked);
        assert!(!is_known(&keys), "the look was before the revocation");
        keys.keep([1; 32], holder, keys.age());
        assert!(is_known(&keys));
    }
}
