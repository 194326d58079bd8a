mod by_hand;
mod crashes;
mod recall;
mod scripted;

use std::{collections::VecDeque, sync::Arc};

use rekursing_market::{
    Book, Market, Terms,
    ledger::{Cause, Transfer},
};
use rekursing_rails::{Attempt, Fate, NotKnown, Refusal};
use serde_json::json;

use super::*;
use crate::{
    clock::{Clock, Lived},
    place::{Place, aside, on_both_waiting},
    roll::Roll,
    store::{Deed, Location, audit},
    switches::Position,
};
use scripted::{Scripted, Submission};

on_both_waiting! {
    the_cost_is_shown_before_anything_moves_and_must_be_the_one_accepted,
    a_payout_goes_from_requested_over_sent_to_confirmed,
    a_lost_reply_is_found_out_with_the_same_bytes,
    what_may_have_been_sent_is_never_given_back_while_nobody_can_tell,
    a_refusal_that_passes_is_tried_again_and_one_that_does_not_gives_the_money_back,
    a_payout_that_no_rail_takes_for_days_goes_back_to_its_owner,
    what_a_rail_took_that_the_platform_does_not_have_is_missing_and_not_forgotten,
    money_that_comes_back_is_the_owners_less_what_the_rail_took,
    what_arrived_is_watched_and_goes_back_when_the_rail_takes_it_back,
    an_owner_can_take_back_what_is_only_requested_and_nobody_elses,
    without_a_rail_payouts_queue_and_say_so_and_go_once_there_is_one,
    what_was_decided_when_the_relay_died_is_done_also_without_a_rail,
    a_payout_above_the_operators_limit_waits_for_his_word,
    small_payouts_of_a_week_wait_for_the_operators_word_once_they_are_too_much_together,
    an_owner_has_only_so_many_under_way,
    one_payout_is_prepared_beside_those_that_stand_and_does_not_wait_for_them,
    automatic_payouts_come_on_their_day_once_there_is_enough,
    while_payouts_are_switched_off_none_leaves_and_what_has_left_is_looked_after,
    a_changed_destination_holds_automatic_payouts_back_for_a_day_also_behind_a_removal,
    a_first_destination_waits_for_a_day_where_something_was_earned_before_it,
    a_changed_destination_holds_payouts_back_that_the_owner_asks_for_and_says_until_when,
    a_clock_that_was_set_while_the_relay_was_away_pays_no_new_destination_at_once,
    a_destination_and_a_threshold_must_be_the_methods,
}

const OWNER: PluginId = PluginId::from_bits(2);

fn usd(text: &str) -> Nanos {
    text.parse().unwrap()
}

/// Payouts over a database of their own, which can die and come back.
struct Case {
    place: Place,
    config: Config,
    rail: Arc<Scripted>,
    payouts: Payouts,
    /// The present moment, which tests move by hand.
    now: Moment,
    running: Running,
}

/// Ends the store when it goes, whoever else still has it.
struct Running(Store);

impl Drop for Running {
    fn drop(&mut self) {
        aside(|| self.0.stop());
    }
}

impl Case {
    /// An owner with 20 USD who is paid by PayPal; what arrived is not watched.
    async fn new(place: Place) -> Case {
        Case::with(place, "[payouts]\nwatch_days = 0").await
    }

    async fn with(place: Place, config: &str) -> Case {
        let config = Config::parse(config).unwrap();
        let rail = Arc::new(Scripted::default());
        rail.world.lock().cost = usd("0.25");
        let payouts = open(&place.location, &config, Some(&rail));
        let now = payouts.desk.now();
        let running = Running(payouts.store().clone());
        let case = Case { place, config, rail, payouts, now, running };
        case.payouts.set_method(OWNER, wish("ada@example.com"), now).await.unwrap();
        case.earn("20").await;
        case
    }

    async fn earn(&self, amount: &str) {
        self.give(Account::Owner(OWNER), amount).await;
    }

    async fn give(&self, to: Account, amount: &str) {
        let transfer = Transfer {
            cause: Cause::Correction,
            from: Account::Outside,
            to,
            amount: usd(amount),
            note: "for a test".to_owned(),
        };
        self.payouts.desk.transfer(&format!("test-{to}-{amount}"), transfer).await.unwrap();
    }

