//! The rules of the book, as tables, and the worked examples of `docs/ledger.md`.

use rekursing_protocol::{AccountId, PluginId, Price};

use super::*;
use crate::tier::Tier;

mod reference;

const PAGE: Account = Account::Page(AccountId::from_bits(1));
const OWNER: PluginId = PluginId::from_bits(2);
const JOB: JobId = JobId::from_bits(3);
const NOW: Moment = Moment(1_000);

fn dollars(text: &str) -> Nanos {
    text.parse().unwrap()
}

fn granted(amount: &str) -> Book {
    let mut book = Book::default();
    book.grant(NOW, "opening", PAGE, dollars(amount)).unwrap();
    book
}

fn settlement(prompt_tokens: u64, answer_tokens: u64) -> Settlement {
    Settlement {
        job: JOB,
        lease: 1,
        owner: OWNER,
        api_key: None,
        model: "qwen2.5-7b-instruct".to_owned(),
        tier_asked: Tier::Standard,
        tier: Tier::Standard,
        ask: Price::new(150_000, 600_000),
        price: Price::new(150_000, 600_000),
        prompt_tokens,
        answer_tokens,
        tier_permille: 1_000,
        fee_permille: 50,
        discount_permille: 0,
        holdback_permille: 0,
        release_at: Moment(0),
    }
}

/// A quote over so much: one nano-dollar per token.
fn quote(nanos: Nanos) -> Quote {
    Quote::new(Price::new(0, 1_000), 0, nanos.get().unsigned_abs()).unwrap()
}

fn balances(book: &Book) -> [String; 5] {
    let accounts = [PAGE, Account::Escrow, Account::Owner(OWNER), Account::Platform, Account::Outside];
    accounts.map(|account| book.balance(account).to_string())
}

#[test]
fn the_first_worked_example_is_what_happens() {
    let mut book = granted("5");
    assert_eq!(balances(&book), ["5", "0", "0", "0", "-5"]);
    let held = Quote::new(Price::new(150_000, 600_000), 1_000, 500).unwrap();
    assert_eq!(held.amount(), dollars("0.00045"));
    book.hold(NOW, JOB, PAGE, held).unwrap();
    assert_eq!(balances(&book), ["4.99955", "0.00045", "0", "0", "-5"]);
    let entry = book.settle(NOW, settlement(1_000, 321)).unwrap();
    assert_eq!(balances(&book), ["4.9996574", "0", "0.00032547", "0.00001713", "-5"]);
    let receipt = entry.receipt().unwrap();
    assert_eq!(
        (receipt.charge, receipt.fee, receipt.earned),
        (dollars("0.0003426"), dollars("0.00001713"), dollars("0.00032547"))
    );
    let legs: Vec<_> = entry.postings().map(|leg| (leg.debit, leg.credit, leg.amount)).collect();
    assert_eq!(
        legs,
        [
            (Account::Escrow, Account::Owner(OWNER), dollars("0.00032547")),
            (Account::Escrow, Account::Platform, dollars("0.00001713")),
            (Account::Escrow, PAGE, dollars("0.0001074")),
        ]
    );
    assert_eq!(book.audit(), Ok(()));
}

#[test]
fn the_second_worked_example_is_what_happens() {
    let mut book = granted("1");
    let price = Price::new(50_000, 100_000).scaled(800);
    assert_eq!(price, Price::new(40_000, 80_000));
    let held = Quote::new(price, 7, 16).unwrap();
    book.hold(NOW, JOB, PAGE, held).unwrap();
    let entry = book.settle(NOW, Settlement { price, ..settlement(7, 1) }).unwrap();
    let receipt = entry.receipt().unwrap();
    assert_eq!(
        [held.amount(), receipt.charge, receipt.fee, receipt.earned],
        ["0.00000156", "0.00000036", "0.000000018", "0.000000342"].map(dollars)
    );
    assert_eq!(book.audit(), Ok(()));
}

