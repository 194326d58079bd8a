use std::sync::{Arc, Mutex};

use rekursing_protocol::Span;

use super::*;
use crate::ads::{Bid, Budget, Category, Creative, Targets, Topic, Why};

mod plans;

const NOW: Moment = Moment(Span::DAY.0 * 100);
/// When an ad that was chosen `NOW` counts as seen at the earliest, and as clicked after that.
const SEEN: Moment = Moment(NOW.0 + 900);
const CLICKED: Moment = Moment(SEEN.0 + 900);
const VISITOR: u64 = 7;
const ONE: AccountId = AccountId::from_bits(1);
const TWO: AccountId = AccountId::from_bits(2);

fn terms() -> AdTerms {
    AdTerms { floor: Bid { thousand: Nanos::new(10_000), click: Nanos::new(100) }, ..AdTerms::default() }
}

fn id(bits: u128) -> CampaignId {
    CampaignId::from_bits(bits)
}

fn impression(bits: u128) -> ImpressionId {
    ImpressionId::from_bits(bits)
}

/// A campaign for technology without end: 2,000 nano-dollars for an impression, nothing for a click.
fn campaign(account: AccountId) -> Campaign {
    Campaign {
        account,
        creative: Arc::new(Creative::new("Title", "Text", "https://example.com").unwrap()),
        targets: Targets { categories: vec![Category::Technology], ..Targets::default() },
        bid: Bid { thousand: Nanos::new(2_000_000), click: Nanos::ZERO },
        budget: Budget { total: Nanos::DOLLAR, daily: Nanos::DOLLAR },
        starts: Moment(0),
        ends: Moment(u64::MAX),
        per_visitor_day: 100,
        paused: false,
    }
}

fn bid(thousand: i64, click: i64) -> Bid {
    Bid { thousand: Nanos::new(thousand), click: Nanos::new(click) }
}

fn audience(question: &str) -> Audience {
    Audience { topic: Topic::read(question, "").unwrap(), visitor: VISITOR, country: None }
}

fn laptop() -> Audience {
    audience("Which laptop should I buy?")
}

/// A book in which both advertisers have so much.
fn book(nanos: i64) -> Book {
    let mut book = Book::default();
    for account in [ONE, TWO] {
        book.grant(NOW, &account.to_string(), Account::Advertiser(account), Nanos::new(nanos)).unwrap();
    }
    book
}

fn board(campaigns: impl IntoIterator<Item = Campaign>) -> Board {
    let mut board = Board::new(terms());
    for (bits, campaign) in (1..).zip(campaigns) {
        campaign.check().unwrap();
        // The floor may have been lower when a campaign was put up.
        board.restore(id(bits), campaign, Spend::default());
    }
    board
}

fn choose(board: &mut Board, book: &Book, bits: u128) -> Option<Choice> {
    board.choose(NOW, impression(bits), 1, &laptop(), |account| book.balance(account))
}

#[test]
fn an_ad_that_was_seen_is_paid_once_at_the_price_of_the_next_one() {
    let next = Campaign { bid: bid(1_500_000, 0), ..campaign(TWO) };
    let (mut board, mut book) = (board([campaign(ONE), next]), book(1_000_000));
    let choice = choose(&mut board, &book, 1).unwrap();
    assert_eq!((choice.campaign, choice.prices.impression), (id(1), Nanos::new(1_500)));
    assert_eq!(choice.why, Why::Category(Category::Technology));
    // Half of all ads are taken to be seen.
    assert_eq!(choice.expected, Nanos::new(750));
    assert_eq!(board.campaign(id(1)).unwrap().1.reserved, Nanos::new(1_500));

    let Counted::New(counted) = board.confirm(SEEN, impression(1), VISITOR, &mut book).unwrap() else {
        panic!()
    };
    let entry = counted[0].entry.clone().unwrap();
    assert_eq!(entry.id, format!("impression:{}", impression(1)));
    assert_eq!(board.confirm(SEEN, impression(1), VISITOR, &mut book), Ok(Counted::Again));
    assert_eq!(book.balance(Account::Advertiser(ONE)), Nanos::new(998_500));
    assert_eq!(book.balance(Account::Free), Nanos::new(1_500));
    let spend = board.campaign(id(1)).unwrap().1;
    assert_eq!((spend.total, spend.reserved, spend.impressions), (Nanos::new(1_500), Nanos::ZERO, 1));
    assert_eq!(book.audit(), Ok(()));
}