    async fn ask(&self, amount: &str) -> PayoutRow {
        match self
            .payouts
            .ask(new_id(self.now), OWNER, Some(usd(amount)), Some(usd("0.25")), self.now)
            .await
            .unwrap()
        {
            Asked::Made(payout) => *payout,
            Asked::Quoted(..) => panic!("only quoted"),
        }
    }

    /// Works until nothing is left to do, moving time to whenever something is due.
    async fn work(&mut self) {
        for _ in 0..1_000 {
            match self.payouts.step(Method::Paypal, self.now).await.unwrap() {
                Progress::Made => {}
                Progress::Rest(Some(due)) => self.now = due,
                Progress::Rest(None) => return,
            }
        }
        panic!("the work does not end");
    }

    /// Works until the payout rests.
    async fn work_until_rest(&self) -> Option<Moment> {
        loop {
            if let Progress::Rest(due) = self.payouts.step(Method::Paypal, self.now).await.unwrap() {
                return due;
            }
        }
    }

    /// Ends the relay and begins another over the same database.
    fn restart(self) -> Case {
        let rail = Arc::clone(&self.rail);
        self.restart_over(Some(&rail))
    }

    /// The same with another rail, or none.
    fn restart_over(mut self, rail: Option<&Arc<Scripted>>) -> Case {
        aside(|| self.payouts.store().stop());
        self.payouts = open(&self.place.location, &self.config, rail);
        self.running = Running(self.payouts.store().clone());
        self
    }

    async fn row(&self, payout: &PayoutRow) -> PayoutRow {
        self.payouts.store().payout(payout.id).await.unwrap().unwrap()
    }

    async fn state(&self, payout: &PayoutRow) -> State {
        self.row(payout).await.state().unwrap()
    }

    /// Returns owner, requested, sent, platform and outside, once the book is audited.
    fn balances(&self) -> [String; 5] {
        let accounts = [
            Account::Owner(OWNER),
            Account::PayoutRequested,
            Account::PayoutSent,
            Account::Platform,
            Account::Outside,
        ];
        assert_eq!(aside(|| audit(&self.place.location).unwrap().wrong), None);
        accounts.map(|account| self.payouts.desk.balance(account).to_string())
    }

    fn submitting(&self, script: impl Into<VecDeque<Submission>>) {
        self.rail.world.lock().submitting = script.into();
    }

    fn looking(&self, script: impl Into<VecDeque<Result<Fate, NotKnown>>>) {
        self.rail.world.lock().looking = script.into();
    }
}

fn wish(destination: &str) -> Wish {
    Wish {
        method: Method::Paypal,
        destination: destination.to_owned(),
        threshold: Some(usd("10")),
        schedule: Schedule::Daily,
        account: None,
    }
}

/// Returns another empty database of the same kind.
fn another(place: &Place) -> Place {
    aside(|| place.another())
}

/// The operator, who calls from somewhere.
fn operator() -> By {
    By::Operator(Act::of("http:127.0.0.1", Deed::PayoutCancelled, "", ""))
}

fn open(location: &Location, config: &Config, rail: Option<&Arc<Scripted>>) -> Payouts {
    open_by(location, config, rail, Clock::start())
}

fn open_by(location: &Location, config: &Config, rail: Option<&Arc<Scripted>>, clock: Clock) -> Payouts {
    let (store, opening) = aside(|| {
        let mut unstarted = Store::open(location).unwrap();
        unstarted.drop_unposted_payouts().unwrap();
        let opening = unstarted.opening().unwrap();
        (unstarted.start(opening.last, Box::new(|_| true)).unwrap(), opening)
    });
    let market = Market::new(Terms::default(), Book::restore(opening.balances, opening.holds), 1);
    let desk = Desk::new(market, store, clock, 1_000);
    let mut rails = Rails::default();
    if let Some(rail) = rail {
        rails.add(Arc::<Scripted>::clone(rail));
    }
    Payouts::new(desk, rails, Rules::of(config))
}

