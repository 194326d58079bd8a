//! Random plans against a tiny model: lists of what was chosen and paid, from which everything else is
//! worked out anew each time.

use proptest::prelude::*;

use super::*;
use crate::effort::plans;

/// What a plan does, one after the other. Places are taken modulo what there is.
#[derive(Debug, Clone)]
enum Step {
    Choose { question: usize, visitor: u64, seed: u64 },
    Confirm(usize),
    Click(usize),
    Stranger(usize),
    Release(usize),
    Wait(u64),
    Pause(usize),
    Budget { campaign: usize, total: i64, daily: i64 },
    TopUp { account: usize, nanos: i64 },
    Refund { account: usize, nanos: i64 },
}

/// Clicks of a visitor that count on a day.
const CLICKS: u32 = 3;

const QUESTIONS: [&str; 4] = [
    "Which laptop should I buy?",
    "Which laptop do I need in a hotel at the beach?",
    "Give me a recipe for pasta",
    "What is it that you do?",
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4_usize, 0..3_u64, any::<u64>())
            .prop_map(|(question, visitor, seed)| Step::Choose { question, visitor, seed }),
        5 => any::<usize>().prop_map(Step::Confirm),
        3 => any::<usize>().prop_map(Step::Click),
        1 => any::<usize>().prop_map(Step::Stranger),
        1 => any::<usize>().prop_map(Step::Release),
        5 => prop_oneof![0..2_000_u64, 0..600_000_u64, 0..Span::DAY.0].prop_map(Step::Wait),
        1 => any::<usize>().prop_map(Step::Pause),
        1 => (any::<usize>(), 1..20_000_i64, 1..20_000_i64)
            .prop_map(|(campaign, total, daily)| Step::Budget { campaign, total, daily }),
        1 => (0..2_usize, 1..10_000_i64).prop_map(|(account, nanos)| Step::TopUp { account, nanos }),
        1 => (0..2_usize, 1..10_000_i64).prop_map(|(account, nanos)| Step::Refund { account, nanos }),
    ]
}

/// An ad that was chosen.
#[derive(Debug, Clone)]
struct Shown {
    campaign: usize,
    visitor: u64,
    day: u64,
    prices: [i64; 2],
    /// Whether it was seen, and clicked.
    counted: [bool; 2],
    since: Moment,
    until: Moment,
    over: bool,
}

impl Shown {
    fn is_out(&self, now: Moment) -> bool {
        !self.over && now < self.until
    }

    fn reserved(&self, now: Moment) -> i64 {
        let parts = self.prices.iter().zip(self.counted);
        if self.is_out(now) { parts.filter(|(_, counted)| !counted).map(|(price, _)| price).sum() } else { 0 }
    }
}

struct Model {
    now: Moment,
    campaigns: Vec<Campaign>,
    shown: Vec<Shown>,
    /// Campaign, day, amount.
    paid: Vec<(usize, u64, i64)>,
    /// Visitor and day of each click.
    clicks: Vec<(u64, u64)>,
    balances: [i64; 2],
}

impl Model {
    fn spent(&self, campaign: usize, day: Option<u64>) -> i64 {
        let own = self.paid.iter().filter(|paid| paid.0 == campaign && day.is_none_or(|day| paid.1 == day));
        own.map(|paid| paid.2).sum()
    }

    fn reserved(&self, campaign: usize) -> i64 {
        self.shown.iter().filter(|ad| ad.campaign == campaign).map(|ad| ad.reserved(self.now)).sum()
    }

    fn may_click(&self, visitor: u64) -> bool {
        let today = (visitor, self.now.day());
        self.clicks.iter().filter(|click| **click == today).count() < CLICKS as usize
    }

    /// What a campaign bids to a visitor, for an impression and for a click.
    fn bids(&self, campaign: usize, visitor: u64) -> [i64; 2] {
        let bid = self.campaigns[campaign].bid;
        [bid.impression().get(), if self.may_click(visitor) { bid.click.get() } else { 0 }]
    }

    fn account(&self, campaign: usize) -> usize {
        usize::from(self.campaigns[campaign].account == TWO)
    }