#[test]
fn the_third_worked_example_is_what_happens() {
    let mut book = granted("5");
    let ask = Price::new(150_000, 600_000);
    let held = Quote::new(ask.scaled(1_500), 1_000, 500).unwrap();
    book.hold(NOW, JOB, PAGE, held).unwrap();
    let settlement = Settlement {
        tier_asked: Tier::High,
        discount_permille: 5,
        holdback_permille: 500,
        release_at: Moment(9_000),
        ..settlement(1_000, 200)
    };
    let entry = book.settle(NOW, settlement).unwrap();
    let EntryKind::Settle(settle) = &entry.kind else { panic!("{entry:?}") };
    assert_eq!(
        [held.amount(), settle.discount, settle.charge, settle.fee, settle.earned(), settle.held_back],
        ["0.000675", "0.00000135", "0.00026865", "0.00001215", "0.0002565", "0.00012825"].map(dollars)
    );
    assert_eq!(book.balance(PAGE), dollars("4.99973135"));
    assert_eq!(dollars("0.000675").checked_sub(settle.charge), Some(dollars("0.00040635")));
}

/// Returns the lines of the document from a heading to the next.
fn section(heading: &str) -> Vec<&'static str> {
    let document = include_str!("../../../../docs/ledger.md");
    let lines = document.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.starts_with("## ")).collect()
}

#[test]
fn the_document_shows_the_rows_that_this_book_makes() {
    let mut book = granted("5");
    let mut rows = Vec::new();
    let mut row = |book: &Book, after: &str| {
        let cells = balances(book).map(|cell| cell.replace('-', "−")).join(" | ");
        rows.push(format!("| {after} | {cells} | 0 |"));
    };
    row(&book, "grant");
    let price = Price::new(150_000, 600_000);
    let hold = book.hold(NOW, JOB, PAGE, Quote::new(price, 1_000, 500).unwrap()).unwrap();
    row(&book, "hold");
    let paid = Settlement { ask: price, price, ..settlement(1_000, 321) };
    let paid = book.settle(NOW, paid).unwrap();
    row(&book, "settle");
    let EntryKind::Settle(paid) = paid.kind else { panic!() };
    let held = hold.postings().next().unwrap().amount;
    let back = paid.held.checked_sub(paid.charge).unwrap();
    rows.push(format!("- The hold is (1,000 × 150 + 500 × 600) nano-dollars = {held} USD."));
    rows.push(format!(
        "- The charge is (1,000 × 150 + 321 × 600) = 342,600 nano-dollars = {} USD.",
        paid.charge
    ));
    rows.push(format!(
        "- The fee is 5 % of it = {} USD, and the owner earns the rest, {} USD.",
        paid.fee,
        paid.earned()
    ));
    rows.push(format!("- The page gets back {held} − {} = {back} USD.", paid.charge));
    let section = section("## A paid answer");
    for row in rows {
        assert!(section.contains(&row.as_str()), "{row}");
    }
}

#[test]
fn a_void_gives_back_all_of_it() {
    let mut book = granted("1");
    book.hold(NOW, JOB, PAGE, quote(dollars("0.25"))).unwrap();
    let entry = book.void(NOW, JOB).unwrap();
    assert_eq!(entry.id, format!("void:{JOB}"));
    assert_eq!(balances(&book), ["1", "0", "0", "0", "-1"]);
    assert_eq!(book.open_holds().len(), 0);
}