async fn the_cost_is_shown_before_anything_moves_and_must_be_the_one_accepted(place: Place) {
    let case = Case::new(place).await;
    for accepted in [None, Some(usd("0.2")), Some(usd("0.26"))] {
        let asked =
            case.payouts.ask(new_id(case.now), OWNER, Some(usd("7.129")), accepted, case.now).await.unwrap();
        let Asked::Quoted(method, quote) = asked else { panic!("it was made") };
        assert_eq!(method.destination, "ada@example.com");
        assert_eq!((quote.amount, quote.cost, quote.arrives()), (usd("7.12"), usd("0.25"), usd("6.87")));
    }
    assert_eq!(case.balances(), ["20", "0", "0", "0", "-20"]);
    let denied =
        case.payouts.ask(new_id(case.now), OWNER, Some(usd("21")), None, case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::Quote(QuoteRefusal::Insufficient { .. })), "{denied:?}");
    let denied =
        case.payouts.ask(new_id(case.now), PluginId::from_bits(9), None, None, case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::NoMethod), "{denied:?}");
}

async fn a_payout_goes_from_requested_over_sent_to_confirmed(place: Place) {
    let mut case = Case::new(place).await;
    let payout = case.ask("12.34").await;
    assert_eq!(case.balances(), ["7.66", "12.34", "0", "0", "-20"]);
    assert_eq!(payout.state(), Some(State::Requested));
    case.payouts.step(Method::Paypal, case.now).await.unwrap();
    assert!(case.row(&payout).await.prepared.is_some(), "its bytes are stored before it is sent");
    assert!(case.rail.world.lock().submissions.is_empty());
    case.payouts.step(Method::Paypal, case.now).await.unwrap();
    assert_eq!(case.balances(), ["7.66", "0", "12.34", "0", "-20"]);
    assert!(case.rail.world.lock().submissions.is_empty(), "it is in the book before it is sent");
    case.work().await;
    assert_eq!(case.balances(), ["7.66", "0", "0", "0", "-7.66"]);
    let row = case.row(&payout).await;
    assert_eq!(row.state(), Some(State::Confirmed));
    assert_eq!(row.reference, Some(format!("TX-{}", payout.id)));
    let world = case.rail.world.lock();
    assert_eq!(world.submissions, [(payout.id, Attempt::First)]);
    assert_eq!(world.paid(), usd("12.09").get());
}

async fn a_lost_reply_is_found_out_with_the_same_bytes(place: Place) {
    for (script, submissions) in [
        (vec![Submission::LostAfter], 1),
        (vec![Submission::LostBefore], 2),
        (vec![Submission::LostBefore, Submission::LostBefore, Submission::LostAfter], 3),
    ] {
        let mut case = Case::new(another(&place)).await;
        let payout = case.ask("12.34").await;
        case.submitting(script);
        case.work().await;
        assert_eq!(case.state(&payout).await, State::Confirmed);
        assert_eq!(case.balances(), ["7.66", "0", "0", "0", "-7.66"]);
        let world = case.rail.world.lock();
        assert_eq!(world.paid(), usd("12.09").get());
        assert_eq!(world.submissions.len(), submissions);
        assert!(world.submissions.iter().skip(1).all(|(_, attempt)| *attempt == Attempt::Again));
    }
}

async fn what_may_have_been_sent_is_never_given_back_while_nobody_can_tell(place: Place) {
    let case = Case::new(place).await;
    let payout = case.ask("12.34").await;
    case.submitting([Submission::LostAfter]);
    let silent = Err(NotKnown::Contradiction("two transfers".to_owned()));
    case.looking(vec![silent; 150]);
    let mut case = case;
    for _ in 0..150 {
        case.now = case.work_until_rest().await.unwrap();
        assert_eq!(case.state(&payout).await, State::Sent);
    }
    let view = case.payouts.operator_view(&case.row(&payout).await, &Roll::default(), case.now);
    assert_eq!(view["stuck"], true);
    let denied = case.payouts.cancel(payout.id, operator(), "", case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::Late { state: State::Sent }), "{denied:?}");
    case.work().await;
    assert_eq!(case.state(&payout).await, State::Confirmed);
}