    /// Every campaign that may be chosen, with its score.
    fn payable(&self, audience: &Audience) -> Vec<(usize, i128)> {
        let places = 0..self.campaigns.len();
        places.filter_map(|place| Some((place, self.score(place, audience)?))).collect()
    }

    fn score(&self, place: usize, audience: &Audience) -> Option<i128> {
        let campaign = &self.campaigns[place];
        let bids = self.bids(place, audience.visitor);
        let whole = bids[0] + bids[1] + self.reserved(place);
        let today = self.now.day();
        let mine = || self.shown.iter().filter(|ad| ad.campaign == place);
        let given = mine()
            .filter(|ad| ad.visitor == audience.visitor && ad.day == today)
            .filter(|ad| ad.counted[0] || ad.is_out(self.now));
        let others = (0..self.campaigns.len())
            .filter(|other| *other != place && self.account(*other) == self.account(place));
        let out: i64 = others.map(|other| self.reserved(other)).sum();
        let may = !campaign.paused
            && bids != [0, 0]
            && bids.iter().zip([10, 100]).all(|(bid, floor)| *bid == 0 || *bid >= floor)
            && self.spent(place, None) + whole <= campaign.budget.total.get()
            && self.spent(place, Some(today)) + whole <= campaign.budget.daily.get()
            && out + whole <= self.balances[self.account(place)]
            && given.count() < campaign.per_visitor_day as usize;
        let share = match campaign.targets.categories.first() {
            Some(category) => i128::from(audience.topic.share(*category)),
            None => 100,
        };
        let count = |part: usize| mine().filter(|ad| ad.counted[part]).count() as i128;
        let clicks_ppm = (count(1) + 1) * 1_000_000 / (count(0) + 200);
        let worth = i128::from(bids[0]) * 1_000_000 + i128::from(bids[1]) * clicks_ppm;
        (may && share >= 100).then_some(share * worth)
    }

    /// What a winner pays for an impression and for a click.
    fn prices(&self, winner: usize, visitor: u64, payable: &[(usize, i128)]) -> [i64; 2] {
        let own = payable.iter().find(|one| one.0 == winner).unwrap().1;
        let rivals = payable.iter().filter(|one| self.account(one.0) != self.account(winner));
        let next = rivals.map(|one| one.1).max().unwrap_or(0);
        let bids = self.bids(winner, visitor);
        let pay = |bid: i64, floor: i64| {
            let second = (i128::from(bid) * next + own - 1) / own;
            i64::try_from(second).unwrap().max(floor).min(bid)
        };
        [pay(bids[0], 10), pay(bids[1], 100)]
    }
}

/// Five campaigns of two advertisers.
fn campaigns() -> Vec<Campaign> {
    let made = |account, category: Option<Category>, bid, daily, per_visitor_day| Campaign {
        targets: Targets { categories: category.into_iter().collect(), ..Targets::default() },
        bid,
        budget: Budget { total: Nanos::new(12_000), daily: Nanos::new(daily) },
        per_visitor_day,
        ..campaign(account)
    };
    vec![
        made(ONE, Some(Category::Technology), bid(700_000, 0), 12_000, 5),
        made(TWO, Some(Category::Technology), bid(300_000, 900), 5_000, 3),
        made(TWO, Some(Category::Travel), bid(0, 2_000), 6_000, 100),
        made(ONE, None, bid(450_000, 150), 3_000, 2),
        made(TWO, Some(Category::Food), bid(9_000, 0), 12_000, 100),
    ]
}

struct World {
    model: Model,
    board: Board,
    book: Book,
    steps: usize,
}

impl World {
    fn new() -> World {
        let campaigns = campaigns();
        let mut board = Board::new(AdTerms { clicks_per_visitor_day: CLICKS, ..terms() });
        for (bits, campaign) in (1..).zip(&campaigns) {
            // One of them was put up under a lower floor.
            board.restore(id(bits), campaign.clone(), Spend::default());
        }
        let (shown, paid, clicks, balances) = (Vec::new(), Vec::new(), Vec::new(), [9_000, 9_000]);
        let model = Model { now: NOW, campaigns, shown, paid, clicks, balances };
        World { model, board, book: book(9_000), steps: 0 }
    }