fn dollars(text: &str) -> Nanos {
    text.parse().unwrap()
}

#[test]
fn the_worked_example_of_the_ledger_is_what_happens() {
    let with = |account, thousand, click| Campaign {
        bid: Bid { thousand: dollars(thousand), click: dollars(click) },
        ..campaign(account)
    };
    let mut board = Board::new(AdTerms::default());
    board.put(NOW, id(1), with(ONE, "2", "0.05")).unwrap();
    board.put(NOW, id(2), with(TWO, "1.5", "0.0375")).unwrap();
    let mut book = book(5_000_000_000);
    let choice = choose(&mut board, &book, 1).unwrap();
    assert_eq!((choice.prices.impression, choice.prices.click), (dollars("0.0015"), dollars("0.0375")));
    assert_eq!(board.campaign(id(1)).unwrap().1.reserved, dollars("0.039"));
    let balances = |book: &Book| [Account::Advertiser(ONE), Account::Free].map(|whose| book.balance(whose));
    board.confirm(SEEN, impression(1), VISITOR, &mut book).unwrap();
    assert_eq!(balances(&book), [dollars("4.9985"), dollars("0.0015")]);
    board.click(CLICKED, impression(1), VISITOR, &mut book).unwrap();
    assert_eq!(balances(&book), [dollars("4.961"), dollars("0.039")]);
}

#[test]
fn the_example_of_the_readers_page_is_what_happens() {
    let with = |account, thousand, targets| Campaign {
        bid: Bid { thousand: dollars(thousand), click: Nanos::ZERO },
        targets,
        ..campaign(account)
    };
    let of = |category| Targets { categories: vec![category], ..Targets::default() };
    let keyword = Targets { keywords: vec!["laptop".parse().unwrap()], ..Targets::default() };
    let mut board = Board::new(AdTerms::default());
    board.put(NOW, id(1), with(ONE, "2.00", of(Category::Technology))).unwrap();
    board.put(NOW, id(2), with(TWO, "1.50", keyword)).unwrap();
    board.put(NOW, id(3), with(TWO, "9.00", Targets::default())).unwrap();
    board.put(NOW, id(4), with(TWO, "9.00", of(Category::Travel))).unwrap();
    let choice = choose(&mut board, &book(1_000_000_000), 1).unwrap();
    assert_eq!((choice.campaign, choice.prices.impression), (id(1), dollars("0.0015")));
    assert_eq!(choice.expected, dollars("0.00075"));
}

#[test]
fn campaigns_of_one_advertiser_do_not_bid_against_each_other() {
    let (mut board, book) = (board([campaign(ONE), campaign(ONE)]), book(1_000_000));
    assert_eq!(choose(&mut board, &book, 1).unwrap().prices.impression, terms().floor.impression());
}

#[test]
fn a_click_is_paid_once_and_counts_the_impression_that_it_proves() {
    let both = Campaign { bid: bid(2_000_000, 500), ..campaign(ONE) };
    let (mut board, mut book) = (board([both]), book(1_000_000));
    choose(&mut board, &book, 1).unwrap();
    let Counted::New(counted) = board.click(CLICKED, impression(1), VISITOR, &mut book).unwrap() else {
        panic!()
    };
    let causes: Vec<_> = counted.iter().map(|happening| happening.cause).collect();
    assert_eq!(causes, [Cause::Impression, Cause::Click]);
    assert_eq!(board.click(CLICKED, impression(1), VISITOR, &mut book), Ok(Counted::Again));
    assert_eq!(board.confirm(SEEN, impression(1), VISITOR, &mut book), Ok(Counted::Again));
    assert_eq!(book.balance(Account::Free), Nanos::new(10 + 100));
}