async fn a_refusal_that_passes_is_tried_again_and_one_that_does_not_gives_the_money_back(place: Place) {
    let mut case = Case::new(place).await;
    let payout = case.ask("12.34").await;
    let insufficient = Refusal::Insufficient("balance is 3 USD".to_owned());
    case.rail.world.lock().preparing = [Refusal::Unavailable("down".to_owned())].into();
    case.submitting([Submission::Refused(insufficient.clone()), Submission::Refused(insufficient)]);
    let due = case.work_until_rest().await.unwrap();
    assert_eq!(due.since(case.now), Span::secs(10));
    let row = case.row(&payout).await;
    assert_eq!(row.reason.as_deref(), Some("the rail is not available: down"));
    let view = case.payouts.operator_view(&row, &Roll::default(), case.now);
    assert_eq!(
        (&view["sending"], &view["nextTryAt"]),
        (&json!(row.state() == Some(State::Sent)), &json!(due))
    );
    case.work().await;
    assert_eq!(case.state(&payout).await, State::Confirmed);
    assert!(case.rail.world.lock().submissions.iter().all(|(_, attempt)| *attempt == Attempt::First));

    case.earn("3").await;
    let payout = case.ask("10").await;
    case.submitting([Submission::Refused(Refusal::Destination("no such receiver".to_owned()))]);
    case.work().await;
    let row = case.row(&payout).await;
    assert_eq!(row.state(), Some(State::Returned));
    assert_eq!(row.reason.as_deref(), Some("the rail does not pay to this destination: no such receiver"));
    assert_eq!(case.balances(), ["10.66", "0", "0", "0", "-10.66"]);

    let payout = case.ask("10").await;
    case.rail.world.lock().preparing = [Refusal::Rejected("no".to_owned())].into();
    case.work().await;
    assert_eq!(case.state(&payout).await, State::Cancelled, "it was never sent");
    assert_eq!(case.balances()[0], "10.66");
}

async fn a_payout_that_no_rail_takes_for_days_goes_back_to_its_owner(place: Place) {
    let mut case = Case::new(place).await;
    let payout = case.ask("12.34").await;
    case.submitting(vec![Submission::Refused(Refusal::Credentials("401".to_owned())); 200]);
    let began = case.now;
    case.work().await;
    assert_eq!(case.state(&payout).await, State::Returned);
    assert_eq!(case.balances(), ["20", "0", "0", "0", "-20"]);
    assert_eq!(case.now.since(began).0 / Span::DAY.0, 3);
    assert_eq!(case.rail.world.lock().submissions.len(), 100);
}

async fn what_a_rail_took_that_the_platform_does_not_have_is_missing_and_not_forgotten(place: Place) {
    let mut case = Case::new(place).await;
    case.rail.world.lock().cost = usd("0.55");
    let payout = case.ask("12.34").await;
    case.work().await;
    assert_eq!(case.state(&payout).await, State::Confirmed);
    // The owner bears 0.25 of it; the bank has 12.09 and 0.55 less.
    let has = |account| case.payouts.desk.balance(account);
    let outside = usd("-20").checked_add(usd("12.64")).unwrap();
    assert_eq!([has(Account::Shortfall), has(Account::Outside)], [usd("-0.3"), outside]);
    let id = format!("payout_cost:{}:beyond:shortfall", payout.id);
    assert!(case.payouts.store().has_entry(id).await.unwrap());
    case.payouts.finish(payout.id, case.now).await.unwrap();
    assert_eq!(case.payouts.desk.balance(Account::Shortfall), usd("-0.3"), "once");
    let (case, payout) = (case.restart(), payout);
    case.payouts.finish(payout.id, case.now).await.unwrap();
    assert_eq!(case.payouts.desk.balance(Account::Shortfall), usd("-0.3"), "also after a restart");
    assert_eq!(case.payouts.store().audit().await.unwrap().wrong, None);
}

async fn money_that_comes_back_is_the_owners_less_what_the_rail_took(place: Place) {
    let mut case = Case::new(place).await;
    let payout = case.ask("12.34").await;
    case.looking([
        Ok(Fate::Pending { note: "not claimed yet".to_owned() }),
        Ok(Fate::Returned { reason: "not claimed".to_owned(), cost: usd("0.05") }),
    ]);
    case.now = case.work_until_rest().await.unwrap();
    assert_eq!(case.row(&payout).await.reason.as_deref(), Some("not claimed yet"));
    case.work().await;
    let row = case.row(&payout).await;
    assert_eq!((row.state(), row.reason.as_deref()), (Some(State::Returned), Some("not claimed")));
    assert_eq!(case.balances(), ["19.95", "0", "0", "0", "-19.95"]);
}

