//! Audits of books that are right, wrong and long.

use rekursing_market::{
    ledger::{Cause, Transfer},
    payout::{self, State},
};
use rekursing_protocol::{KeyId, PayoutId};
use rekursing_rails::Method;

use super::*;
use crate::store::{Ending, PayoutRow, Submitted};

on_both! {
    an_audit_tells_which_money_is_set_aside_for_too_long,
    from_a_book_that_an_audit_finds_wrong_nobody_is_served,
    an_audit_names_the_first_wrong_row,
    an_audit_finds_an_entry_that_was_changed_behind_our_back,
    an_audit_finds_a_sum_that_is_not_the_entries,
    an_audit_finds_a_payouts_row_that_is_not_the_ledgers,
    an_audit_finds_a_column_that_a_hold_does_not_use,
    an_audit_finds_a_book_that_was_made_anew,
    a_long_book_is_audited_to_its_end,
    nobody_is_served_from_a_wrong_book,
    an_audit_keeps_neither_the_writer_nor_a_reader_waiting,
}

fn an_audit_names_the_first_wrong_row(place: &Place) {
    overspent(place);
    let wrong = audit(&place.location).unwrap().wrong.unwrap();
    assert!(wrong.starts_with("entry 2: ") && wrong.contains(&PAGE.to_string()), "{wrong}");
}

fn nobody_is_served_from_a_wrong_book(place: &Place) {
    overspent(place);
    let refusal = Store::open(&place.location).unwrap().opening().unwrap_err().to_string();
    assert!(refusal.contains("the book is wrong") && refusal.contains("entry 2: "), "{refusal}");
}

/// Makes a book in which a page spends what it does not have.
fn overspent(place: &Place) {
    let store = start(place);
    store.append(vec![grant("grant:1", PAGE, 100)]);
    store.append(vec![hold(JobId::from_bits(10), 500)]);
    store.append(vec![hold(JobId::from_bits(11), 600)]);
    store.stop();
}

/// Does to a database what it would not let anybody do.
fn tamper(place: &Place, change: &str) {
    let triggers = if place.is_sqlite() {
        "DROP TRIGGER entry_is_never_changed; DROP TRIGGER entry_is_never_removed;"
    } else {
        "DROP TRIGGER entry_is_never_changed ON entry;"
    };
    let zeros = if place.is_sqlite() { "zeroblob(32)" } else { "decode(repeat('00', 32), 'hex')" };
    let change = change.replace("ZEROS", zeros);
    Sql::connect(&place.location).unwrap().batch(&format!("{triggers} {change}")).unwrap();
}

fn an_audit_finds_an_entry_that_was_changed_behind_our_back(place: &Place) {
    for (change, found) in [
        ("UPDATE entry SET note = 'x' WHERE seq = 2", "entry 2: grant:2: its hash is not that of the chain"),
        (
            "UPDATE entry SET hash = ZEROS WHERE seq = 1",
            "entry 1: grant:1: its hash is not that of the chain",
        ),
        ("DELETE FROM entry WHERE seq = 2", "entry 2: grant:3: its number is 3, so one before it is missing"),
        ("UPDATE entry SET lease = 7 WHERE seq = 2", "entry 2: grant:2: a column holds what is not its own"),
        (
            "UPDATE entry SET tier = 'ultra', release_at = 1 WHERE seq = 3",
            "entry 3: grant:3: a column holds what is not its own",
        ),
        (
            "UPDATE entry SET kind = 'gift' WHERE seq = 3",
            "entry 3: an entry of kind \"gift\": money does not move for this",
        ),
    ] {
        let place = place.another();
        let store = start(&place);
        for id in ["grant:1", "grant:2", "grant:3"] {
            store.append(vec![grant(id, PAGE, 100)]);
        }
        store.stop();
        tamper(&place, change);
        assert_eq!(audit(&place.location).unwrap().wrong.unwrap(), found);
    }
}