#[test]
fn an_impression_of_an_ad_that_bids_for_clicks_alone_counts_and_costs_nothing() {
    let clicks = Campaign { bid: bid(0, 500), ..campaign(ONE) };
    let (mut board, mut book) = (board([clicks]), book(1_000_000));
    choose(&mut board, &book, 1).unwrap();
    let Counted::New(counted) = board.confirm(SEEN, impression(1), VISITOR, &mut book).unwrap() else {
        panic!()
    };
    assert_eq!((counted[0].cause, &counted[0].entry), (Cause::Impression, &None));
    assert_eq!(board.campaign(id(1)).unwrap().1.reserved, Nanos::new(100));
    board.click(CLICKED, impression(1), VISITOR, &mut book).unwrap();
    assert_eq!(board.campaign(id(1)).unwrap().1.total, Nanos::new(100));
}

#[test]
fn an_ad_counts_for_the_visitor_to_whom_it_was_shown_and_for_nobody_else() {
    let both = Campaign { bid: bid(2_000_000, 500), ..campaign(ONE) };
    let (mut board, mut book) = (board([both]), book(1_000_000));
    choose(&mut board, &book, 1).unwrap();
    let other = Err(AdRefusal::OtherVisitor);
    assert_eq!(board.confirm(SEEN, impression(1), VISITOR + 1, &mut book), other);
    assert_eq!(board.click(CLICKED, impression(1), VISITOR + 1, &mut book), other);
    assert_eq!(book.balance(Account::Free), Nanos::ZERO);
    assert!(board.confirm(SEEN, impression(1), VISITOR, &mut book).is_ok());
    assert_eq!(board.confirm(CLICKED, impression(1), VISITOR + 1, &mut book), other);
    assert_eq!(board.click(CLICKED, impression(1), VISITOR + 1, &mut book), other);
    assert_eq!(book.balance(Account::Free), Nanos::new(10));
}

#[test]
fn nothing_counts_before_anybody_can_have_seen_it_and_can_be_told_again_when_he_can() {
    let both = Campaign { bid: bid(2_000_000, 500), ..campaign(ONE) };
    let (mut board, mut book) = (board([both]), book(1_000_000));
    choose(&mut board, &book, 1).unwrap();
    // It was chosen while the answer was made, and sent a minute later.
    let sent = NOW + Span::secs(60);
    board.sent(sent, impression(1));
    let wait = |ms| Err(AdRefusal::TooSoon { wait: Span(ms) });
    assert_eq!(board.confirm(sent, impression(1), VISITOR, &mut book), wait(900));
    assert_eq!(board.confirm(sent + Span(899), impression(1), VISITOR, &mut book), wait(1));
    assert_eq!(board.click(sent + Span(1_799), impression(1), VISITOR, &mut book), wait(1));
    assert_eq!(book.balance(Account::Free), Nanos::ZERO);
    let seen = sent + Span(900);
    assert!(board.confirm(seen, impression(1), VISITOR, &mut book).is_ok());
    board.sent(seen + Span::secs(60), impression(1));
    assert_eq!(board.click(seen + Span(899), impression(1), VISITOR, &mut book), wait(1));
    assert!(board.click(seen + Span(900), impression(1), VISITOR, &mut book).is_ok());
    assert_eq!(book.balance(Account::Free), Nanos::new(10 + 100));
}