async fn what_arrived_is_watched_and_goes_back_when_the_rail_takes_it_back(place: Place) {
    let mut case = Case::with(place, "[payouts]\nwatch_days = 30").await;
    let payout = case.ask("12.34").await;
    while case.state(&payout).await != State::Confirmed {
        case.now = case.work_until_rest().await.unwrap();
    }
    assert_eq!(case.balances(), ["7.66", "0", "0", "0", "-7.66"]);
    case.looking([
        Ok(Fate::Pending { note: "its block was replaced".to_owned() }),
        Ok(Fate::Unknown),
        Err(NotKnown::Silent("no answer".to_owned())),
        Ok(Fate::Returned { reason: "refunded".to_owned(), cost: Nanos::ZERO }),
    ]);
    case.work().await;
    let row = case.row(&payout).await;
    assert_eq!((row.state(), row.reason.as_deref()), (Some(State::Returned), Some("refunded")));
    assert_eq!(case.balances(), ["19.75", "0", "0", "0", "-19.75"]);
    assert_eq!(case.rail.world.lock().submissions.len(), 2, "what vanished was sent again");

    let payout = case.ask("12.34").await;
    case.work().await;
    let row = case.row(&payout).await;
    let confirmed = row.reached(State::Confirmed).unwrap();
    assert_eq!(row.closed.unwrap().since(confirmed).0 / Span::DAY.0, 30);
}

async fn an_owner_can_take_back_what_is_only_requested_and_nobody_elses(place: Place) {
    let mut case = Case::new(place).await;
    let payout = case.ask("12.34").await;
    case.payouts.step(Method::Paypal, case.now).await.unwrap();
    let stranger = By::Owner(PluginId::from_bits(9));
    let denied = case.payouts.cancel(payout.id, stranger, "", case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::NotFound), "{denied:?}");
    let cancelled = case.payouts.cancel(payout.id, By::Owner(OWNER), "no", case.now).await.unwrap();
    assert_eq!(cancelled.state(), Some(State::Cancelled));
    let denied = case.payouts.cancel(payout.id, By::Owner(OWNER), "no", case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::Late { state: State::Cancelled }), "{denied:?}");
    case.work().await;
    assert_eq!(case.balances(), ["20", "0", "0", "0", "-20"]);
    assert!(case.rail.world.lock().submissions.is_empty());
}

async fn without_a_rail_payouts_queue_and_say_so_and_go_once_there_is_one(place: Place) {
    let case = Case::new(place).await.restart_over(None);
    let payout = case.ask("12.34").await;
    assert_eq!(case.payouts.step(Method::Paypal, case.now).await.unwrap(), Progress::Rest(None));
    let view = case.payouts.payout_view(&payout);
    assert_eq!(view["reason"], "this relay's operator has not set up paypal; the payout waits until he does");
    assert_eq!(case.balances()[1], "12.34");
    let mut case = case.restart();
    case.work().await;
    assert_eq!(case.state(&payout).await, State::Confirmed);
}

async fn what_was_decided_when_the_relay_died_is_done_also_without_a_rail(place: Place) {
    let case = Case::new(place).await;
    let payout = case.ask("12.34").await;
    let end = Ending::of(State::Cancelled, "no");
    case.payouts.store().decide_payout(payout.id, end).await.unwrap();
    let case = case.restart_over(None);
    case.payouts.finish_decided(case.now).await.unwrap();
    case.payouts.finish_decided(case.now).await.unwrap();
    assert_eq!(case.state(&payout).await, State::Cancelled);
    assert!(case.row(&payout).await.closed.is_some());
    assert_eq!(case.balances(), ["20", "0", "0", "0", "-20"]);
}

