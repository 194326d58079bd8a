//! One dollar on its way through the book, from a page's top-up to an owner's bank account.

use anyhow::{Context, Result, bail};
use rekursing_market::{
    Book, Tier,
    ledger::{Account, BookRefusal, Cause, Entry, EntryKind, Quote, Settle, Settlement, Transfer},
};
use rekursing_protocol::{AccountId, JobId, Moment, Nanos, Price, Span};

use super::{BEGIN, Example, OWNER, Table, minus};

const PAGE: Account = Account::Page(AccountId::from_bits(1));
const JOBS: [JobId; 2] = [JobId::from_bits(3), JobId::from_bits(4)];

/// What the owner asks: 0.50 and 2.00 USD per million tokens.
const ASK: Price = Price::new(500_000, 2_000_000);
/// What the tier `high` makes of it.
const HIGH_PERMILLE: u64 = 1_500;
const PROMPT_TOKENS: u64 = 100_000;
const ANSWER_TOKENS_MAX: u64 = 300_000;
const ANSWER_TOKENS: u64 = 200_000;
const FEE_PERMILLE: u64 = 50;
const DISCOUNT_PERMILLE: u64 = 10;
const HOLDBACK_PERMILLE: u64 = 500;
/// What the rail takes of the payout.
const PAYOUT_COST: Nanos = Nanos::new(20_000_000);

/// The accounts in the order of the table, with their headings.
const COLUMNS: [(&str, Account); 8] = [
    ("page", PAGE),
    ("escrow", Account::Escrow),
    ("owner", Account::Owner(OWNER)),
    ("held back", Account::Held(OWNER)),
    ("requested", Account::PayoutRequested),
    ("sent", Account::PayoutSent),
    ("platform", Account::Platform),
    ("outside", Account::Outside),
];

/// A book whose every entry becomes a row.
struct Walk {
    book: Book,
    now: Moment,
    table: Table,
}

/// Walks one dollar through a book.
pub(super) fn example() -> Result<Example> {
    let table = Table::new("what happens | entry", COLUMNS.to_vec());
    let mut walk = Walk { book: Book::default(), now: BEGIN, table };
    let price = ASK.scaled(HIGH_PERMILLE);
    let quote = Quote::new(price, PROMPT_TOKENS, ANSWER_TOKENS_MAX).context("the hold is too much")?;
    walk.transfer("the page pays in", Cause::TopUp, [Account::Outside, PAGE], Nanos::DOLLAR)?;
    walk.step("money is set aside", |book, now| book.hold(now, JOBS[0], PAGE, quote))?;
    walk.step("nobody answers", |book, now| book.void(now, JOBS[0]))?;
    walk.step("it asks again", |book, now| book.hold(now, JOBS[1], PAGE, quote))?;
    let settled = walk.step("the answer ends", |book, now| book.settle(now, settlement(price, now)))?;
    let EntryKind::Settle(settle) = &settled.kind else { bail!("no settlement") };
    let owner = Account::Owner(OWNER);
    walk.now = settle.release_at;
    walk.transfer("a week has passed", Cause::Release, [Account::Held(OWNER), owner], settle.held_back)?;
    let earned = settle.earned();
    let on_its_way = [Account::PayoutRequested, Account::PayoutSent];
    walk.transfer("the owner asks for it", Cause::PayoutRequested, [owner, on_its_way[0]], earned)?;
    walk.transfer("the rail has it", Cause::PayoutSent, on_its_way, earned)?;
    let away = [Account::PayoutSent, Account::Outside];
    walk.transfer("the rail's own price", Cause::PayoutCost, away, PAYOUT_COST)?;
    let arrived = walk.book.balance(Account::PayoutSent);
    walk.transfer("the owner has it", Cause::PayoutConfirmed, away, arrived)?;
    Ok(Example { heading: "Follow one dollar", figures: walk.table.behind(&sums(price, quote, settle)) })
}

fn settlement(price: Price, now: Moment) -> Settlement {
    Settlement {
        job: JOBS[1],
        lease: 1,
        api_key: None,
        owner: OWNER,
        model: "qwen2.5-7b-instruct".to_owned(),
        tier_asked: Tier::High,
        tier: Tier::High,
        ask: ASK,
        price,
        prompt_tokens: PROMPT_TOKENS,
        answer_tokens: ANSWER_TOKENS,
        tier_permille: HIGH_PERMILLE,
        fee_permille: FEE_PERMILLE,
        discount_permille: DISCOUNT_PERMILLE,
        holdback_permille: HOLDBACK_PERMILLE,
        release_at: now + Span(7 * Span::DAY.0),
    }
}

impl Walk {
    /// Makes an entry and keeps what every account has behind it.
    fn step(
        &mut self,
        what: &'static str,
        make: impl FnOnce(&mut Book, Moment) -> Result<Entry, BookRefusal>,
    ) -> Result<Entry, BookRefusal> {
        let entry = make(&mut self.book, self.now)?;
        self.table.row(&format!("{what} | {}", entry.kind_name()), &self.book);
        Ok(entry)
    }

    fn transfer(
        &mut self,
        what: &'static str,
        cause: Cause,
        [from, to]: [Account; 2],
        amount: Nanos,
    ) -> Result<Entry, BookRefusal> {
        let transfer = Transfer { cause, from, to, amount, note: String::new() };
        self.step(what, |book, now| book.transfer(now, "1", transfer))
    }
}

/// Writes how each figure of the settlement follows from the others.
fn sums(price: Price, quote: Quote, settle: &Settle) -> Vec<String> {
    let side = |micros: u64| Nanos::new(i64::try_from(micros).unwrap_or(i64::MAX).saturating_mul(1_000));
    let cost = Nanos::new(settle.charge.get() + settle.discount.get());
    let full_fee = Nanos::new(settle.fee.get() + settle.discount.get());
    let percent = |permille: u64| format!("{} %", permille / 10);
    let (input, output) = (price.input / 1_000, price.output / 1_000);
    let (charge, earned, held_back) = (settle.charge, settle.earned(), settle.held_back);
    vec![
        format!("Ask: {} and {} USD per million tokens.", side(ASK.input), side(ASK.output)),
        format!(
            "Price in the tier `high`, 1.5 times that: {} and {} USD.",
            side(price.input),
            side(price.output)
        ),
        format!(
            "Hold: {PROMPT_TOKENS} × {input} + {ANSWER_TOKENS_MAX} × {output} nano-dollars = {} USD.",
            quote.amount()
        ),
        format!("Cost: {PROMPT_TOKENS} × {input} + {ANSWER_TOKENS} × {output} nano-dollars = {cost} USD."),
        format!(
            "Discount: {} of the cost = {} USD, out of the fee.",
            percent(DISCOUNT_PERMILLE),
            settle.discount
        ),
        format!("Charge: {cost} − {} = {charge} USD.", settle.discount),
        format!(
            "Fee: {} of the cost = {full_fee} USD, less the discount = {} USD.",
            percent(FEE_PERMILLE),
            settle.fee
        ),
        format!("Earned: {charge} − {} = {earned} USD.", settle.fee),
        format!(
            "Held back for a week: {} of it = {held_back} USD; available at once: {} USD.",
            percent(HOLDBACK_PERMILLE),
            minus(earned, held_back)
        ),
        format!("Given back: {} − {charge} = {} USD.", settle.held, minus(settle.held, charge)),
        format!("Paid out: {earned} − {PAYOUT_COST} = {} USD.", minus(earned, PAYOUT_COST)),
    ]
}
