//! Random plans: sessions come, bounce and go, pages ask and leave, the process dies and comes back.
//!
//! 300 plans by default; `REKURSING_PLANS=30000 cargo test -p rekursing-market --release plans` makes it
//! two million steps. A plan that breaks something is shrunk and printed as the list of its steps; its seed is kept in
//! `market/proptest-regressions/` and is replayed first on every later run.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use rekursing_protocol::{
    AccountId, FailCode, GroupId, JobId, Moment, Nanos, Offer, OfferKind, PluginId, Price, Serves, SessionId,
    Span, Topics, frame::Inventory, topic::Subject,
};

use super::fixture::{NOW, PAGE, beat, offer, plugin, request, session};
use crate::{
    Account, Assignment, Book, Effect, End, Entry, EntryKind, Group, GroupRefusal, Groups, History, Market,
    Patronage, Payer, Premium, Request, Steps, Terms, Tier, Usage, Wish,
    effort::plans,
    ledger::{Cause, Transfer},
    premium::paid,
};

const POOR: AccountId = AccountId::from_bits(2);
const MODELS: [&str; 4] = ["qwen2.5-7b", "org/Qwen2.5-7B-GGUF", "llama3.2:3b", "vectors"];

/// What an owner sets.
#[derive(Debug, Clone)]
struct Shop {
    models: Vec<(usize, u16, u64)>,
    slots: u16,
    paused: bool,
    serves: Serves,
    refuses: Topics,
}

/// What a page asks.
/// The one visitor without an account.
const VISITOR: u64 = 1;

#[derive(Debug, Clone)]
struct Ask {
    payer: u8,
    model: Option<usize>,
    tier: Tier,
    prompt_tokens: u64,
    answer_tokens_max: Option<u64>,
    is_verified: bool,
    topics: Option<Topics>,
}

/// What becomes of groups.
#[derive(Debug, Clone, Copy)]
enum Regroup {
    /// The plugin makes the group of its number, at a price that may be nothing.
    Create {
        plugin: u64,
        price: u64,
    },
    Price {
        plugin: u64,
        price: u64,
    },
    AddPlugin {
        plugin: u64,
        group: u64,
    },
    AddAccount {
        payer: u8,
        group: u64,
    },
    RemovePlugin {
        plugin: u64,
    },
    RemoveAccount {
        payer: u8,
        group: u64,
    },
}

/// One step of a plan. Jobs are picked by their place among the live ones.
#[derive(Debug, Clone)]
enum Step {
    Join {
        plugin: u64,
        shop: Shop,
    },
    Leave {
        plugin: u64,
    },
    Suspend {
        plugin: u64,
    },
    /// The plugin comes back with every job of an odd number, of an even one, or with all.
    Resume {
        plugin: u64,
        shop: Shop,
        jobs: u8,
    },
    Restock {
        plugin: u64,
        shop: Shop,
    },
    Beat {
        plugin: u64,
    },
    Submit(Ask),
    Began {
        pick: usize,
    },
    Finish {
        pick: usize,
        usage: Usage,
    },
    Fail {
        pick: usize,
        code: FailCode,
        usage: Usage,
    },
    Stale {
        pick: usize,
        usage: Usage,
    },
    Cancel {
        pick: usize,
        usage: Usage,
    },
    Wait {
        millis: u64,
    },
    Subscribe {
        payer: u8,
        price_max: i64,
    },
    Unsubscribe {
        payer: u8,
    },
    Regroup(Regroup),
    Drain,
    /// The process dies, and the clock of the next one is behind by so many milliseconds.
    Crash {
        back: u64,
    },
}

fn shops() -> impl Strategy<Value = Shop> {
    let models = prop::collection::vec((0..MODELS.len(), 1..3_u16, 0..5_u64), 0..4);
    let serves =
        prop_oneof![6 => Just(Serves::Everyone), 1 => Just(Serves::Verified), 2 => Just(Serves::Group)];
    (models, 1..4_u16, prop::bool::weighted(0.1), serves, topics())
        .prop_map(|(models, slots, paused, serves, refuses)| Shop { models, slots, paused, serves, refuses })
}

fn topics() -> impl Strategy<Value = Topics> {
    prop_oneof![
        8 => Just(Topics::NONE),
        1 => Just(Topics::from(Subject::Politics)),
        1 => Just(Topics::from(Subject::Grief) | Topics::UNREAD),
    ]
}