#[test]
fn a_hold_resolves_exactly_once() {
    let mut settled = granted("1");
    settled.hold(NOW, JOB, PAGE, quote(dollars("0.25"))).unwrap();
    settled.settle(NOW, settlement(10, 10)).unwrap();
    let before = balances(&settled);
    let later_lease = Settlement { lease: 2, ..settlement(10, 10) };
    assert_eq!(settled.settle(NOW, settlement(10, 10)), Err(BookRefusal::Exists));
    assert_eq!(settled.settle(NOW, settlement(10, 11)), Err(BookRefusal::ExistsDifferent));
    assert_eq!(settled.settle(NOW, later_lease), Err(BookRefusal::ExistsDifferent));
    assert_eq!(settled.void(NOW, JOB), Err(BookRefusal::ExistsDifferent));
    assert_eq!(settled.hold(NOW, JOB, PAGE, quote(dollars("0.25"))), Err(BookRefusal::ExistsDifferent));
    assert_eq!(balances(&settled), before);

    let mut voided = granted("1");
    voided.hold(NOW, JOB, PAGE, quote(dollars("0.25"))).unwrap();
    voided.void(NOW, JOB).unwrap();
    assert_eq!(voided.void(NOW, JOB), Err(BookRefusal::Exists));
    assert_eq!(voided.settle(NOW, settlement(1, 1)), Err(BookRefusal::ExistsDifferent));
    assert_eq!(balances(&voided), ["1", "0", "0", "0", "-1"]);
}

#[test]
fn refusals_come_in_order_of_precedence_and_move_nothing() {
    let mut book = granted("1");
    book.hold(NOW, JOB, PAGE, quote(dollars("0.25"))).unwrap();
    let (other, stranger) = (JobId::from_bits(9), Account::Page(AccountId::from_bits(9)));
    let before = balances(&book);
    for (job, payer, amount, refusal) in [
        (JOB, PAGE, "0.25", BookRefusal::Exists),
        (JOB, PAGE, "900", BookRefusal::ExistsDifferent),
        (JOB, stranger, "0.25", BookRefusal::ExistsDifferent),
        (
            other,
            PAGE,
            "0.750000001",
            BookRefusal::Insufficient { needs: dollars("0.750000001"), available: dollars("0.75") },
        ),
        (other, stranger, "0.1", BookRefusal::Insufficient { needs: dollars("0.1"), available: Nanos::ZERO }),
    ] {
        assert_eq!(
            book.hold(NOW, job, payer, quote(dollars(amount))),
            Err(refusal),
            "{job} {payer} {amount}"
        );
    }
    assert_eq!(book.void(NOW, other), Err(BookRefusal::NoHold));
    assert_eq!(book.settle(NOW, Settlement { job: other, ..settlement(1, 1) }), Err(BookRefusal::NoHold));
    assert_eq!(book.settle(NOW, settlement(u64::MAX, u64::MAX)), Err(BookRefusal::Overflow));
    let (charge, held) = (dollars("0.6"), dollars("0.25"));
    let refusal = BookRefusal::ChargeExceedsHold { charge, held };
    assert_eq!(book.settle(NOW, settlement(0, 1_000_000)), Err(refusal));
    assert_eq!(balances(&book), before);
    assert_eq!(book.audit(), Ok(()));
}

#[test]
fn a_grant_counts_once_whoever_made_it() {
    let mut book = granted("1");
    assert_eq!(book.grant(NOW, "opening", PAGE, dollars("1")), Err(BookRefusal::Exists));
    assert_eq!(book.grant(NOW, "opening", PAGE, dollars("2")), Err(BookRefusal::ExistsDifferent));
    assert_eq!(book.grant(NOW, "x", PAGE, dollars("-1")), Err(BookRefusal::Negative));
    assert_eq!(book.grant(NOW, "x", Account::Platform, dollars("1")), Err(BookRefusal::NotJoined));
    assert_eq!(book.grant(NOW, "x", PAGE, Nanos::ZERO), Err(BookRefusal::Nothing));
    assert_eq!(book.grant(NOW, "x", PAGE, Nanos::MAX), Err(BookRefusal::Overflow));

    let foreign = Book::default().grant(NOW, "elsewhere", Account::Free, dollars("3")).unwrap();
    assert_eq!(book.apply_foreign(&foreign), Ok(()));
    assert_eq!(book.apply_foreign(&foreign), Err(BookRefusal::Exists));
    assert_eq!(book.balance(Account::Free), dollars("3"));
    let hold = book.hold(NOW, JOB, PAGE, quote(dollars("0.5"))).unwrap();
    assert_eq!(granted("1").apply_foreign(&hold), Err(BookRefusal::NotJoined));
    assert_eq!(book.audit(), Ok(()));
}