fn an_audit_finds_a_sum_that_is_not_the_entries(place: &Place) {
    let (store, job) = (start(place), JobId::from_bits(10));
    let mut paid = settle(job, 50_000);
    if let EntryKind::Settle(settle) = &mut paid.kind {
        settle.api_key = Some(KeyId::from_bits(9));
        settle.held_back = Nanos::new(1_000);
        settle.release_at = Moment(Span::DAY.0 * 10);
    }
    for entry in [grant("grant:1", PAGE, 1_000_000), hold(job, 50_000), paid] {
        store.append(vec![entry]);
    }
    store.stop();
    assert_eq!(audit(&place.location).unwrap().wrong, None);
    for (change, back, found) in [
        ("UPDATE spent SET charge = charge + 1", "UPDATE spent SET charge = charge - 1", "what is spent"),
        (
            "UPDATE spent SET day = day - 1; UPDATE sold SET day = day - 1",
            "UPDATE spent SET day = day + 1; UPDATE sold SET day = day + 1",
            "what is spent",
        ),
        ("UPDATE earned SET day = day - 31", "UPDATE earned SET day = day + 31", "what is earned"),
        (
            "UPDATE earned SET prompt_tokens = prompt_tokens + answer_tokens, answer_tokens = 0",
            "UPDATE earned SET prompt_tokens = 10, answer_tokens = 5",
            "what is earned",
        ),
        ("UPDATE earned SET model = 'other'", "UPDATE earned SET model = 'tiny'", "what is earned"),
        ("UPDATE used SET day = day - 1", "UPDATE used SET day = day + 1", "what each key has spent"),
        (
            "UPDATE withheld SET release_at = release_at + 1",
            "UPDATE withheld SET release_at = release_at - 1",
            "what is held back",
        ),
    ] {
        let sql = |text: &str| Sql::connect(&place.location).unwrap().batch(text).unwrap();
        sql(change);
        let wrong = audit(&place.location).unwrap().wrong.unwrap_or_default();
        assert!(wrong.starts_with(&format!("the sums of {found} ")), "{change}: {wrong}");
        sql(back);
        assert_eq!(audit(&place.location).unwrap().wrong, None, "{back}");
    }
}

/// A payout of 5 USD at a cost of 0.25 USD that is closed, and how it ended.
fn paid_out(id: u128, outcome: State) -> (PayoutRow, Vec<Entry>) {
    let row = PayoutRow {
        id: PayoutId::from_bits(id),
        owner: OWNER,
        method: Method::Paypal,
        destination: "ada@example.com".to_owned(),
        quote: payout::Quote { amount: Nanos::new(5_000), cost: Nanos::new(250) },
        automatic: false,
        created: Moment(5),
        approved: Some(Moment(5)),
        prepared: None,
        submitted: Submitted::No,
        name: None,
        outcome: Some(outcome),
        rail_cost: Nanos::ZERO,
        reference: None,
        reason: None,
        tries: 0,
        due: Moment(5),
        closed: None,
        by_hand: false,
        account: None,
        reached: [None; 5],
    };
    let moves = row.moves();
    let mut steps = vec![moves.requested()];
    match outcome {
        State::Cancelled => steps.push(moves.cancelled("no")),
        State::Confirmed => {
            steps.push(moves.sent());
            steps.extend(moves.confirmed(Nanos::new(250), "TX"));
        }
        State::Returned => {
            steps.push(moves.sent());
            steps.extend(moves.confirmed(Nanos::new(250), "TX"));
            steps.push(moves.taken_back("not there"));
        }
        State::Requested | State::Sent => {}
    }
    let entry = |step: payout::Step| Entry {
        id: step.entry_id(),
        at: Moment(6),
        kind: EntryKind::Transfer(step.transfer),
    };
    (row, steps.into_iter().map(entry).collect())
}

