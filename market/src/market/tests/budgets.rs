//! Keys: what they may ask, what they pay, and that no race gets past a budget.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use rekursing_protocol::{FailCode, KeyId, Moment, Nanos, Price, Span};

use super::fixture::*;
use crate::{
    Charged, Effect, EntryKind, Limits, Market, Refusal, Request, Spender, Taken, Terms, Usage, Wish,
    effort::plans,
};

/// What a job of [`request`] holds: 100 prompt tokens at 100 and 100 answer tokens at 200 nano-dollars.
const HOLD: i64 = 30_000;

fn key(number: u32, limits: Limits, maker: Option<&Arc<Spender>>) -> Arc<Spender> {
    Arc::new(Spender { key: KeyId::from_bits(number), limits, maker: maker.cloned() })
}

fn budget(day: i64, total: i64) -> Limits {
    Limits { budget_day: Some(Nanos::new(day)), budget_total: Some(Nanos::new(total)), ..Limits::default() }
}

fn by(spender: &Arc<Spender>, number: u64) -> Request {
    Request { spender: Some(Arc::clone(spender)), ..request(number) }
}

#[test]
fn each_limit_of_a_key_refuses_in_its_own_words() {
    let qwen_alone = Limits { models: vec!["llama3.2:3b".to_owned()], ..Limits::default() };
    let cheap = Limits { price_max: Some(Price::new(100_000, 199_999)), ..Limits::default() };
    for (limits, code, says) in [
        (qwen_alone, "key_model", "these models only: llama3.2:3b"),
        (cheap, "key_price", "at most 0.1 USD per million prompt tokens and 0.199999 USD per million answer"),
        (budget(HOLD - 1, HOLD), "key_budget_day", "0.000029999 USD left of its budget for today"),
        (budget(HOLD, HOLD - 1), "key_budget_total", "0.000029999 USD left of its budget in all"),
    ] {
        let mut market = with_sessions(1);
        let refusal = refused(&mut market, by(&key(1, limits.clone(), None), 1));
        assert_eq!(refusal.code(), code);
        assert!(refusal.to_string().contains(says), "{refusal}");
        let made = key(2, Limits::default(), Some(&key(1, limits, None)));
        assert_eq!(refused(&mut market, by(&made, 2)), refusal, "a key that was made with it has no more");
    }
}

#[test]
fn a_key_may_ask_for_the_best_of_the_models_that_it_may_ask() {
    let mut market = market(Terms::default());
    market.join(NOW, session(1), plugin(1), inventory(vec![offer("llama3.2-3b"), offer(MODEL)]));
    let spender = key(1, Limits { models: vec![MODEL.to_owned()], ..Limits::default() }, None);
    let assignment = assigned(&mut market, Request { model: Wish::Any, ..by(&spender, 1) });
    assert_eq!(assignment.offer.model, MODEL);
}

#[test]
fn a_budget_is_held_spent_and_given_back_like_a_balance() {
    let mut market = with_sessions(2);
    let spender = key(1, budget(HOLD, 2 * HOLD), None);
    let assignment = assigned(&mut market, by(&spender, 1));
    assert_eq!(refused(&mut market, by(&spender, 2)).code(), "key_budget_day");
    market.cancel(NOW, assignment.job, Usage::default());
    effects(&mut market);
    let assignment = assigned(&mut market, by(&spender, 3));
    answer(&mut market, NOW, &assignment, 50);
    let settled = effects(&mut market);
    let Effect::Record(entry) = &settled[0] else { panic!("{settled:?}") };
    assert!(matches!(&entry.kind, EntryKind::Settle(settle) if settle.api_key == Some(spender.key)));
    assert_eq!(
        market.taken(NOW, spender.key),
        Taken { held: Nanos::ZERO, spent: Nanos::new(20_000), day: NOW.day(), spent_day: Nanos::new(20_000) }
    );
    let left = Refusal::KeyBudgetDay {
        key: spender.key,
        needs: Nanos::new(HOLD),
        available: Nanos::new(HOLD - 20_000),
    };
    assert_eq!(refused(&mut market, by(&spender, 4)), left);
}