async fn a_payout_above_the_operators_limit_waits_for_his_word(place: Place) {
    let mut case =
        Case::with(place, "[payouts]\nwatch_days = 0\napproval = true\napproval_above = \"6\"").await;
    let (large, small) = (case.ask("6.01").await, case.ask("6").await);
    case.work().await;
    assert_eq!(case.state(&small).await, State::Confirmed);
    assert_eq!(case.state(&large).await, State::Requested);
    let view = case.payouts.payout_view(&case.row(&large).await);
    assert_eq!(view["reason"], "it waits for the operator's approval");
    let act = Act::of("test", Deed::PayoutApproved, large.id, "");
    case.payouts.approve(large.id, act.clone(), case.now).await.unwrap();
    case.work().await;
    assert_eq!(case.state(&large).await, State::Confirmed);
    let denied = case.payouts.approve(large.id, act, case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::Late { .. }), "{denied:?}");
}

async fn small_payouts_of_a_week_wait_for_the_operators_word_once_they_are_too_much_together(place: Place) {
    let mut case = Case::with(
        place,
        "[payouts]\nwatch_days = 0\napproval = true\napproval_above = \"11\"\nunder_way = 9",
    )
    .await;
    case.earn("30").await;
    let waits = async |case: &Case, amount: &str| case.ask(amount).await.approved.is_none();
    assert!(!waits(&case, "5").await);
    case.now = case.now + Span::DAY;
    let taken_back = case.ask("5").await;
    assert!(taken_back.approved.is_some());
    assert!(waits(&case, "5").await, "fifteen in all");
    case.payouts.cancel(taken_back.id, operator(), "no", case.now).await.unwrap();
    let approved = case.ask("6.01").await;
    assert!(approved.approved.is_none());
    case.now = case.now + Span::millis(1);
    let act = Act::of("test", Deed::PayoutApproved, approved.id, "");
    case.payouts.approve(approved.id, act, case.now).await.unwrap();
    assert!(!waits(&case, "6").await, "what waits, was taken back or was looked at is not of the sum");
    assert!(waits(&case, "5").await);
    case.now = case.now + Span(6 * Span::DAY.0);
    assert!(!waits(&case, "5").await, "the first is a week ago");
    assert!(waits(&case, "5").await);
}

async fn an_owner_has_only_so_many_under_way(place: Place) {
    let mut case = Case::with(place, "[payouts]\nunder_way = 2\nwatch_days = 0").await;
    case.ask("5").await;
    case.ask("5").await;
    let third = case.payouts.ask(new_id(case.now), OWNER, Some(usd("5")), Some(usd("0.25")), case.now);
    assert!(matches!(third.await.unwrap_err(), Denial::TooMany { most: 2 }));
    case.work().await;
    case.ask("5").await;
}

async fn one_payout_is_prepared_beside_those_that_stand_and_does_not_wait_for_them(place: Place) {
    let mut case = Case::new(place).await;
    let lost = case.ask("5").await;
    case.now = case.now + Span::millis(1);
    let next = case.ask("6").await;
    case.submitting([Submission::LostBefore]);
    case.work_until_rest().await;
    assert_eq!(case.row(&lost).await.submitted, Submitted::Perhaps);
    assert_eq!(case.row(&next).await.submitted, Submitted::Yes);
    assert_eq!(case.rail.world.lock().standing, [0, 1]);
    case.work().await;
    assert_eq!(case.state(&lost).await, State::Confirmed);
    assert_eq!(case.rail.world.lock().paid(), usd("10.5").get());
}

async fn automatic_payouts_come_on_their_day_once_there_is_enough(place: Place) {
    let mut case = Case::new(place).await;
    let rows = async |case: &Case| case.payouts.store().payouts_of(OWNER).await.unwrap();
    case.payouts.run_due(case.now).await.unwrap();
    assert!(rows(&case).await.is_empty(), "midnight has not come");
    case.now = Schedule::Daily.next(case.now).unwrap();
    case.payouts.run_due(case.now).await.unwrap();
    case.payouts.run_due(case.now).await.unwrap();
    let made = rows(&case).await;
    assert_eq!(made.len(), 1);
    assert_eq!((made[0].automatic, made[0].quote.amount), (true, usd("20")));
    case.work().await;
    case.earn("9.99").await;
    case.now = case.now + Span::DAY;
    case.payouts.run_due(case.now).await.unwrap();
    assert_eq!(rows(&case).await.len(), 1, "less than the threshold");
    case.earn("0.01").await;
    case.payouts.run_due(case.now).await.unwrap();
    assert_eq!(rows(&case).await.len(), 1, "its day is over");
    case.now = case.now + Span::DAY;
    case.payouts.run_due(case.now).await.unwrap();
    assert_eq!(rows(&case).await.len(), 2);
}

