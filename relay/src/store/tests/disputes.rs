//! Disputes, thumbs and prints: their rows beside the ledger.

use rekursing_market::{
    Book,
    dispute::{REMEMBERED, Reason, Record, State},
    ledger::Settlement,
    quality::Quality,
};

use super::*;

on_both! {
    a_dispute_is_stored_with_its_entries_and_once,
    an_audit_finds_a_disputes_row_that_is_not_the_ledgers,
    prints_are_kept_for_as_long_as_a_job_can_be_disputed,
    an_account_has_one_voice_about_an_owner_and_loses_it_with_time,
}

const DUE: Moment = Moment(Span::DAY.0 * 30);

/// A store with a job that was charged and disputed, its book, its charge and its row.
fn disputed(place: &Place) -> (Store, Book, Entry, Dispute) {
    let (mut book, job, price) = (Book::default(), JobId::from_bits(10), Price::new(0, 1_000));
    let mut entries = vec![book.grant(Moment(1), "1", PAGE, Nanos::new(500_000)).unwrap()];
    entries.push(book.hold(Moment(2), job, PAGE, Quote::new(price, 0, 200_000).unwrap()).unwrap());
    let settlement = Settlement {
        job,
        lease: 1,
        owner: OWNER,
        api_key: None,
        model: "tiny".to_owned(),
        tier_asked: Tier::Standard,
        tier: Tier::Standard,
        ask: price,
        price,
        prompt_tokens: 0,
        answer_tokens: 100_000,
        tier_permille: 1_000,
        fee_permille: 50,
        discount_permille: 0,
        holdback_permille: 500,
        release_at: DUE,
    };
    let charge = book.settle(Moment(3), settlement).unwrap();
    entries.push(charge.clone());
    let store = start(place);
    store.append(entries);
    let EntryKind::Settle(settle) = &charge.kind else { panic!() };
    let (aside, made) = book.dispute(Moment(4), settle).unwrap();
    let row = Dispute {
        job,
        account: AccountId::from_bits(1),
        owner: OWNER,
        model: "tiny".to_owned(),
        charge: settle.charge,
        reason: Reason::Nonsense,
        words: "x".to_owned(),
        prompt: Some("\"go\"".to_owned()),
        answer: Some("o\0n".to_owned()),
        aside,
        state: State::Opened,
        told: String::new(),
        opened: Moment(4),
        reviewed: None,
        decided: None,
    };
    store.append_disputed(made, Disputed { row: row.clone(), act: None });
    now(store.flushed());
    (store, book, charge, row)
}

fn upheld(row: &Dispute) -> Disputed {
    let row = Dispute {
        state: State::Upheld,
        told: "it was".to_owned(),
        reviewed: Some(Moment(5)),
        decided: Some(Moment(6)),
        ..row.clone()
    };
    let act = Act::of("http:1", Deed::DisputeUpheld, "x", "it was");
    Disputed { row, act: Some(act) }
}

fn a_dispute_is_stored_with_its_entries_and_once(place: &Place) {
    let (store, mut book, charge, row) = disputed(place);
    let kept = Dispute { answer: Some("o\u{fffd}n".to_owned()), ..row.clone() };
    assert_eq!(now(store.dispute(row.job)).unwrap(), Some(kept), "a zero character is kept as none");
    assert_eq!((row.aside.available.get(), row.aside.held_back.get()), (47_500, 47_500));
    let record = |at| now(store.dispute_record(row.account, at)).unwrap();
    assert_eq!(record(Moment(5)), Record { open: 1, decided: 0, rejected: 0 });
    let earnings = now(store.earnings(Moment(5), OWNER)).unwrap();
    assert_eq!(
        (earnings.available, earnings.held, earnings.disputed.get()),
        (Nanos::ZERO, Nanos::ZERO, 95_000)
    );
    let made = book.uphold(Moment(6), &charge, row.aside, "it was").unwrap();
    // A commit whose answer was lost is made again.
    for _ in 0..2 {
        store.append_disputed(made.clone(), upheld(&row));
    }
    now(store.flushed());
    let known = now(store.dispute(row.job)).unwrap().unwrap();
    assert_eq!(
        (known.state, known.prompt, known.answer),
        (State::Upheld, None, None),
        "nobody reads it again"
    );
    let log = now(store.operator_log(u64::MAX, 10)).unwrap();
    assert_eq!(log.iter().filter(|line| line.what == "dispute_upheld").count(), 1);
    assert_eq!(record(Moment(7)), Record { open: 0, decided: 1, rejected: 0 });
    assert_eq!(record(Moment(7) + REMEMBERED), Record::default());
    store.stop();
    assert_eq!(audit(&place.location).unwrap().wrong, None);
    let restored = Store::open(&place.location).unwrap().opening().unwrap().balances;
    assert!(restored.contains(&(PAGE, Nanos::new(500_000))), "{restored:?}");
}