fn regroups() -> impl Strategy<Value = Regroup> {
    let (plugin, group, payer) = (|| 0..5_u64, || 0..5_u64, || prop::sample::select(vec![0_u8, 2]));
    prop_oneof![
        3 => (plugin(), 0..3_u64).prop_map(|(plugin, price)| Regroup::Create { plugin, price }),
        1 => (plugin(), 0..3_u64).prop_map(|(plugin, price)| Regroup::Price { plugin, price }),
        2 => (plugin(), group()).prop_map(|(plugin, group)| Regroup::AddPlugin { plugin, group }),
        4 => (payer(), group()).prop_map(|(payer, group)| Regroup::AddAccount { payer, group }),
        1 => plugin().prop_map(|plugin| Regroup::RemovePlugin { plugin }),
        1 => (payer(), group()).prop_map(|(payer, group)| Regroup::RemoveAccount { payer, group }),
    ]
}

fn asks() -> impl Strategy<Value = Ask> {
    let tier = prop::sample::select(Tier::ALL.to_vec());
    let model = prop::option::weighted(0.9, 0..MODELS.len());
    let tokens = (0..300_u64, prop::option::of(0..300_u64));
    (0..4_u8, model, tier, tokens, prop::bool::ANY, prop::option::weighted(0.9, topics())).prop_map(
        |(payer, model, tier, (prompt_tokens, answer_tokens_max), is_verified, topics)| Ask {
            payer,
            model,
            tier,
            prompt_tokens,
            answer_tokens_max,
            is_verified,
            topics,
        },
    )
}