#[test]
fn what_is_taken_back_of_a_charge_is_the_keys_to_spend_again() {
    let mut market = with_sessions(1);
    let maker = key(1, budget(1_000 * HOLD, 1_000 * HOLD), None);
    let spender = key(2, budget(2 * HOLD, 3 * HOLD), Some(&maker));
    let assignment = assigned(&mut market, by(&spender, 1));
    answer(&mut market, NOW, &assignment, 50);
    let settled = effects(&mut market);
    let Effect::Record(entry) = &settled[0] else { panic!("{settled:?}") };
    let EntryKind::Settle(settle) = &entry.kind else { panic!("{entry:?}") };
    let charged = Charged { at: entry.at, payer: settle.payer, spender: Arc::clone(&spender) };
    let spent = |market: &Market, now| {
        [&spender, &maker].map(|key| {
            let Taken { spent, spent_day, .. } = market.taken(now, key.key);
            (spent.get(), spent_day.get())
        })
    };
    assert_eq!(spent(&market, NOW), [(20_000, 20_000); 2]);
    market.correct(NOW, entry, Some(&charged), "it was empty").unwrap();
    assert_eq!(spent(&market, NOW), [(0, 0); 2]);
    effects(&mut market);

    let assignment = assigned(&mut market, by(&spender, 2));
    answer(&mut market, NOW, &assignment, 50);
    let settled = effects(&mut market);
    let Effect::Record(entry) = &settled[0] else { panic!("{settled:?}") };
    let tomorrow = NOW + Span::DAY;
    market.correct(tomorrow, entry, Some(&charged), "it was empty").unwrap();
    assert_eq!(spent(&market, tomorrow), [(0, 0); 2], "a day has no more than its budget");
}

#[test]
fn what_a_key_had_spent_before_the_start_counts() {
    let mut market = with_sessions(1);
    let spender = key(1, budget(2 * HOLD, 3 * HOLD), None);
    let spent = Nanos::new(HOLD + 1);
    let taken = Taken { held: Nanos::ZERO, spent, day: NOW.day(), spent_day: spent };
    market.restore_key(spender.key, taken);
    assert_eq!(refused(&mut market, by(&spender, 1)).code(), "key_budget_day");
    let tomorrow = NOW + Span::DAY;
    market.heartbeat(tomorrow, session(1), &beat(1));
    assert_eq!(market.submit(tomorrow, by(&spender, 2)), Ok(()));
}

#[test]
fn of_a_hundred_jobs_at_once_a_budget_for_ten_lets_ten_run() {
    let mut market = with_sessions(100);
    let spender = key(1, budget(10 * HOLD, 1_000 * HOLD), None);
    let ran = (1..=100).filter(|number| market.submit(NOW, by(&spender, *number)).is_ok());
    assert_eq!(ran.count(), 10);
}

/// One of 64 jobs: which key asks, for how long an answer, and what becomes of it after how many others.
#[derive(Debug, Clone)]
struct Racer {
    key: usize,
    answer_tokens_max: u64,
    ends_after: usize,
    end: usize,
    answer_tokens: u64,
}

fn racers() -> impl Strategy<Value = Vec<Racer>> {
    let racer = (0..3_usize, 1..200_u64, 0..64_usize, 0..4_usize, 0..250_u64);
    let racer = racer.prop_map(|(key, answer_tokens_max, ends_after, end, answer_tokens)| Racer {
        key,
        answer_tokens_max,
        ends_after,
        end,
        answer_tokens,
    });
    prop::collection::vec(racer, 64)
}

/// What a book that knows nothing of budgets adds up to.
#[derive(Default)]
struct Journal {
    /// Key and amount of every job that runs.
    held: BTreeMap<u64, (usize, i64)>,
    /// What each key has spent by day.
    spent: BTreeMap<(usize, u64), i64>,
}