#[test]
fn a_visitors_clicks_count_up_to_a_cap_and_are_worth_nothing_beyond_it() {
    let both = |account| Campaign { bid: bid(2_000_000, 500), ..campaign(account) };
    let of_clicks = Campaign { bid: bid(0, 1_000_000), ..campaign(TWO) };
    let mut board = Board::new(AdTerms { clicks_per_visitor_day: 2, ..terms() });
    board.put(NOW, id(1), both(ONE)).unwrap();
    let mut book = book(1_000_000);
    (1..=4).for_each(|bits| drop(choose(&mut board, &book, bits).unwrap()));
    for bits in 1..=2 {
        assert!(board.click(CLICKED, impression(bits), VISITOR, &mut book).is_ok());
    }
    // What was out may still be seen: a click without that counts as an impression alone.
    let Ok(Counted::New(counted)) = board.click(CLICKED, impression(3), VISITOR, &mut book) else { panic!() };
    assert_eq!(counted.iter().map(|one| one.cause).collect::<Vec<_>>(), [Cause::Impression]);
    assert_eq!(
        board.click(CLICKED + Span(900), impression(3), VISITOR, &mut book),
        Err(AdRefusal::ClicksUsed)
    );
    assert_eq!(board.campaign(id(1)).unwrap().1.clicks, 2);

    // A bid for clicks alone does not win where no click can count.
    board.put(NOW, id(2), of_clicks).unwrap();
    let choice = choose(&mut board, &book, 5).unwrap();
    assert_eq!((choice.campaign, choice.prices.click), (id(1), Nanos::ZERO));
    let elsewhere = Audience { visitor: VISITOR + 1, ..laptop() };
    let choice = board.choose(NOW, impression(6), 1, &elsewhere, |account| book.balance(account)).unwrap();
    assert!(choice.prices.click > Nanos::ZERO);
    let tomorrow = NOW + Span::DAY;
    let choice = board.choose(tomorrow, impression(7), 1, &laptop(), |account| book.balance(account));
    assert!(choice.unwrap().prices.click > Nanos::ZERO);
}

#[test]
fn what_is_not_seen_in_time_lapses_and_counts_no_more() {
    let (mut board, mut book) = (board([campaign(ONE)]), book(1_000_000));
    choose(&mut board, &book, 1).unwrap();
    let later = NOW + terms().impression_within;
    assert_eq!(board.confirm(later, impression(1), VISITOR, &mut book), Err(AdRefusal::NotOut));
    assert_eq!(board.campaign(id(1)).unwrap().1.reserved, Nanos::ZERO);
    assert_eq!((board.open(), book.balance(Account::Free)), (0, Nanos::ZERO));
}

#[test]
fn an_ad_that_was_not_delivered_is_as_if_it_had_not_been_chosen() {
    let once = Campaign { per_visitor_day: 1, ..campaign(ONE) };
    let (mut board, book) = (board([once]), book(1_000_000));
    let expected = choose(&mut board, &book, 1).unwrap().expected;
    assert_eq!(choose(&mut board, &book, 2), None);
    board.release(impression(1));
    assert_eq!(choose(&mut board, &book, 2).unwrap().expected, expected);
}

#[test]
fn only_campaigns_that_may_and_fit_are_chosen() {
    let refused: [fn(&mut Campaign); 8] = [
        |c| c.paused = true,
        |c| c.starts = NOW + Span(1),
        |c| c.ends = NOW,
        |c| c.targets.countries = vec!["DE".parse().unwrap()],
        |c| c.targets.categories = vec![Category::Food],
        |c| c.bid = bid(9_999, 0),
        |c| c.budget = Budget { total: Nanos::new(1_999), daily: Nanos::new(1_999) },
        |c| c.budget.daily = Nanos::new(1_999),
    ];
    let book = book(1_000_000);
    for (place, change) in refused.into_iter().enumerate() {
        let mut changed = campaign(ONE);
        change(&mut changed);
        assert_eq!(choose(&mut board([changed]), &book, 1), None, "{place}");
    }
    assert_eq!(choose(&mut board([campaign(ONE)]), &self::book(1_999), 1), None);
    assert!(choose(&mut board([campaign(ONE)]), &self::book(2_000), 1).is_some());
}