    fn take(&mut self, step: &Step) {
        self.steps += 1;
        let now = self.model.now;
        let places = self.model.campaigns.len();
        match *step {
            Step::Choose { question, visitor, seed } => self.choose(question, visitor, seed),
            Step::Confirm(place) => self.count(place, false),
            Step::Click(place) => self.count(place, true),
            Step::Stranger(place) => self.strange(place),
            Step::Release(place) => {
                if let Some(place) = place.checked_rem(self.model.shown.len()) {
                    self.board.lapse(now);
                    self.board.release(impression(place as u128));
                    let ad = &mut self.model.shown[place];
                    ad.over |= !ad.counted[0];
                }
            }
            Step::Wait(ms) => self.model.now = now + Span(ms),
            Step::Pause(place) => {
                let mut changed = self.model.campaigns[place % places].clone();
                changed.paused = !changed.paused;
                self.change(place % places, changed);
            }
            Step::Budget { campaign, total, daily } => {
                let mut changed = self.model.campaigns[campaign % places].clone();
                changed.budget = Budget { total: Nanos::new(total.max(daily)), daily: Nanos::new(daily) };
                self.change(campaign % places, changed);
            }
            Step::TopUp { account, nanos } => {
                let to = Account::Advertiser([ONE, TWO][account]);
                self.book.grant(now, &self.steps.to_string(), to, Nanos::new(nanos)).unwrap();
                self.model.balances[account] += nanos;
            }
            Step::Refund { account, nanos } => self.refund(account, nanos),
        }
    }

    fn refund(&mut self, account: usize, nanos: i64) {
        let transfer = Transfer {
            cause: Cause::Refund,
            from: Account::Advertiser([ONE, TWO][account]),
            to: Account::Outside,
            amount: Nanos::new(nanos),
            note: String::new(),
        };
        let refunded = self.book.transfer(self.model.now, &self.steps.to_string(), transfer);
        assert_eq!(refunded.is_ok(), nanos <= self.model.balances[account]);
        if refunded.is_ok() {
            self.model.balances[account] -= nanos;
        }
    }

    fn change(&mut self, place: usize, changed: Campaign) {
        let (now, model) = (self.model.now, &self.model);
        self.board.lapse(now);
        let reserved = model.reserved(place);
        let fits = model.spent(place, None) + reserved <= changed.budget.total.get()
            && model.spent(place, Some(now.day())) + reserved <= changed.budget.daily.get();
        let put = self.board.put(now, id(place as u128 + 1), changed.clone());
        assert_eq!(put.is_ok(), fits, "{put:?}");
        if fits {
            self.model.campaigns[place] = changed;
        }
    }

    fn choose(&mut self, question: usize, visitor: u64, seed: u64) {
        let audience = Audience { visitor, ..audience(QUESTIONS[question]) };
        let number = impression(self.model.shown.len() as u128);
        let (now, book) = (self.model.now, &self.book);
        let choice = self.board.choose(now, number, seed, &audience, |account| book.balance(account));
        let payable = self.model.payable(&audience);
        let best = payable.iter().map(|one| one.1).max();
        let Some(choice) = choice else {
            assert_eq!(best, None, "an ad that fits was not chosen");
            return;
        };
        let winner = usize::try_from(choice.campaign.bits()).unwrap() - 1;
        assert!(payable.iter().any(|one| one.0 == winner && Some(one.1) == best), "{choice:?} is not best");
        let prices = self.model.prices(winner, visitor, &payable);
        assert_eq!([choice.prices.impression.get(), choice.prices.click.get()], prices);
        self.model.shown.push(Shown {
            campaign: winner,
            visitor,
            day: now.day(),
            prices,
            counted: [false; 2],
            since: now,
            until: now + terms().impression_within,
            over: false,
        });
    }

