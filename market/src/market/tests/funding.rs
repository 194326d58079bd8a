//! Random plans of free answers and the ads beside them, against a tiny model: sums of what was given, paid
//! and brought. Whatever happens, the platform's cash is never below zero, and no free answer begins that is
//! not covered.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use rekursing_protocol::{
    AccountId, CampaignId, FailCode, ImpressionId, JobId, Moment, Nanos, Offer, Price, Span,
};

use super::fixture::{NOW, PAGE, inventory, offer, plugin, request, session};
use crate::{
    Account, Book, Effect, EntryKind, Market, Payer, Request, Terms, Usage,
    ads::{AdTerms, Audience, Bid, Board, Budget, Campaign, Counted, Creative, Happening, Targets, Topic},
    effort::plans,
    ledger::{Cause, Entry, Transfer},
};

const ADVERTISERS: [AccountId; 2] = [AccountId::from_bits(8), AccountId::from_bits(9)];

/// What a plan does, one after the other. Places are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Ask { is_free: bool, prompt_tokens: u64, answer_tokens_max: u64, has_ad: bool },
    Finish { pick: usize, answer_tokens: u64 },
    Fail { pick: usize },
    Cancel { pick: usize, answer_tokens: u64 },
    See(usize),
    Click(usize),
    Wait(u64),
    Give(i64),
    PayRail(i64),
}

/// What the operator has set.
#[derive(Debug, Clone)]
struct Rules {
    budget: i64,
    per_answer: Option<i64>,
    keep: Option<i64>,
}