#[test]
fn an_ad_for_a_country_is_shown_there_alone() {
    let german = Campaign {
        targets: Targets { countries: vec!["DE".parse().unwrap()], ..Targets::default() },
        ..campaign(ONE)
    };
    let (mut board, book) = (board([german]), book(1_000_000));
    let mut there = laptop();
    for (country, shown) in [("FR", false), ("DE", true)] {
        there.country = Some(country.parse().unwrap());
        let choice = board.choose(NOW, impression(1), 1, &there, |account| book.balance(account));
        assert_eq!(choice.is_some(), shown, "{country}");
    }
}

#[test]
fn the_seed_alone_decides_among_equals() {
    let book = book(1_000_000);
    let drawn = |seed| {
        let mut board = board([campaign(ONE), campaign(TWO)]);
        let choice = board.choose(NOW, impression(1), seed, &laptop(), |account| book.balance(account));
        choice.unwrap().campaign
    };
    assert!((0..20).all(|seed| drawn(seed) == drawn(seed)));
    let first = (0..200).filter(|seed| drawn(*seed) == id(1)).count();
    assert!((60..140).contains(&first), "{first}");
}

#[test]
fn a_bid_below_the_floor_is_refused_and_one_that_was_overtaken_may_still_be_paused() {
    let mut board = Board::new(terms());
    let floor = terms().floor;
    let bidding = |bid| Campaign { bid, ..campaign(ONE) };
    let short = |nanos: Nanos| Nanos::new(nanos.get() - 1_000);
    for low in [
        Bid { thousand: short(floor.thousand), click: Nanos::ZERO },
        Bid { thousand: Nanos::ZERO, click: Nanos::new(floor.click.get() - 1) },
        Bid { click: Nanos::new(1), ..floor },
    ] {
        assert_eq!(board.put(NOW, id(1), bidding(low)), Err(BoardRefusal::BelowFloor(floor)), "{low:?}");
    }
    assert_eq!(board.put(NOW, id(1), bidding(floor)), Ok(()));
    let higher = Bid { thousand: Nanos::new(2 * floor.thousand.get()), ..floor };
    let mut board = Board::new(AdTerms { floor: higher, ..terms() });
    board.restore(id(1), bidding(floor), Spend::default());
    assert!(!board.is_enough(&bidding(floor)) && board.is_enough(&bidding(higher)));
    let paused = Campaign { paused: true, ..bidding(floor) };
    assert_eq!(board.put(NOW, id(1), paused), Ok(()));
    assert_eq!(board.put(NOW, id(2), bidding(floor)), Err(BoardRefusal::BelowFloor(higher)));
}

#[test]
fn a_budget_is_not_lowered_below_what_is_spent_and_set_aside() {
    let (mut board, mut book) = (board([campaign(ONE)]), book(1_000_000));
    for bits in 1..=2 {
        choose(&mut board, &book, bits).unwrap();
    }
    board.confirm(SEEN, impression(1), VISITOR, &mut book).unwrap();
    let with = |total, daily| Campaign {
        budget: Budget { total: Nanos::new(total), daily: Nanos::new(daily) },
        ..campaign(ONE)
    };
    assert_eq!(board.put(NOW, id(1), with(19, 19)), Err(BoardRefusal::Spent(Nanos::new(20))));
    assert_eq!(board.put(NOW, id(1), with(30, 19)), Err(BoardRefusal::Spent(Nanos::new(20))));
    assert_eq!(board.put(NOW, id(1), with(20, 20)), Ok(()));
    // Tomorrow, what was spent today is of another day.
    let tomorrow = NOW + Span::DAY;
    assert_eq!(board.put(tomorrow, id(1), with(20, 10)), Ok(()));
    assert_eq!(board.put(NOW, id(1), campaign(TWO)), Err(BoardRefusal::Account));
}