    fn count(&mut self, place: usize, clicked: bool) {
        let Some(place) = place.checked_rem(self.model.shown.len()) else { return };
        let (now, before) = (self.model.now, self.model.paid.len());
        let (board, book) = (&mut self.board, &mut self.book);
        let (number, ad) = (impression(place as u128), self.model.shown[place].clone());
        let counted = if clicked {
            board.click(now, number, ad.visitor, book)
        } else {
            board.confirm(now, number, ad.visitor, book)
        };
        let is_out = ad.is_out(now);
        let missing = ad.counted[..=usize::from(clicked)].iter().filter(|counted| !**counted).count();
        let too_soon = missing > 0 && now.since(ad.since) < Span(900 * missing as u64);
        let may_click = self.model.may_click(ad.visitor);
        if !too_soon {
            (0..=usize::from(clicked)).for_each(|part| self.pay(place, part));
        }
        let paid = self.model.paid.len() - before;
        match counted {
            Ok(Counted::New(happenings)) => assert_eq!(happenings.len(), paid),
            Ok(Counted::Again) | Err(AdRefusal::Book(_)) => assert!(is_out && paid == 0),
            Err(AdRefusal::NotOut) => assert!(!is_out),
            Err(AdRefusal::TooSoon { .. }) => assert!(is_out && too_soon),
            Err(AdRefusal::ClicksUsed) => assert!(is_out && clicked && !may_click && paid == 0),
            Err(AdRefusal::OtherVisitor) => panic!("it was the visitor's own"),
        }
    }

    /// Somebody else shows the tokens of an ad.
    fn strange(&mut self, place: usize) {
        let Some(place) = place.checked_rem(self.model.shown.len()) else { return };
        let (now, ad) = (self.model.now, &self.model.shown[place]);
        let refusal = if ad.is_out(now) { AdRefusal::OtherVisitor } else { AdRefusal::NotOut };
        let (number, visitor, book) = (impression(place as u128), ad.visitor + 1, &mut self.book);
        assert_eq!(self.board.confirm(now, number, visitor, book), Err(refusal));
        assert_eq!(self.board.click(now, number, visitor, book), Err(refusal));
    }

    /// Pays for an impression (0) or a click (1) of the model's, if it is still to be paid.
    fn pay(&mut self, place: usize, part: usize) {
        let now = self.model.now;
        let ad = self.model.shown[place].clone();
        if !ad.is_out(now) || ad.counted[part] || (part == 1 && !self.model.may_click(ad.visitor)) {
            return;
        }
        let account = self.model.account(ad.campaign);
        if self.model.balances[account] < ad.prices[part] {
            self.model.shown[place].over = true;
            return;
        }
        self.model.balances[account] -= ad.prices[part];
        self.model.paid.push((ad.campaign, now.day(), ad.prices[part]));
        let ad = &mut self.model.shown[place];
        ad.counted[part] = true;
        if part == 0 {
            (ad.since, ad.until) = (now, now + terms().click_within);
        } else {
            self.model.clicks.push((ad.visitor, now.day()));
        }
    }

    fn check(&mut self) {
        self.board.lapse(self.model.now);
        let model = &self.model;
        for (place, (_, campaign, spend)) in self.board.campaigns().enumerate() {
            assert_eq!(spend.total.get(), model.spent(place, None));
            assert_eq!(spend.today(model.now).get(), model.spent(place, Some(model.now.day())));
            assert_eq!(spend.reserved.get(), model.reserved(place));
            assert!(spend.total.get() + spend.reserved.get() <= campaign.budget.total.get());
            assert!(spend.today(model.now).get() + spend.reserved.get() <= campaign.budget.daily.get());
        }
        for (account, balance) in [ONE, TWO].into_iter().zip(model.balances) {
            assert_eq!(self.book.balance(Account::Advertiser(account)).get(), balance);
        }
        let paid: i64 = model.paid.iter().map(|paid| paid.2).sum();
        assert_eq!(self.book.balance(Account::Free).get(), paid);
        assert_eq!(self.board.open(), model.shown.iter().filter(|ad| ad.is_out(model.now)).count());
        assert_eq!(self.book.audit(), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: plans(400), ..ProptestConfig::default() })]
    #[test]
    fn any_plan_spends_what_the_model_spends_and_never_more_than_a_budget(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            world.check();
        }
    }
}