#[test]
fn fees_are_rounded_down_and_parts_add_up_to_the_whole() {
    for (charge, permille, fee) in
        [(0, 50, 0), (19, 50, 0), (20, 50, 1), (39, 50, 1), (100, 0, 0), (7, 5_000, 7)]
    {
        let mut book = granted("1");
        book.hold(NOW, JOB, PAGE, quote(Nanos::new(1_000))).unwrap();
        // A price of 1,000 micro-dollars per million tokens is one nano-dollar per token.
        let settlement =
            Settlement { price: Price::new(0, 1_000), fee_permille: permille, ..settlement(0, charge) };
        let receipt = book.settle(NOW, settlement).unwrap().receipt().unwrap();
        assert_eq!(receipt.charge.get().unsigned_abs(), charge);
        assert_eq!(receipt.fee, Nanos::new(fee));
        assert_eq!(receipt.earned.checked_add(receipt.fee), Some(receipt.charge));
        assert_eq!(book.audit(), Ok(()));
    }
}

#[test]
fn a_discount_is_taken_from_the_fee_and_never_from_the_owner() {
    // Of 1,000 nano-dollars 50 are the fee and 950 are earned, whatever the discount.
    for (permille, charge, fee) in [(0, 1_000, 50), (20, 980, 30), (50, 950, 0), (200, 950, 0)] {
        let mut book = granted("1");
        book.hold(NOW, JOB, PAGE, quote(Nanos::new(1_000))).unwrap();
        let settlement =
            Settlement { price: Price::new(0, 1_000), discount_permille: permille, ..settlement(0, 1_000) };
        let receipt = book.settle(NOW, settlement).unwrap().receipt().unwrap();
        let amounts = [receipt.charge, receipt.fee, receipt.earned].map(Nanos::get);
        assert_eq!(amounts, [charge, fee, 950], "{permille}");
        assert_eq!(book.audit(), Ok(()));
    }
}

#[test]
fn what_is_held_back_is_the_owners_only_once_it_is_released() {
    let mut book = granted("1");
    book.hold(NOW, JOB, PAGE, quote(Nanos::new(1_000))).unwrap();
    let (owner, held) = (Account::Owner(OWNER), Account::Held(OWNER));
    let settlement = Settlement {
        price: Price::new(0, 1_000),
        holdback_permille: 500,
        release_at: Moment(9_000),
        ..settlement(0, 1_000)
    };
    book.settle(NOW, settlement).unwrap();
    assert_eq!([owner, held].map(|account| book.balance(account).get()), [475, 475]);
    let release = |to, nanos| Transfer {
        cause: Cause::Release,
        from: held,
        to,
        amount: Nanos::new(nanos),
        note: String::new(),
    };
    let short = BookRefusal::Insufficient { needs: Nanos::new(476), available: Nanos::new(475) };
    assert_eq!(book.transfer(NOW, "1", release(owner, 476)), Err(short));
    assert_eq!(book.transfer(NOW, "1", release(PAGE, 475)), Err(BookRefusal::NotJoined));
    assert_eq!(book.transfer(NOW, "1", release(owner, 475)).unwrap().id, "release:1");
    assert_eq!([owner, held].map(|account| book.balance(account).get()), [950, 0]);
    assert_eq!(book.audit(), Ok(()));
}