#[test]
fn campaigns_are_limited_in_all_and_for_each_account() {
    let terms = AdTerms { campaigns_max: 3, campaigns_per_account_max: 2, ..terms() };
    let mut board = Board::new(terms);
    assert_eq!(board.put(NOW, id(1), campaign(ONE)), Ok(()));
    assert_eq!(board.put(NOW, id(2), campaign(ONE)), Ok(()));
    assert_eq!(board.put(NOW, id(3), campaign(ONE)), Err(BoardRefusal::AccountFull));
    assert_eq!(board.put(NOW, id(3), campaign(TWO)), Ok(()));
    assert_eq!(board.put(NOW, id(4), campaign(TWO)), Err(BoardRefusal::Full));
    assert_eq!(board.put(NOW, id(2), campaign(ONE)), Ok(()));
}

#[test]
fn an_impression_that_its_account_can_no_longer_pay_does_not_count() {
    let (mut board, mut book) = (board([campaign(ONE)]), book(5));
    let rich = |_| Nanos::DOLLAR;
    board.choose(NOW, impression(1), 1, &laptop(), rich).unwrap();
    assert!(matches!(board.confirm(SEEN, impression(1), VISITOR, &mut book), Err(AdRefusal::Book(_))));
    let spend = board.campaign(id(1)).unwrap().1;
    assert_eq!((spend.total, spend.reserved, spend.impressions), (Nanos::ZERO, Nanos::ZERO, 0));
}

#[test]
fn no_more_ads_are_out_than_memory_is_given_to_them() {
    let mut board = Board::new(AdTerms { open_max: 2, ..terms() });
    board.put(NOW, id(1), campaign(ONE)).unwrap();
    let book = book(1_000_000);
    assert!(choose(&mut board, &book, 1).is_some());
    assert_eq!(choose(&mut board, &book, 1), None, "an id is one showing");
    assert!(choose(&mut board, &book, 2).is_some());
    assert_eq!(choose(&mut board, &book, 3), None);
}

#[test]
fn sixty_four_racing_pages_spend_a_budget_to_the_last_price_and_no_nano_dollar_more() {
    // Money for exactly 10 impressions at the floor of 10, one of them up to its bid of 2,000.
    for (budget, balance) in [(2_090, 1_000_000), (1_000_000, 2_090)] {
        let mut small = campaign(ONE);
        small.budget = Budget { total: Nanos::new(budget), daily: Nanos::new(budget) };
        let shared = Mutex::new((board([small]), book(balance)));
        std::thread::scope(|scope| {
            for bits in 0..64 {
                let shared = &shared;
                scope.spawn(move || {
                    for round in 0..8 {
                        let impression = impression(bits * 8 + round);
                        let chosen = {
                            let (board, book) = &mut *shared.lock().unwrap();
                            board.choose(NOW, impression, 1, &laptop(), |account| book.balance(account))
                        };
                        if chosen.is_some() {
                            let (board, book) = &mut *shared.lock().unwrap();
                            board.confirm(SEEN, impression, VISITOR, book).unwrap();
                        }
                    }
                });
            }
        });
        let (board, book) = shared.into_inner().unwrap();
        let spend = board.campaign(id(1)).unwrap().1;
        assert_eq!((spend.total, spend.reserved, spend.impressions), (Nanos::new(100), Nanos::ZERO, 10));
        assert_eq!(book.balance(Account::Free), Nanos::new(100));
        assert_eq!(book.audit(), Ok(()));
    }
}

#[test]
fn a_campaign_is_funded_while_its_account_can_pay_one_more_impression_beside_what_is_reserved() {
    let mut board = board([campaign(ONE)]);
    let one = campaign(ONE);
    let price = Bid { click: Nanos::ZERO, ..one.bid }.whole();
    assert!(board.is_funded(&one, price) && !board.is_funded(&one, Nanos::new(price.get() - 1)));
    assert!(!board.is_funded(&one, Nanos::ZERO));
    let whole = one.bid.whole();
    board.choose(NOW, impression(1), 1, &laptop(), |_| whole).unwrap();
    assert!(!board.is_funded(&one, whole), "it is reserved for the one that is out");
    assert!(board.is_funded(&one, whole.checked_add(price).unwrap()));
}
