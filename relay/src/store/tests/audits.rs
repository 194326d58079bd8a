//! Audits of books that are right, wrong and long.

use super::*;

on_both! {
    an_audit_names_the_first_wrong_row,
    an_audit_finds_an_entry_that_was_changed_behind_our_back,
    an_audit_finds_a_sum_that_is_not_the_entries,
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
    for entry in [grant("grant:1", PAGE, 1_000_000), hold(job, 50_000), settle(job, 50_000)] {
        store.append(vec![entry]);
    }
    store.stop();
    assert_eq!(audit(&place.location).unwrap().wrong, None);
    tamper(place, "UPDATE spent SET charge = charge + 1");
    let wrong = audit(&place.location).unwrap().wrong.unwrap();
    assert_eq!(wrong, format!("the sums of what is spent are those of the entries: {PAGE}"));
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