fn an_audit_finds_a_payouts_row_that_is_not_the_ledgers(place: &Place) {
    let store = start(place);
    let earned = Transfer {
        cause: Cause::Correction,
        from: Account::Outside,
        to: Account::Owner(OWNER),
        amount: Nanos::new(50_000),
        note: String::new(),
    };
    let kind = EntryKind::Transfer(earned);
    store.append(vec![Entry { id: "correction:1".to_owned(), at: Moment(1), kind }]);
    let states = [State::Requested, State::Cancelled, State::Confirmed, State::Returned];
    for (id, outcome) in (1..).zip(states) {
        let (row, entries) = paid_out(id, outcome);
        now(store.add_payout(row.clone(), None)).unwrap();
        store.append(entries);
        if outcome != State::Requested {
            now(store.decide_payout(row.id, Ending::of(outcome, ""))).unwrap();
            now(store.flushed());
            now(store.close_payout(row.id, Moment(7))).unwrap();
        }
    }
    store.stop();
    assert_eq!(audit(&place.location).unwrap().wrong, None);
    let [asked, cancelled, arrived, returned] = [1, 2, 3, 4].map(PayoutId::from_bits);
    let (sums, ends) = ("has the owner and the amounts of the ledger", "ends as the ledger says");
    for (id, change, back, found) in [
        (asked, "amount = amount + 1", "amount = amount - 1", sums),
        (asked, "owner = 'plg_x'", "owner = 'OWNER'", sums),
        (arrived, "cost = cost - 1", "cost = cost + 1", sums),
        (returned, "cost = cost - 1", "cost = cost + 1", sums),
        (asked, "closed = 9", "closed = NULL", ends),
        (asked, "outcome = 'confirmed'", "outcome = NULL", ends),
        (asked, "outcome = 'cancelled', closed = 9", "outcome = NULL, closed = NULL", ends),
        (cancelled, "outcome = NULL, closed = NULL", "outcome = 'cancelled', closed = 7", ends),
        (arrived, "outcome = NULL, closed = NULL", "outcome = 'confirmed', closed = 7", ends),
        (arrived, "outcome = 'cancelled', closed = NULL", "outcome = 'confirmed', closed = 7", ends),
        (arrived, "outcome = 'returned'", "outcome = 'confirmed'", ends),
        (returned, "outcome = 'confirmed'", "outcome = 'returned'", ends),
    ] {
        let sql = |change: &str| {
            let change = change.replace("OWNER", &OWNER.to_string());
            let text = format!("UPDATE payout SET {change} WHERE id = '{id}'");
            Sql::connect(&place.location).unwrap().batch(&text).unwrap();
        };
        sql(change);
        assert_eq!(
            audit(&place.location).unwrap().wrong,
            Some(format!("a payout's row {found}: {id}")),
            "{change}"
        );
        sql(back);
        assert_eq!(audit(&place.location).unwrap().wrong, None, "{back}");
    }
    Sql::connect(&place.location)
        .unwrap()
        .batch(&format!("DELETE FROM payout WHERE id = '{arrived}'"))
        .unwrap();
    let missing = format!("every payout of the ledger has its row: payout_requested:{arrived}");
    assert_eq!(audit(&place.location).unwrap().wrong, Some(missing));
}

fn an_audit_finds_a_column_that_a_hold_does_not_use(place: &Place) {
    for column in
        ["note = 'x'", "release_at = 1", "held_back = 0", "lease = 1", "tier = 'low'", "api_key = 'rk_1'"]
    {
        let place = place.another();
        let store = start(&place);
        store.append(vec![grant("grant:1", PAGE, 1_000_000)]);
        store.append(vec![hold(JobId::from_bits(10), 50_000)]);
        store.stop();
        tamper(&place, &format!("UPDATE entry SET {column} WHERE seq = 2"));
        let wrong = audit(&place.location).unwrap().wrong.unwrap();
        assert!(wrong.ends_with("a column holds what is not its own"), "{column}: {wrong}");
    }
}