async fn while_payouts_are_switched_off_none_leaves_and_what_has_left_is_looked_after(place: Place) {
    let mut case = Case::new(place).await;
    let left = case.ask("5").await;
    while case.row(&left).await.submitted == Submitted::No {
        case.payouts.step(Method::Paypal, case.now).await.unwrap();
    }
    let waits = case.ask("6").await;
    case.payouts.switches.turn(Feature::Payouts, Position::Off);
    case.work_until_rest().await;
    case.now = case.now + Span::DAY + Span::DAY;
    case.work_until_rest().await;
    assert_eq!(case.state(&left).await, State::Confirmed);
    assert_eq!(
        (case.state(&waits).await, case.row(&waits).await.submitted),
        (State::Requested, Submitted::No)
    );
    let denied = case.payouts.ask(new_id(case.now), OWNER, None, None, case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::SwitchedOff), "{denied}");
    case.payouts.run_due(case.now).await.unwrap();
    assert_eq!(case.payouts.store().payouts_of(OWNER).await.unwrap().len(), 2, "none is made on its day");
    assert_eq!(case.rail.world.lock().paid(), usd("4.75").get());
    case.payouts.switches.turn(Feature::Payouts, Position::On);
    case.work().await;
    assert_eq!(case.state(&waits).await, State::Confirmed);
    assert_eq!(case.rail.world.lock().paid(), usd("10.5").get());
}

async fn a_changed_destination_holds_automatic_payouts_back_for_a_day_also_behind_a_removal(place: Place) {
    let case = Case::new(place).await;
    let set = |wish, now| case.payouts.set_method(OWNER, wish, now);
    let now = case.now;
    assert_eq!(set(wish("ada@example.com"), now).await.unwrap().held_until, Moment(0));
    case.payouts.remove_method(OWNER, now).await.unwrap();
    assert!(case.payouts.method(OWNER).await.unwrap().is_none());
    assert_eq!(set(wish("ada@EXAMPLE.com"), now).await.unwrap().held_until, Moment(0));
    case.payouts.remove_method(OWNER, now).await.unwrap();
    let changed = set(wish("eve@example.com"), now).await.unwrap();
    assert_eq!(changed.held_until, now + Span::DAY);
    let view = case.payouts.method_view(&changed, now);
    assert!(view["note"].as_str().unwrap().contains("nothing is paid out to it for 24 hours"), "{view}");
    // What else is set does not shorten the wait.
    let again = Wish { threshold: None, ..wish("eve@example.com") };
    assert_eq!(set(again, now + Span::secs(60)).await.unwrap().held_until, now + Span::DAY);
    case.payouts.run_due(now + Span::DAY - Span::millis(1)).await.unwrap();
    assert!(case.payouts.store().payouts_of(OWNER).await.unwrap().is_empty());
    case.payouts.run_due(now + Span::DAY + Span::DAY).await.unwrap();
    assert_eq!(case.payouts.store().payouts_of(OWNER).await.unwrap()[0].destination, "eve@example.com");
}

async fn a_first_destination_waits_for_a_day_where_something_was_earned_before_it(place: Place) {
    let case = Case::new(place).await;
    let (poor, now) = (PluginId::from_bits(9), case.now);
    let set = |owner| case.payouts.set_method(owner, wish("eve@example.com"), now);
    assert_eq!(set(poor).await.unwrap().held_until, Moment(0), "there is nothing to take");
    for (number, account) in [(10, Account::Owner as fn(PluginId) -> Account), (11, Account::Held)] {
        let owner = PluginId::from_bits(number);
        case.give(account(owner), "10").await;
        assert_eq!(set(owner).await.unwrap().held_until, now + Span::DAY);
        let told = async |at| case.payouts.store().earnings(at, owner).await.unwrap().payouts_held_until;
        assert_eq!(told(now).await, Some(now + Span::DAY));
        assert_eq!(told(now + Span::DAY).await, None);
        let denied = case.payouts.ask(new_id(now), owner, None, Some(usd("0.25")), now).await.unwrap_err();
        let is_due = matches!(denied, Denial::Held { .. });
        assert_eq!(is_due, number == 10, "{denied:?}");
        // Removed and set again, it waits as long as before.
        case.payouts.remove_method(owner, now).await.unwrap();
        assert_eq!(told(now).await, None);
        assert_eq!(set(owner).await.unwrap().held_until, now + Span::DAY);
    }
    case.payouts.run_due(now + Span::DAY - Span::millis(1)).await.unwrap();
    assert!(case.payouts.store().payouts_of(PluginId::from_bits(10)).await.unwrap().is_empty());
}