fn an_audit_finds_a_disputes_row_that_is_not_the_ledgers(place: &Place) {
    let (store, _, _, row) = disputed(place);
    store.stop();
    assert_eq!(audit(&place.location).unwrap().wrong, None);
    let (amounts, ends) = (
        "a dispute's row has the amounts of the ledger, and no more than its job has earned",
        "a dispute's row ends as the ledger says",
    );
    for (change, back, rule) in [
        ("available = 47499", "available = 47500", amounts),
        ("held_back = 0", "held_back = 47500", amounts),
        ("charge = 1", "charge = 100000", amounts),
        ("owner = 'plg_x'", "owner = 'OWNER'", amounts),
        ("account = 'acc_x'", "account = 'ACCOUNT'", amounts),
        ("decided = 9", "decided = NULL", ends),
        ("state = 'upheld'", "state = 'opened'", ends),
        ("state = 'rejected', decided = 9", "state = 'opened', decided = NULL", ends),
    ] {
        let sql = |change: &str| {
            let change = change.replace("OWNER", &OWNER.to_string());
            let change = change.replace("ACCOUNT", &row.account.to_string());
            let text = format!("UPDATE dispute SET {change}");
            Sql::connect(&place.location).unwrap().batch(&text).unwrap();
        };
        sql(change);
        let wrong = audit(&place.location).unwrap().wrong;
        assert_eq!(wrong, Some(format!("{rule}: {}", row.job)), "{change}");
        sql(back);
        assert_eq!(audit(&place.location).unwrap().wrong, None, "{back}");
    }
    Sql::connect(&place.location).unwrap().batch("DELETE FROM dispute").unwrap();
    let wrong = audit(&place.location).unwrap().wrong.unwrap();
    assert!(wrong.starts_with("every dispute of the ledger has its row: dispute:job_"), "{wrong}");
}

fn prints_are_kept_for_as_long_as_a_job_can_be_disputed(place: &Place) {
    let store = start(place);
    let prints = |bits, answer| Prints { job: JobId::from_bits(bits), prompt: Some([7; 32]), answer };
    for (at, prints) in [(1, prints(1, None)), (9, prints(2, Some([8; 32]))), (10, prints(2, None))] {
        store.keep_prints(Moment(at), prints);
    }
    now(store.flushed());
    let known = |bits| now(store.prints(JobId::from_bits(bits))).unwrap();
    assert_eq!([known(1), known(2)], [Some(prints(1, None)), Some(prints(2, Some([8; 32])))]);
    store.forget_prints(Moment(9));
    now(store.flushed());
    assert_eq!([known(1), known(2)], [None, Some(prints(2, Some([8; 32])))]);
    store.stop();
}

fn an_account_has_one_voice_about_an_owner_and_loses_it_with_time(place: &Place) {
    let store = start(place);
    let account = AccountId::from_bits;
    let rate =
        |job, voice, is_up| now(store.rate(Moment(job), JobId::from_bits(job.into()), OWNER, voice, is_up));
    for job in 1..=20 {
        assert_eq!(
            rate(job, Voice::Unverified(account(1)), false).unwrap(),
            Rated::Kept(None),
            "nobody is a crowd"
        );
    }
    assert_eq!(rate(30, Voice::Verified(account(2)), true).unwrap(), Rated::Kept(None));
    // (0 × 0.25 + 1 + 1 + 0.8 × 5) ÷ (2.25 + 5)
    let told = rate(31, Voice::Verified(account(3)), true).unwrap();
    assert_eq!(told, Rated::Kept(Some(Quality { permille: 827, voices: 3 })));
    rate(32, Voice::Free, false).unwrap();
    let told = now(store.qualities(Moment(40))).unwrap();
    assert_eq!(told.get(&OWNER), Some(&Quality { permille: 800, voices: 4 }));
    let later = Moment(31) + rekursing_market::quality::REMEMBERED;
    assert_eq!(now(store.quality(later, OWNER)).unwrap(), None, "only the latest are left");
    store.stop();
}