fn usages() -> impl Strategy<Value = Usage> {
    let claim = || prop::option::of(prop_oneof![0..400_u64, Just(u64::MAX)]);
    (0..400_u64, prop_oneof![Just(0), 0..400_u64], claim(), claim(), 0..3_000_u64).prop_map(
        |(prompt_tokens, answer_tokens, claimed_prompt, claimed_answer, millis)| Usage {
            prompt_tokens,
            answer_tokens,
            claimed_prompt,
            claimed_answer,
            first_token: Span(millis / 10),
            generation: Span(millis),
            stalled: Span(if millis % 7 == 0 { millis / 2 } else { 0 }),
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let codes = vec![
        FailCode::Busy,
        FailCode::ModelCrashed,
        FailCode::BadRequest,
        FailCode::Cancelled,
        FailCode::Stalled,
        FailCode::TimeUp,
    ];
    let pick = || 0..20_usize;
    prop_oneof![
        4 => (0..5_u64, shops()).prop_map(|(plugin, shop)| Step::Join { plugin, shop }),
        1 => (0..5_u64).prop_map(|plugin| Step::Leave { plugin }),
        3 => (0..5_u64).prop_map(|plugin| Step::Suspend { plugin }),
        2 => (0..5_u64, shops(), 0..3_u8)
            .prop_map(|(plugin, shop, jobs)| Step::Resume { plugin, shop, jobs }),
        1 => (0..5_u64, shops()).prop_map(|(plugin, shop)| Step::Restock { plugin, shop }),
        3 => (0..5_u64).prop_map(|plugin| Step::Beat { plugin }),
        12 => asks().prop_map(Step::Submit),
        5 => pick().prop_map(|pick| Step::Began { pick }),
        5 => (pick(), usages()).prop_map(|(pick, usage)| Step::Finish { pick, usage }),
        4 => (pick(), prop::sample::select(codes), usages())
            .prop_map(|(pick, code, usage)| Step::Fail { pick, code, usage }),
        1 => (pick(), usages()).prop_map(|(pick, usage)| Step::Stale { pick, usage }),
        2 => (pick(), usages()).prop_map(|(pick, usage)| Step::Cancel { pick, usage }),
        4 => prop_oneof![8 => 0..2_000_u64, 8 => 0..40_000_u64, 1 => Just(Span::DAY.0)].prop_map(|millis| Step::Wait { millis }),
        1 => (0..2_u8, 39_000..80_000_i64).prop_map(|(payer, price_max)| Step::Subscribe { payer, price_max }),
        1 => (0..8_u8).prop_map(|payer| Step::Unsubscribe { payer }),
        3 => regroups().prop_map(Step::Regroup),
        1 => prop::bool::weighted(0.05).prop_map(|drain| if drain { Step::Drain } else { Step::Crash { back: 0 } }),
        1 => (0..60_000_u64).prop_map(|back| Step::Crash { back }),
    ]
}

/// A shell of sorts: it executes effects and remembers what a store would.
struct World {
    market: Market,
    now: Moment,
    sessions: BTreeMap<PluginId, SessionId>,
    /// Sessions in the free visitor's network.
    neighbours: BTreeSet<SessionId>,
    /// Jobs that the visitor does not pay for.
    free: BTreeSet<JobId>,
    /// Sessions whose socket is lost.
    suspended: BTreeMap<PluginId, SessionId>,
    sessions_made: u64,
    jobs_made: u64,
    /// Live jobs, with the latest lease.
    live: BTreeMap<JobId, u32>,
    /// Jobs that were charged before their end.
    charged: BTreeSet<JobId>,
    stored: HashMap<String, Entry>,
    renewals: HashMap<AccountId, Option<Nanos>>,
    balances: HashMap<Account, Nanos>,
    holds: BTreeMap<JobId, (Account, Nanos)>,
}

fn terms() -> Terms {
    let mut terms = Terms {
        queue_max: 6,
        free_jobs_per_day: 10,
        free_visitors_max: 1,
        trust_permille_min: 0,
        suspended_max: 2,
        group_members_max: 4,
        account_groups_max: 2,
        premium_price: Some(Nanos::new(40_000)),
        premium_period: Span(30_000),
        trusted_jobs: 12,
        trusted_pages: 1,
        trusted_after: Span(30_000),
        holdback: Span(30_000),
        fee: Steps::new(50, vec![(Nanos::new(100_000), 30)]),
        discount: Steps::new(0, vec![(Nanos::new(100_000), 20), (Nanos::new(1_000_000), 40)]),
        ..Terms::default()
    };
    terms.tiers.high.floor.answers_min = 1;
    terms.tiers.ultra.floor = terms.tiers.high.floor;
    terms
}

impl World {
    fn new() -> World {
        let mut world = World {
            market: Market::new(terms(), Book::default(), 3),
            now: NOW,
            sessions: BTreeMap::new(),
            neighbours: BTreeSet::new(),
            free: BTreeSet::new(),
            suspended: BTreeMap::new(),
            sessions_made: 0,
            jobs_made: 0,
            live: BTreeMap::new(),
            charged: BTreeSet::new(),
            stored: HashMap::new(),
            renewals: HashMap::new(),
            balances: HashMap::new(),
            holds: BTreeMap::new(),
        };
        for (id, to, nanos) in [
            ("rich", Account::Page(PAGE), 1_000_000_000_000),
            ("poor", Account::Page(POOR), 90_000),
            ("free", Account::Free, 400_000),
        ] {
            let entry = world.market.book_mut().grant(NOW, id, to, Nanos::new(nanos)).unwrap();
            world.store(entry);
        }
        world
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Join { plugin: number, shop } => {
                self.sessions_made += 1;
                let id = session(1_000 + self.sessions_made);
                if number % 3 == VISITOR {
                    self.neighbours.insert(id);
                }
                self.market.join_from(self.now, id, plugin(number), Some(number % 3), stocked(shop));
                self.sessions.insert(plugin(number), id);
            }
            Step::Leave { plugin: number } => {
                if let Some(id) = self.sessions.remove(&plugin(number)) {
                    self.market.leave(self.now, id);
                }
            }
            Step::Suspend { plugin: number } => {
                if let Some(id) = self.sessions.remove(&plugin(number))
                    && self.market.suspend(self.now, id)
                {
                    self.suspended.insert(plugin(number), id);
                }
            }
            Step::Resume { plugin: number, shop, jobs } => self.resume(plugin(number), shop, jobs),
            Step::Restock { plugin: number, shop } => {
                if let Some(id) = self.sessions.get(&plugin(number)) {
                    self.market.restock(self.now, *id, stocked(shop));
                }
            }
            Step::Beat { plugin: number } => {
                if let Some(id) = self.sessions.get(&plugin(number)) {
                    self.market.heartbeat(self.now, *id, &beat(1));
                }
            }
            Step::Submit(ask) => self.submit(ask),
            Step::Began { pick } => {
                if let Some((job, lease)) = self.pick(pick) {
                    self.market.began(self.now, job, lease);
                }
            }
            Step::Finish { pick, usage } => {
                if let Some((job, lease)) = self.pick(pick) {
                    self.market.finish(self.now, job, lease, usage);
                }
            }
            Step::Fail { pick, code, usage } => {
                if let Some((job, lease)) = self.pick(pick) {
                    self.market.fail(self.now, job, lease, code, String::new(), usage);
                }
            }
            Step::Stale { pick, usage } => self.speak_out_of_turn(pick, usage),
            Step::Cancel { pick, usage } => {
                if let Some((job, _)) = self.pick(pick) {
                    self.market.cancel(self.now, job, usage);
                    self.execute();
                    assert!(self.live.remove(&job).is_some());
                    self.charged.remove(&job);
                }
            }
            Step::Wait { millis } => {
                self.now = self.now + Span(millis);
                self.market.tick(self.now);
            }
            Step::Subscribe { payer, price_max } => self.subscribe(payer, Nanos::new(price_max)),
            Step::Unsubscribe { payer } => {
                self.market.unsubscribe(self.now, page(payer));
            }
            Step::Regroup(regroup) => {
                // Whatever is refused changes nothing.
                let before = self.market.groups().clone();
                let changed = self.market.regroup(self.now, |groups, terms| change(groups, terms, regroup));
                assert!(changed.is_ok() || groups_of(&before) == groups_of(self.market.groups()));
            }
            Step::Drain => self.market.drain(self.now),
            Step::Crash { back } => self.crash(back),
        }
        self.execute();
        self.check();
    }

    /// Resumes a session, also one whose socket the market believes to be there.
    fn resume(&mut self, owner: PluginId, shop: Shop, jobs: u8) {
        let sessions = [self.suspended.remove(&owner), self.sessions.get(&owner).copied()];
        let Some(id) = sessions.into_iter().flatten().next() else { return };
        let before = self.market.jobs_of(id).unwrap();
        let goes_on = |job: JobId, _| jobs == 2 || job.bits() % 2 == u128::from(jobs);
        assert!(self.market.resume(self.now, id, stocked(shop), goes_on));
        let after = self.market.jobs_of(id).unwrap();
        for (job, lease) in before {
            assert_eq!(after.contains(&(job, lease)), goes_on(job, lease), "{job} goes on or does not");
        }
        self.sessions.insert(owner, id);
    }

    fn pick(&self, pick: usize) -> Option<(JobId, u32)> {
        let place = pick.checked_rem(self.live.len())?;
        self.live.iter().nth(place).map(|(job, lease)| (*job, *lease))
    }

    fn submit(&mut self, ask: Ask) {
        self.jobs_made += 1;
        let payer = match ask.payer {
            1 => Payer::Free { visitor: VISITOR },
            payer => Payer::Page(page(payer)),
        };
        let request = Request {
            payer,
            kind: if ask.model == Some(3) { OfferKind::Embedding } else { OfferKind::Text },
            model: ask.model.map_or(Wish::Any, |model| Wish::Named(MODELS[model].to_owned())),
            tier: ask.tier,
            prompt_tokens: ask.prompt_tokens,
            prompt_tokens_max: ask.prompt_tokens * (1 + self.jobs_made % 4),
            answer_tokens_max: ask.answer_tokens_max,
            is_verified: ask.is_verified,
            topics: ask.topics,
            ..request(self.jobs_made)
        };
        let job = request.job;
        self.free.extend(payer.visitor().map(|_| job));
        if self.market.submit(self.now, request).is_ok() {
            self.live.insert(job, 0);
        }
    }

    /// Premium costs what was agreed to at most, and nothing while it lasts.
    fn subscribe(&mut self, payer: u8, price_max: Nanos) {
        let (account, balance) = (page(payer), |market: &Market, payer| market.book().balance(payer));
        let (before, had) = (balance(&self.market, Account::Page(account)), self.premium(account));
        let bought = self.market.subscribe(self.now, account, price_max);
        let paid = before.checked_sub(balance(&self.market, Account::Page(account))).unwrap();
        let price = terms().premium_price.filter(|_| bought.is_ok() && had.is_none()).unwrap_or_default();
        assert!(paid == price && paid <= price_max);
        assert!(bought.is_err() || self.premium(account).is_some());
    }

    fn premium(&self, account: AccountId) -> Option<Premium> {
        self.market.premium(self.now, account)
    }

    /// An old lease, or one that never was, changes nothing.
    fn speak_out_of_turn(&mut self, pick: usize, usage: Usage) {
        let Some((job, lease)) = self.pick(pick) else { return };
        for stale in [lease.wrapping_sub(1), lease + 1] {
            assert!(!self.market.began(self.now, job, stale));
            self.market.finish(self.now, job, stale, usage);
            self.market.fail(self.now, job, stale, FailCode::Cut, String::new(), usage);
        }
        assert_eq!(self.market.drain_effects().next(), None);
    }

    /// The process dies; the store is all that is left.
    fn crash(&mut self, back: u64) {
        self.now = Moment(self.now.0.saturating_sub(back));
        let holds = self.holds.iter().map(|(job, (payer, amount))| (*job, *payer, *amount));
        let groups = groups_of(self.market.groups());
        let book = Book::restore(self.balances.clone(), holds);
        self.market = Market::new(terms(), book, self.jobs_made);
        self.market.recall(self.now, History { groups: groups.clone(), ..self.history() });
        assert_eq!(groups_of(self.market.groups()), groups);
        self.sessions.clear();
        self.suspended.clear();
        self.live.clear();
        self.charged.clear();
        self.market.recover(self.now);
        self.execute();
        assert_eq!(self.holds, BTreeMap::new());
        self.market.recover(self.now);
        assert_eq!(self.market.drain_effects().next(), None);
    }

    fn execute(&mut self) {
        loop {
            let effects: Vec<Effect> = self.market.drain_effects().collect();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.execute_one(effect);
            }
        }
    }

    fn execute_one(&mut self, effect: Effect) {
        match effect {
            Effect::Record(entry) => self.store(entry),
            Effect::Assign(assignment) => {
                // A job is submitted before its first assignment is looked at, or was assigned before.
                let lease = self.live.get_mut(&assignment.job).expect("only live jobs are assigned");
                assert_eq!(assignment.lease, *lease + 1);
                *lease = assignment.lease;
                assert!(self.holds.contains_key(&assignment.job), "held before it is assigned");
                let is_own =
                    self.free.contains(&assignment.job) && self.neighbours.contains(&assignment.session);
                assert!(!is_own, "no free answer comes from the visitor's own network");
                self.check_slots(&assignment);
                self.check_choice(&assignment);
            }
            Effect::Settled { job, receipt, complete, .. } => {
                assert!(self.live.contains_key(&job));
                assert_eq!(receipt.earned.checked_add(receipt.fee), Some(receipt.charge));
                if complete {
                    self.live.remove(&job);
                } else {
                    assert!(self.charged.insert(job), "charged once");
                }
            }
            Effect::Ended { job, end } => {
                assert!(self.live.remove(&job).is_some(), "{job} ends once");
                let was_charged = self.charged.remove(&job);
                assert!(!was_charged || matches!(end, End::Failed { .. }), "a refusal costs nothing");
            }
            Effect::Lost { job, lease } => {
                let usage = Usage { prompt_tokens: 3, answer_tokens: 2, ..Usage::default() };
                self.market.fail(self.now, job, lease, FailCode::Cut, String::new(), usage);
            }
            Effect::Close { session, .. } => {
                self.sessions.retain(|_, live| *live != session);
                self.suspended.retain(|_, lost| *lost != session);
            }
            Effect::Cancel { session, .. } => assert!(self.market.has_session(session)),
            Effect::Renewal { account, renews_for } => {
                self.renewals.insert(account, renews_for);
            }
            Effect::Visited(_) => {}
        }
    }

    /// An assignment never exceeds slots. Other models may have more jobs than slots, where an owner has
    /// taken slots away.
    fn check_slots(&self, assignment: &Assignment) {
        let Some(at) = self.market.by_session.get(&assignment.session) else { return };
        let session = self.market.session(*at);
        assert!(session.busy() <= session.slots);
        let mut stocks = session.stocks.iter();
        let stock = stocks.find(|stock| stock.offer.model == assignment.offer.model);
        assert!(stock.is_none_or(|stock| stock.busy <= stock.offer.slots));
    }

    /// Nobody serves whom or what he turns away, and friends pay their group's price.
    fn check_choice(&self, assignment: &Assignment) {
        let Some(at) = self.market.by_session.get(&assignment.session) else { return };
        let (session, job) = (self.market.session(*at), &self.market.jobs[&assignment.job]);
        let groups = match job.request.payer {
            Payer::Page(account) => self.market.groups().of_account(account),
            Payer::Free { .. } => Vec::new(),
        };
        let group = self.market.groups().of_plugin(session.plugin).filter(|group| groups.contains(group));
        match session.serves {
            Serves::Everyone => {}
            Serves::Verified => assert!(job.request.is_verified || group.is_some()),
            Serves::Group => assert!(group.is_some()),
        }
        let topics = job.request.topics.unwrap_or(session.refuses);
        assert!(!topics.touches(session.refuses));
        let crate::job::State::Running(run) = &job.state else { panic!("it was just assigned") };
        assert_eq!(run.group, group);
        if let Some(group) = group {
            assert_eq!(run.ask, self.market.groups().get(group).unwrap().price_of(session.plugin));
        }
    }

    /// Appends, as a store does: an id once, and a balance is the sum of its postings.
    fn store(&mut self, entry: Entry) {
        for posting in entry.postings() {
            assert!(posting.amount > Nanos::ZERO);
            let debit = self.balances.entry(posting.debit).or_default();
            *debit = debit.checked_sub(posting.amount).unwrap();
            let credit = self.balances.entry(posting.credit).or_default();
            *credit = credit.checked_add(posting.amount).unwrap();
        }
        match entry.kind {
            EntryKind::Transfer(_) => {}
            EntryKind::Hold { job, payer, quote } => {
                assert_eq!(self.holds.insert(job, (payer, quote.amount())), None);
            }
            EntryKind::Settle(ref settle) => {
                assert!(settle.fee <= settle.charge && settle.charge <= settle.held);
                let is_free_of_charge = settle.price == Price::new(0, 0);
                assert!(!is_free_of_charge || settle.charge == Nanos::ZERO, "nothing is charged for nothing");
                assert_eq!(self.holds.remove(&settle.job).map(|(_, amount)| amount), Some(settle.held));
            }
            EntryKind::Void { job, payer, amount } => {
                assert_eq!(self.holds.remove(&job), Some((payer, amount)));
            }
        }
        let id = entry.id.clone();
        assert_eq!(self.stored.insert(id, entry), None, "a cause has its effect once");
    }

    /// Reads what a store would tell of the time before.
    fn history(&self) -> History {
        let mut volumes: BTreeMap<Account, Nanos> = BTreeMap::new();
        let mut patronage = Vec::new();
        for entry in self.stored.values() {
            let EntryKind::Settle(settle) = &entry.kind else { continue };
            if let Account::Page(page) = settle.payer
                && settle.charge >= terms().trusted_charge_min
            {
                patronage.push(Patronage { owner: settle.owner, page, since: entry.at, jobs: 1 });
            }
            if entry.at.month() == self.now.month() {
                for account in [Account::Owner(settle.owner), settle.payer] {
                    let sum = volumes.entry(account).or_default();
                    *sum = sum.checked_add(settle.charge).unwrap();
                }
            }
        }
        History {
            disputed: Vec::new(),
            volumes: volumes.into_iter().collect(),
            patronage,
            held_back: self.held_back(),
            premiums: self.premiums(),
            groups: Vec::new(),
        }
    }

    fn premiums(&self) -> Vec<(AccountId, Premium)> {
        let mut until: BTreeMap<AccountId, Moment> = BTreeMap::new();
        for (account, end) in self.stored.values().filter_map(paid) {
            let latest = until.entry(account).or_default();
            *latest = end.max(*latest);
        }
        let renews_for = |account: &AccountId| self.renewals.get(account).copied().flatten();
        until
            .iter()
            .map(|(one, until)| (*one, Premium { until: *until, renews_for: renews_for(one) }))
            .collect()
    }

    /// Reads what is held back and not released yet.
    fn held_back(&self) -> Vec<(PluginId, Moment, Nanos)> {
        let mut held: BTreeMap<(PluginId, Moment), Nanos> = BTreeMap::new();
        for entry in self.stored.values() {
            let EntryKind::Settle(settle) = &entry.kind else { continue };
            let sum = held.entry((settle.owner, settle.release_at)).or_default();
            *sum = sum.checked_add(settle.held_back).unwrap();
        }
        for entry in self.stored.values() {
            let EntryKind::Transfer(Transfer { cause: Cause::Release, from, amount, .. }) = &entry.kind
            else {
                continue;
            };
            let Account::Held(owner) = from else { panic!("{from}") };
            let due = Moment(entry.id.split(':').nth(2).unwrap().parse().unwrap());
            let sum = held.get_mut(&(*owner, due)).expect("what was held back is released");
            *sum = sum.checked_sub(*amount).unwrap();
        }
        held.retain(|_, amount| *amount > Nanos::ZERO);
        held.into_iter().map(|((owner, at), amount)| (owner, at, amount)).collect()
    }

    fn check(&self) {
        for owner in self.sessions.keys() {
            let held = self.held_back().into_iter().filter(|(held, ..)| held == owner);
            let sum: i64 = held.map(|(_, _, amount)| amount.get()).sum();
            assert_eq!(self.market.book().balance(Account::Held(*owner)).get(), sum, "held back of {owner}");
        }
        self.market.check_invariants(self.now);
        let known: BTreeSet<JobId> = self.market.jobs.keys().copied().collect();
        assert_eq!(known, self.live.keys().copied().collect(), "no job is lost and none lingers");
        for (account, balance) in &self.balances {
            assert!(*account == Account::Outside || !balance.is_negative(), "{account}");
            assert_eq!(self.market.book().balance(*account), *balance, "{account}");
        }
        assert_eq!(self.market.counts().sessions, self.sessions.len());
        assert_eq!(self.market.counts().suspended, self.suspended.len());
    }

    /// Lets everything come to its end.
    fn wind_down(&mut self) {
        self.run(Step::Drain);
        // Another session may be asked once whether the request is wrong.
        let most = 2 * self.live.len();
        for _ in 0..most {
            self.run(Step::Fail { pick: 0, code: FailCode::BadRequest, usage: Usage::default() });
        }
        assert!(self.live.is_empty());
        assert_eq!(self.market.book().open_holds().len(), 0);
        assert_eq!(self.market.book().balance(Account::Escrow), Nanos::ZERO);
    }
}