#[test]
fn entries_that_differ_anywhere_have_different_canonical_texts() {
    let mut book = granted("1");
    let grant = book.grant(NOW, "x", PAGE, Nanos::new(5)).unwrap();
    let hold = book.hold(NOW, JOB, PAGE, quote(Nanos::new(1_000))).unwrap();
    let settle = book.settle(NOW, settlement(0, 1)).unwrap();
    let mut texts = vec![grant.canonical(), hold.canonical(), settle.canonical()];
    let EntryKind::Transfer(transfer) = grant.kind.clone() else { panic!("{grant:?}") };
    for kind in [
        Transfer { note: "note".to_owned(), ..transfer.clone() },
        Transfer { to: Account::Free, ..transfer.clone() },
        Transfer { amount: Nanos::new(6), ..transfer },
    ] {
        texts.push(Entry { kind: EntryKind::Transfer(kind), ..grant.clone() }.canonical());
    }
    let EntryKind::Settle(paid) = &settle.kind else { panic!("{settle:?}") };
    for change in [
        |settle: &mut Settle| settle.model.push('x'),
        |settle: &mut Settle| settle.lease = 2,
        |settle: &mut Settle| settle.tier = Tier::Low,
        |settle: &mut Settle| settle.fee = Nanos::ZERO,
        |settle: &mut Settle| settle.release_at = Moment(1),
        |settle: &mut Settle| settle.api_key = Some(rekursing_protocol::KeyId::from_bits(7)),
    ] {
        let mut other = paid.clone();
        change(&mut other);
        texts.push(Entry { kind: EntryKind::Settle(other), ..settle.clone() }.canonical());
    }
    let count = texts.len();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), count);
}

#[test]
fn a_settlement_without_a_key_or_rates_keeps_the_text_that_it_had_before_they_were_stored() {
    let mut book = granted("1");
    book.hold(NOW, JOB, PAGE, quote(Nanos::new(1_000))).unwrap();
    let mut settle = book.settle(NOW, settlement(0, 1)).unwrap();
    let mut with = |key, rates| {
        let EntryKind::Settle(paid) = &mut settle.kind else { panic!() };
        (paid.api_key, paid.rates) = (key, rates);
        settle.canonical()
    };
    let before = with(None, None);
    assert!(before.ends_with("1:0"), "the release of what is held back is last: {before}");
    let key = Some(rekursing_protocol::KeyId::from_bits(7));
    let rates = "1500/50/5/500".parse().ok();
    assert_eq!(with(key, None), format!("{before}11:rk_00000007"));
    assert_eq!(with(None, rates), format!("{before}13:1500/50/5/500"));
    assert_eq!(with(key, rates), format!("{before}11:rk_0000000713:1500/50/5/500"));
}

#[test]
fn an_audit_finds_what_a_damaged_store_would_hide() {
    let escrow = |nanos| (Account::Escrow, Nanos::new(nanos));
    let outside = |nanos| (Account::Outside, Nanos::new(nanos));
    let hold = |nanos| vec![(JOB, PAGE, Nanos::new(nanos))];
    for (balances, holds, found) in [
        (vec![], vec![], Ok(())),
        (vec![escrow(5), outside(-5)], hold(5), Ok(())),
        (vec![escrow(5), outside(-4)], hold(5), Err(Imbalance::Sum(1))),
        (vec![escrow(5), outside(-5)], vec![], Err(Imbalance::Escrow { escrow: 5, holds: 0 })),
        (
            vec![(PAGE, Nanos::new(-2)), (Account::Platform, Nanos::new(2))],
            vec![],
            Err(Imbalance::Negative(PAGE)),
        ),
    ] {
        assert_eq!(Book::restore(balances, holds).audit(), found);
    }
}

#[test]
fn what_is_resolved_long_ago_is_forgotten_and_still_pays_nobody() {
    let mut book = granted("1");
    for job in 0..u128::try_from(RESOLVED_MAX).unwrap() + 10 {
        let job = JobId::from_bits(100 + job);
        book.hold(NOW, job, PAGE, quote(Nanos::new(1))).unwrap();
        book.void(NOW, job).unwrap();
    }
    assert_eq!(book.resolved.len(), RESOLVED_MAX);
    assert_eq!(book.void(NOW, JobId::from_bits(100)), Err(BookRefusal::NoHold));
    assert_eq!(balances(&book), ["1", "0", "0", "0", "-1"]);
}