/// Whoever can write all of it can also make a chain whose hashes fit.
fn an_audit_finds_a_book_that_was_made_anew(place: &Place) {
    let book = |amount: i64, count: usize| {
        let place = place.another();
        let store = start(&place);
        for id in ["grant:1", "grant:2", "grant:3"].into_iter().take(count) {
            store.append(vec![grant(id, PAGE, amount)]);
        }
        store.stop();
        place
    };
    let (original, grown, anew, shorter) = (book(100, 2), book(100, 3), book(99, 3), book(100, 1));
    let (_, end) = audit_to_end(&original.location, None).unwrap();
    assert_eq!(end.to_string().parse(), Ok(end));
    let expecting = |place: &Place| audit_to_end(&place.location, Some(end)).unwrap().0.wrong;
    assert_eq!([expecting(&original), expecting(&grown)], [None, None]);
    assert_eq!(expecting(&anew).unwrap(), "entry 2: its hash is not the one that is expected");
    assert_eq!(expecting(&shorter).unwrap(), "entry 2: it is expected and missing");
    for text in ["", "2", "2:00", ":", "-1:"] {
        assert_eq!(text.parse::<End>(), Err(BadEnd), "{text}");
    }
}

/// Longer than what is read at once.
fn a_long_book_is_audited_to_its_end(place: &Place) {
    let mut unstarted = Store::open(&place.location).unwrap();
    let grants: Vec<Entry> = (1..=12_000).map(|number| grant(&format!("grant:{number}"), PAGE, 1)).collect();
    writer::append(&mut unstarted.sql, &grants).unwrap();
    let sound = audit(&place.location).unwrap();
    assert_eq!((sound.entries, sound.wrong), (12_000, None));
    tamper(place, "UPDATE entry SET note = 'x' WHERE seq = 11999");
    let wrong = audit(&place.location).unwrap().wrong.unwrap();
    assert!(wrong.starts_with("entry 11999: "), "{wrong}");
}

fn an_audit_tells_which_money_is_set_aside_for_too_long(place: &Place) {
    let store = start(place);
    let [late, done, fresh] = [10, 11, 12].map(JobId::from_bits);
    store.append(vec![grant("grant:1", PAGE, 1_000_000)]);
    store.append(vec![hold(late, 50_000), hold(done, 50_000), settle(done, 50_000)]);
    store.append(vec![Entry { at: Moment(90), ..hold(fresh, 50_000) }]);
    now(store.flushed());
    let audit = now(store.audit()).unwrap();
    assert_eq!(audit.held_since, [(Moment(2), late), (Moment(90), fresh)]);
    let overdue = |at, most| audit.overdue(Moment(at), Span(most)).collect::<Vec<_>>();
    assert_eq!(
        [overdue(102, 100), overdue(103, 100), overdue(191, 100)],
        [vec![], vec![late], vec![late, fresh]]
    );
    assert!(store.is_healthy() && !store.is_wrong(), "late is not wrong");
    store.stop();
}

fn from_a_book_that_an_audit_finds_wrong_nobody_is_served(place: &Place) {
    let store = start(place);
    store.append(vec![grant("grant:1", PAGE, 100)]);
    now(store.flushed());
    assert_eq!((now(store.audit()).unwrap().wrong, store.is_healthy()), (None, true));
    Sql::connect(&place.location).unwrap().batch("UPDATE posted SET credit = credit + 1").unwrap();
    assert!(now(store.audit()).unwrap().wrong.is_some());
    store.append(vec![grant("grant:2", PAGE, 100)]);
    now(store.flushed());
    assert!(store.is_wrong() && !store.is_healthy(), "whatever is written since");
    store.stop();
}

/// While one has the book in view, entries are stored and read.
fn an_audit_keeps_neither_the_writer_nor_a_reader_waiting(place: &Place) {
    let store = start(place);
    store.append(vec![grant("grant:1", PAGE, 100)]);
    now(store.flushed());
    let mut auditor = Sql::connect(&place.location).unwrap();
    let seen = auditor.view(|sql| {
        let before = super::super::audit::look(sql)?;
        store.append(vec![grant("grant:2", PAGE, 100)]);
        now(store.flushed());
        let count = |sql: &mut Sql| sql.number("SELECT COUNT(*) FROM entry", &[]);
        assert_eq!(now(store.read(count))?, 2);
        assert_eq!(super::super::audit::look(sql)?, before, "one view of the book");
        Ok(before.entries)
    });
    assert_eq!(seen.unwrap(), 1);
    assert_eq!(now(store.audit()).unwrap().entries, 2);
    store.stop();
}