fn page(payer: u8) -> AccountId {
    if payer == 0 { POOR } else { PAGE }
}

fn change(groups: &mut Groups, terms: &Terms, regroup: Regroup) -> Result<(), GroupRefusal> {
    let (group, price) = (|number: u64| GroupId::from_bits(number.into()), |dollars: u64| dollars * 45_000);
    let price = |dollars| Price::new(price(dollars), price(dollars));
    match regroup {
        Regroup::Create { plugin: number, price: asked } => {
            groups.create(terms, group(number), plugin(number), price(asked))
        }
        Regroup::Price { plugin: number, price: asked } => {
            groups.set_price(plugin(number), price(asked)).map(drop)
        }
        Regroup::AddPlugin { plugin: number, group: of } => {
            groups.add_plugin(terms, group(of), plugin(number))
        }
        Regroup::AddAccount { payer, group: of } => groups.add_account(terms, group(of), page(payer)),
        Regroup::RemovePlugin { plugin: number } => groups.remove_plugin(plugin(number)).map(drop),
        Regroup::RemoveAccount { payer, group: of } => groups.remove_account(page(payer), group(of)),
    }
}

/// Reads every group that there may be.
fn groups_of(groups: &Groups) -> Vec<(GroupId, Group)> {
    let ids = (0..5_u128).map(GroupId::from_bits);
    ids.filter_map(|id| Some((id, groups.get(id)?.clone()))).collect()
}

fn stocked(shop: Shop) -> Inventory {
    let of = |(model, slots, price): (usize, u16, u64)| Offer {
        kind: if model == 3 { OfferKind::Embedding } else { OfferKind::Text },
        slots,
        loaded: price != 1,
        context: 400,
        price: (price > 0).then(|| Price::new(price * 40_000, price * 90_000).into()),
        ..offer(MODELS[model])
    };
    let offers = shop.models.iter().copied().map(of).collect();
    let Shop { slots, paused, serves, refuses, .. } = shop;
    Inventory { offers, slots, paused, paused_until: None, serves, refuses }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: plans(300), ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_money_and_no_job_is_lost(plan in prop::collection::vec(steps(), 1..150)) {
        let mut world = World::new();
        for step in plan {
            world.run(step);
        }
        world.wind_down();
    }
}
