//! One dollar on its way through the book, from a page's top-up to an owner's bank account. It is the
//! same book that serves jobs; `docs/ledger.md` shows what this prints.

use std::fmt::Write;

use rekursing_market::{
    Book, Tier,
    ledger::{Account, BookRefusal, Cause, Entry, EntryKind, Quote, Settlement, Transfer},
};
use rekursing_protocol::{AccountId, JobId, Moment, Nanos, PluginId, Price, Span};

const PAGE: Account = Account::Page(AccountId::from_bits(1));
const OWNER: PluginId = PluginId::from_bits(2);
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
/// 2026-03-01.
const BEGIN: Moment = Moment(20_513 * Span::DAY.0);

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
    rows: Vec<(&'static str, Entry, Vec<Nanos>)>,
}

/// Walks one dollar through a book and returns what happened as Markdown.
///
/// # Errors
/// Never: every entry keeps the book's rules.
pub fn follow_one_dollar() -> Result<String, BookRefusal> {
    let mut walk = Walk { book: Book::default(), now: BEGIN, rows: Vec::new() };
    let price = ASK.scaled(HIGH_PERMILLE);
    let quote = Quote::new(price, PROMPT_TOKENS, ANSWER_TOKENS_MAX).ok_or(BookRefusal::Overflow)?;
    walk.transfer("the page pays in", Cause::TopUp, [Account::Outside, PAGE], Nanos::DOLLAR)?;
    walk.step("money is set aside", |book, now| book.hold(now, JOBS[0], PAGE, quote))?;
    walk.step("nobody answers", |book, now| book.void(now, JOBS[0]))?;
    walk.step("it asks again", |book, now| book.hold(now, JOBS[1], PAGE, quote))?;
    let settled = walk.step("the answer ends", |book, now| book.settle(now, settlement(price, now)))?;
    let EntryKind::Settle(settle) = &settled.kind else { return Err(BookRefusal::NoHold) };
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

    let mut text = String::new();
    let write = write_sums(&mut text, price, quote, settle).and_then(|()| walk.write(&mut text));
    write.expect("a text takes what is written to it");
    Ok(text)
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
        let balances = COLUMNS.iter().map(|(_, account)| self.book.balance(*account)).collect();
        self.rows.push((what, entry.clone(), balances));
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

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let headings = COLUMNS.map(|(heading, _)| heading).join(" | ");
        writeln!(text, "| what happens | entry | {headings} | together |")?;
        writeln!(text, "|---|---|{}---|", "---|".repeat(COLUMNS.len()))?;
        for (what, entry, balances) in &self.rows {
            let cells: Vec<String> = balances.iter().map(Nanos::to_string).collect();
            let together: i64 = balances.iter().map(|balance| balance.get()).sum();
            let (kind, cells) = (entry.kind_name(), cells.join(" | "));
            writeln!(text, "| {what} | {kind} | {cells} | {together} |")?;
        }
        Ok(())
    }
}

/// Writes how each figure of the settlement follows from the others.
fn write_sums(
    text: &mut String,
    price: Price,
    quote: Quote,
    settle: &rekursing_market::ledger::Settle,
) -> std::fmt::Result {
    let side = |micros: u64| Nanos::new(i64::try_from(micros).unwrap_or(i64::MAX).saturating_mul(1_000));
    let minus = |whole: Nanos, part: Nanos| Nanos::new(whole.get() - part.get());
    let cost = Nanos::new(settle.charge.get() + settle.discount.get());
    let full_fee = Nanos::new(settle.fee.get() + settle.discount.get());
    let percent = |permille: u64| format!("{} %", permille / 10);
    let (input, output) = (price.input / 1_000, price.output / 1_000);
    writeln!(text, "- Ask: {} and {} USD per million tokens.", side(ASK.input), side(ASK.output))?;
    writeln!(
        text,
        "- Price in the tier `high`, 1.5 times that: {} and {} USD.",
        side(price.input),
        side(price.output)
    )?;
    writeln!(
        text,
        "- Hold: {PROMPT_TOKENS} × {input} + {ANSWER_TOKENS_MAX} × {output} nano-dollars = {} USD.",
        quote.amount()
    )?;
    writeln!(
        text,
        "- Cost: {PROMPT_TOKENS} × {input} + {ANSWER_TOKENS} × {output} nano-dollars = {cost} USD."
    )?;
    writeln!(
        text,
        "- Discount: {} of the cost = {} USD, out of the fee.",
        percent(DISCOUNT_PERMILLE),
        settle.discount
    )?;
    writeln!(text, "- Charge: {cost} − {} = {} USD.", settle.discount, settle.charge)?;
    writeln!(
        text,
        "- Fee: {} of the cost = {full_fee} USD, less the discount = {} USD.",
        percent(FEE_PERMILLE),
        settle.fee
    )?;
    writeln!(text, "- Earned: {} − {} = {} USD.", settle.charge, settle.fee, settle.earned())?;
    writeln!(
        text,
        "- Held back for a week: {} of it = {} USD; available at once: {} USD.",
        percent(HOLDBACK_PERMILLE),
        settle.held_back,
        minus(settle.earned(), settle.held_back)
    )?;
    writeln!(
        text,
        "- Given back: {} − {} = {} USD.",
        settle.held,
        settle.charge,
        minus(settle.held, settle.charge)
    )?;
    writeln!(
        text,
        "- Paid out: {} − {PAYOUT_COST} = {} USD.",
        settle.earned(),
        minus(settle.earned(), PAYOUT_COST)
    )?;
    writeln!(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_shows_exactly_what_the_command_prints() {
        let document = include_str!("../../docs/ledger.md");
        let printed = follow_one_dollar().unwrap();
        assert!(document.contains(&printed), "docs/ledger.md has other figures than these:\n{printed}");
    }
}