impl Journal {
    /// Reads the entries that a call has made.
    fn read(&mut self, market: &mut Market, day: u64, keys: &[usize]) {
        for effect in effects(market) {
            let Effect::Record(entry) = effect else { continue };
            let number = u64::try_from(entry.job().unwrap().bits()).unwrap();
            match entry.kind {
                EntryKind::Hold { quote, .. } => {
                    let key = keys[usize::try_from(number).unwrap() - 1];
                    self.held.insert(number, (key, quote.amount().get()));
                }
                EntryKind::Settle(settle) => {
                    let (key, _) = self.held.remove(&number).unwrap();
                    *self.spent.entry((key, day)).or_default() += settle.charge.get();
                }
                EntryKind::Void { .. } => drop(self.held.remove(&number)),
                EntryKind::Transfer(_) => {}
            }
        }
    }

    /// Sums what keys hold and have spent on a day, and in all.
    fn taken(&self, keys: &[usize], today: u64) -> [i64; 2] {
        let held: i64 = self.held.values().filter(|(key, _)| keys.contains(key)).map(|(_, held)| held).sum();
        let spent = |on: fn(u64, u64) -> bool| -> i64 {
            let of = self.spent.iter().filter(|((key, day), _)| keys.contains(key) && on(*day, today));
            of.map(|(_, spent)| spent).sum()
        };
        [held + spent(|day, today| day == today), held + spent(|_, _| true)]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(plans(256)))]

    #[test]
    fn sixty_four_racing_jobs_never_exceed_a_budget_by_a_nano_dollar(
        racers in racers(),
        budgets in prop::array::uniform3((1_000..600_000_i64, 1_000..900_000_i64)),
        midnight in 0..64_usize,
    ) {
        let limits = budgets.map(|(day, total)| budget(day, total));
        let maker = key(1, limits[0].clone(), None);
        let made = [2, 3].map(|number| key(number, limits[number as usize - 1].clone(), Some(&maker)));
        let spenders = [Arc::clone(&maker), Arc::clone(&made[0]), Arc::clone(&made[1])];
        // What the first key made counts against it too.
        let families: [&[usize]; 3] = [&[0, 1, 2], &[1], &[2]];
        let keys: Vec<usize> = racers.iter().map(|racer| racer.key).collect();
        let mut market = with_sessions(64);
        let mut journal = Journal::default();
        let mut leases = BTreeMap::new();
        for (turn, racer) in racers.iter().enumerate() {
            let now = if turn < midnight { NOW } else { Moment(NOW.0) + Span::DAY };
            if turn == midnight {
                (1..=64).for_each(|number| market.heartbeat(now, session(number), &beat(1)));
            }
            let number = turn as u64 + 1;
            let asked = Request {
                answer_tokens_max: Some(racer.answer_tokens_max),
                ..by(&spenders[racer.key], number)
            };
            if market.submit(now, asked).is_ok() {
                leases.insert(number, racer);
            }
            journal.read(&mut market, now.day(), &keys);
            let over: Vec<u64> = leases
                .iter()
                .filter(|(number, racer)| usize::try_from(**number).unwrap() + racer.ends_after <= turn + 1)
                .map(|(number, _)| *number)
                .collect();
            for number in over {
                let racer = leases.remove(&number).unwrap();
                market.began(now, job(number), 1);
                match racer.end {
                    0 => market.cancel(now, job(number), usage(racer.answer_tokens)),
                    1 => {
                        let usage = usage(racer.answer_tokens);
                        market.fail(now, job(number), 1, FailCode::Cut, String::new(), usage);
                    }
                    _ => market.finish(now, job(number), 1, usage(racer.answer_tokens)),
                }
                journal.read(&mut market, now.day(), &keys);
            }
            for (spender, family) in spenders.iter().zip(families) {
                let [today, in_all] = journal.taken(family, now.day());
                prop_assert!(today <= spender.limits.budget_day.unwrap().get());
                prop_assert!(in_all <= spender.limits.budget_total.unwrap().get());
                let taken = market.taken(now, spender.key);
                prop_assert_eq!(taken.spent_day.get() + taken.held.get(), today);
                prop_assert_eq!(taken.spent.get() + taken.held.get(), in_all);
            }
        }
    }
}