async fn a_changed_destination_holds_payouts_back_that_the_owner_asks_for_and_says_until_when(place: Place) {
    let case = Case::new(place).await;
    let at = Moment(1_763_625_599_001);
    let ask = async |accepted, now| case.payouts.ask(new_id(now), OWNER, Some(usd("5")), accepted, now).await;
    case.payouts.set_method(OWNER, wish("eve@example.com"), at).await.unwrap();
    let Asked::Quoted(method, quote) = ask(None, at).await.unwrap() else { panic!("it was made") };
    let view = case.payouts.quote_view(&method, quote, at);
    assert_eq!(view["heldUntil"], serde_json::json!(at + Span::DAY));
    let last = at + Span::DAY - Span::millis(1);
    let denied = ask(Some(usd("0.25")), last).await.unwrap_err();
    assert!(
        matches!(denied, Denial::Held { until, left } if until == at + Span::DAY && left == Span::millis(1)),
        "{denied:?}"
    );
    let says = "the destination is new: nothing is paid out to it before 2025-11-21 08:00 UTC";
    assert_eq!(denied.to_string(), says);
    assert_eq!(case.balances(), ["20", "0", "0", "0", "-20"]);
    assert!(matches!(ask(Some(usd("0.25")), at + Span::DAY).await.unwrap(), Asked::Made(_)));
}

async fn a_clock_that_was_set_while_the_relay_was_away_pays_no_new_destination_at_once(place: Place) {
    let mut case = Case::new(place).await;
    case.payouts.set_method(OWNER, wish("eve@example.com"), case.now).await.unwrap();
    let known = case.payouts.desk.lived();
    aside(|| {
        case.payouts.store().lived(known);
        case.payouts.store().stop();
    });
    let lived = aside(|| Store::open(&case.place.location).unwrap().lived().unwrap());
    assert_eq!(lived, Some(known));
    // The wall clock is a week ahead of what the relay has known.
    let week = Span(7 * Span::DAY.0);
    let earlier = Lived { believed: known.believed - week, ..known };
    case.payouts = open_by(&case.place.location, &case.config, Some(&case.rail), Clock::after(Some(earlier)));
    case.running = Running(case.payouts.store().clone());
    let late = case.now + week;
    let denied = case.payouts.ask(new_id(late), OWNER, None, Some(usd("0.25")), late).await.unwrap_err();
    assert!(matches!(denied, Denial::Held { until, .. } if until > late), "{denied:?}");
    case.payouts.run_due(late).await.unwrap();
    assert!(case.payouts.store().payouts_of(OWNER).await.unwrap().is_empty());
    case.payouts.run_due(late + Span(2 * Span::DAY.0)).await.unwrap();
    assert_eq!(case.payouts.store().payouts_of(OWNER).await.unwrap().len(), 1);
}

async fn a_destination_and_a_threshold_must_be_the_methods(place: Place) {
    let case = Case::new(place).await;
    let denied = case.payouts.set_method(OWNER, wish("ada"), case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::Destination(_)), "{denied:?}");
    let low = Wish { threshold: Some(usd("4.99")), ..wish("ada@example.com") };
    let denied = case.payouts.set_method(OWNER, low, case.now).await.unwrap_err();
    assert!(matches!(denied, Denial::Threshold { minimum } if minimum == usd("5")), "{denied:?}");
    let zero = format!("0x{}", "0".repeat(40));
    let usdc = Wish { method: Method::Usdc, ..wish(&zero) };
    assert!(case.payouts.set_method(OWNER, usdc, case.now).await.is_err());
    let method = case.payouts.method(OWNER).await.unwrap().unwrap();
    assert_eq!(method.destination, "ada@example.com");
}