fn rules() -> impl Strategy<Value = Rules> {
    let budget = prop_oneof![Just(0), 0..60_000_i64, 0..2_000_000_i64];
    let per_answer = prop::option::weighted(0.8, prop_oneof![Just(0), 0..40_000_i64]);
    (budget, per_answer, prop::option::of(0..100_000_i64)).prop_map(|(budget, per_answer, keep)| Rules {
        budget,
        per_answer,
        keep,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let place = any::<usize>;
    prop_oneof![
        9 => (prop::bool::weighted(0.8), 0..120_u64, 1..150_u64, prop::bool::weighted(0.8)).prop_map(
            |(is_free, prompt_tokens, answer_tokens_max, has_ad)| Step::Ask {
                is_free, prompt_tokens, answer_tokens_max, has_ad
            }
        ),
        6 => (place(), 0..150_u64).prop_map(|(pick, answer_tokens)| Step::Finish { pick, answer_tokens }),
        1 => place().prop_map(|pick| Step::Fail { pick }),
        1 => (place(), 0..150_u64).prop_map(|(pick, answer_tokens)| Step::Cancel { pick, answer_tokens }),
        4 => place().prop_map(Step::See),
        1 => place().prop_map(Step::Click),
        1 => prop_oneof![0..600_000_u64, 0..Span::DAY.0].prop_map(Step::Wait),
        1 => (1..30_000_i64).prop_map(Step::Give),
        1 => (1..30_000_i64).prop_map(Step::PayRail),
    ]
}

struct World {
    rules: Rules,
    market: Market,
    board: Board,
    now: Moment,
    asked: u64,
    /// Requests that were accepted and have not ended, with their latest lease.
    live: BTreeMap<JobId, (Request, u32)>,
    ads: Vec<ImpressionId>,
    /// Tokens of every free answer that was charged.
    lengths: Vec<u64>,
    /// What `free` and `platform` have together, by the model.
    cash: i64,
}

fn terms(rules: &Rules) -> Terms {
    Terms {
        free_jobs_per_day: 1_000,
        free_answer_tokens_max: 100,
        free_answers_prior: 4,
        free_per_answer_max: rules.per_answer.map(Nanos::new),
        free_keep_max: rules.keep.map(Nanos::new),
        // What is held back is another test's.
        holdback_permille: 0,
        dead_after: Span(u64::MAX / 4),
        suspect_after: Span(u64::MAX / 4),
        ..Terms::default()
    }
}

fn board() -> Board {
    let floor = Bid { thousand: Nanos::new(1_000_000), click: Nanos::new(1_000) };
    // How soon and how often something counts is another test's.
    let mut board = Board::new(AdTerms {
        floor,
        clicks_per_visitor_day: u32::MAX,
        impression_after: Span(0),
        click_after: Span(0),
        ..AdTerms::default()
    });
    for (bits, (account, thousand)) in (1..).zip([(0, 40_000_000), (1, 25_000_000), (0, 9_000_000)]) {
        let campaign = Campaign {
            account: ADVERTISERS[account],
            creative: Arc::new(Creative::new("Title", "Text", "https://example.com").unwrap()),
            targets: Targets::default(),
            bid: Bid { thousand: Nanos::new(thousand), click: Nanos::new(90_000) },
            budget: Budget { total: Nanos::DOLLAR, daily: Nanos::DOLLAR },
            starts: Moment(0),
            ends: Moment(u64::MAX),
            per_visitor_day: 100,
            paused: false,
        };
        board.put(NOW, CampaignId::from_bits(bits), campaign).unwrap();
    }
    board
}

impl World {
    fn new(rules: Rules) -> World {
        let mut book = Book::default();
        book.grant(NOW, "page", Account::Page(PAGE), Nanos::DOLLAR).unwrap();
        for account in ADVERTISERS {
            let to = Account::Advertiser(account);
            book.grant(NOW, &account.to_string(), to, Nanos::new(600_000)).unwrap();
        }
        let mut market = Market::new(terms(&rules), book, 5);
        for number in 1..=3 {
            let price = Some(Price::new(number * 50_000, number * 100_000).into());
            let offer = Offer { slots: 3, price, ..offer("model") };
            market.join(NOW, session(number), plugin(number), inventory(vec![offer]));
        }
        let mut world = World {
            market,
            board: board(),
            now: NOW,
            asked: 0,
            live: BTreeMap::new(),
            ads: Vec::new(),
            lengths: Vec::new(),
            cash: 0,
            rules,
        };
        world.give(world.rules.budget);
        world
    }

    fn give(&mut self, nanos: i64) {
        let id = format!("{}:{}", self.now.0, self.cash);
        let given = self.market.book_mut().grant(self.now, &id, Account::Free, Nanos::new(nanos));
        if given.is_ok() {
            self.cash += nanos;
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Ask { is_free, prompt_tokens, answer_tokens_max, has_ad } => {
                self.ask(is_free, prompt_tokens, answer_tokens_max, has_ad);
            }
            Step::Finish { pick, answer_tokens } => {
                if let Some((job, lease)) = self.pick(pick) {
                    self.market.began(self.now, job, lease);
                    self.market.finish(self.now, job, lease, usage(answer_tokens));
                }
            }
            Step::Fail { pick } => {
                if let Some((job, lease)) = self.pick(pick) {
                    let (code, detail) = (FailCode::ServerError, String::new());
                    self.market.fail(self.now, job, lease, code, detail, Usage::default());
                }
            }
            Step::Cancel { pick, answer_tokens } => {
                if let Some((job, lease)) = self.pick(pick) {
                    self.market.began(self.now, job, lease);
                    self.market.cancel(self.now, job, usage(answer_tokens));
                    self.execute();
                    self.live.remove(&job);
                }
            }
            Step::See(place) => self.count(place, Cause::Impression),
            Step::Click(place) => self.count(place, Cause::Click),
            Step::Wait(millis) => {
                self.now = self.now + Span(millis);
                self.market.tick(self.now);
            }
            Step::Give(nanos) => self.give(nanos),
            Step::PayRail(nanos) => self.pay_rail(nanos),
        }
        self.execute();
        self.check();
    }

    fn pick(&self, pick: usize) -> Option<(JobId, u32)> {
        let place = pick.checked_rem(self.live.len())?;
        self.live.iter().nth(place).map(|(job, (_, lease))| (*job, *lease))
    }

    fn ask(&mut self, is_free: bool, prompt_tokens: u64, answer_tokens_max: u64, has_ad: bool) {
        self.asked += 1;
        let ad = if is_free && has_ad { self.choose() } else { None };
        let request = Request {
            payer: if is_free { Payer::Free { visitor: 7 } } else { Payer::Page(PAGE) },
            model: crate::Wish::Any,
            prompt_tokens,
            prompt_tokens_max: prompt_tokens,
            answer_tokens_max: Some(answer_tokens_max),
            ad_expected: ad.map_or(Nanos::ZERO, |(_, expected)| expected),
            ..request(self.asked)
        };
        let accepted = self.market.submit(self.now, request.clone());
        if accepted.is_ok() {
            self.live.insert(request.job, (request, 0));
        }
        match ad {
            Some((impression, _)) if accepted.is_ok() => self.ads.push(impression),
            Some((impression, _)) => self.board.release(impression),
            None => {}
        }
    }

    fn choose(&mut self) -> Option<(ImpressionId, Nanos)> {
        let impression = ImpressionId::from_bits(self.asked.into());
        let topic = Topic::read("Which laptop should I buy?", "").unwrap();
        let audience = Audience { topic, visitor: self.asked % 3, country: None };
        let book = self.market.book();
        let balance = |account| book.balance(account);
        let choice = self.board.choose(self.now, impression, self.asked, &audience, balance)?;
        let most = choice.prices.impression.checked_add(choice.prices.click).unwrap();
        assert!(choice.expected <= most, "an ad is never expected to bring more than it can");
        Some((impression, choice.expected))
    }

    fn count(&mut self, place: usize, cause: Cause) {
        let Some(place) = place.checked_rem(self.ads.len()) else { return };
        let (impression, book) = (self.ads[place], self.market.book_mut());
        let visitor = u64::try_from(impression.bits()).unwrap() % 3;
        let counted = if cause == Cause::Click {
            self.board.click(self.now, impression, visitor, book)
        } else {
            self.board.confirm(self.now, impression, visitor, book)
        };
        let Ok(Counted::New(happenings)) = counted else { return };
        for Happening { entry, .. } in happenings {
            let brought: i64 =
                entry.iter().flat_map(Entry::postings).map(|posting| posting.amount.get()).sum();
            self.cash += brought;
        }
    }

    /// A rail takes more than an owner was told, which the platform bears if it can.
    fn pay_rail(&mut self, nanos: i64) {
        let transfer = Transfer {
            cause: Cause::PayoutCost,
            from: Account::Platform,
            to: Account::Outside,
            amount: Nanos::new(nanos),
            note: String::new(),
        };
        let id = format!("{}:{}", self.now.0, self.cash);
        if self.market.book_mut().transfer(self.now, &id, transfer).is_ok() {
            self.cash -= nanos;
        }
    }

    fn execute(&mut self) {
        loop {
            let effects: Vec<Effect> = self.market.drain_effects().collect();
            if effects.is_empty() {
                return;
            }
            effects.into_iter().for_each(|effect| self.execute_one(effect));
        }
    }

    fn execute_one(&mut self, effect: Effect) {
        match effect {
            Effect::Record(entry) => self.note(&entry),
            Effect::Assign(assignment) => {
                let (request, lease) = self.live.get_mut(&assignment.job).unwrap();
                *lease = assignment.lease;
                let request = request.clone();
                self.check_cover(&request, assignment.price, assignment.answer_tokens_max);
            }
            Effect::Settled { job, complete: true, .. } | Effect::Ended { job, .. } => {
                self.live.remove(&job);
            }
            Effect::Settled { .. }
            | Effect::Cancel { .. }
            | Effect::Lost { .. }
            | Effect::Renewal { .. }
            | Effect::Visited(_)
            | Effect::Close { .. } => {}
        }
    }

    fn note(&mut self, entry: &Entry) {
        match &entry.kind {
            EntryKind::Hold { payer: Account::Free, quote, .. } => self.cash -= quote.amount().get(),
            EntryKind::Void { payer: Account::Free, amount, .. } => self.cash += amount.get(),
            EntryKind::Settle(settle) => {
                self.cash += settle.fee.get();
                if settle.payer == Account::Free {
                    self.cash += settle.held.get() - settle.charge.get();
                    self.lengths.push(settle.answer_tokens);
                }
            }
            EntryKind::Transfer(transfer) => assert_eq!(transfer.cause, Cause::Surplus),
            EntryKind::Hold { .. } | EntryKind::Void { .. } => {}
        }
    }

    /// Works out anew whether an answer that begins is covered.
    fn check_cover(&self, request: &Request, price: Price, answer_tokens_max: u64) {
        let (Payer::Free { .. }, Some(per_answer)) = (request.payer, self.rules.per_answer) else { return };
        let answers = self.lengths.len() as u64 + 4;
        let mean = (self.lengths.iter().sum::<u64>() + 4 * 100).div_ceil(answers);
        let expected = price.cost(request.prompt_tokens, mean.min(answer_tokens_max)).unwrap();
        let covered = request.ad_expected.get() + per_answer;
        assert!(expected.get() <= covered, "{expected} USD for {covered} nano-dollars");
    }

    fn check(&self) {
        let book = self.market.book();
        let (free, platform) = (book.balance(Account::Free), book.balance(Account::Platform));
        assert!(!free.is_negative() && !platform.is_negative(), "{free} and {platform}");
        assert_eq!(free.get() + platform.get(), self.cash);
        assert_eq!(book.audit(), Ok(()));
    }
}

fn usage(answer_tokens: u64) -> Usage {
    Usage { prompt_tokens: 60, answer_tokens, ..Usage::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: plans(500), ..ProptestConfig::default() })]

    #[test]
    fn the_platforms_cash_is_never_below_zero_and_no_free_answer_begins_uncovered(
        rules in rules(),
        plan in prop::collection::vec(step(), 1..150),
    ) {
        let mut world = World::new(rules);
        for step in plan {
            world.run(step);
        }
    }
}
