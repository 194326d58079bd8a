//! Paid answers: the usual one, a very small one, and one of a new owner that misses its tier.

use anyhow::{Context, Result};
use rekursing_market::{
    Account, Book, Terms, Tier,
    ledger::{EntryKind, Quote, Settle, Settlement},
};
use rekursing_protocol::{AccountId, JobId, Nanos, Price};

use super::{BEGIN, Example, OWNER, Table, grouped, list, minus, usd};

const PAGE: Account = Account::Page(AccountId::from_bits(1));
const JOB: JobId = JobId::from_bits(3);

/// What the owner of the first and of the third example asks: 0.15 and 0.60 USD per million tokens.
const ASK: Price = Price::new(150_000, 600_000);

/// How one answer goes.
struct Case {
    tier_asked: Tier,
    tier: Tier,
    ask: Price,
    prompt_tokens: u64,
    answer_tokens_max: u64,
    answer_tokens: u64,
    /// What the page has been charged this month.
    volume: Nanos,
    is_trusted: bool,
}

/// How it went.
struct Done {
    book: Book,
    table: Table,
    held: Nanos,
    settle: Settle,
}

impl Case {
    /// Walks a book through a grant, a hold and a settlement at the relay's usual rates.
    fn walk(&self) -> Result<Done> {
        let terms = Terms::default();
        let price = |tier: Tier| self.ask.scaled(terms.tiers.of(tier).price_permille);
        let columns = vec![
            ("page", PAGE),
            ("escrow", Account::Escrow),
            ("owner", Account::Owner(OWNER)),
            ("platform", Account::Platform),
            ("outside", Account::Outside),
        ];
        let (mut book, mut table) = (Book::default(), Table::new("after", columns));
        book.grant(BEGIN, "1", PAGE, Nanos::new(5 * Nanos::DOLLAR.get()))?;
        table.row("grant", &book);
        let quote = Quote::new(price(self.tier_asked), self.prompt_tokens, self.answer_tokens_max);
        let quote = quote.context("the hold is too much")?;
        book.hold(BEGIN, JOB, PAGE, quote)?;
        table.row("hold", &book);
        let settled = book.settle(
            BEGIN,
            Settlement {
                job: JOB,
                lease: 1,
                owner: OWNER,
                api_key: None,
                model: "qwen2.5-7b-instruct".to_owned(),
                tier_asked: self.tier_asked,
                tier: self.tier,
                ask: self.ask,
                price: price(self.tier),
                prompt_tokens: self.prompt_tokens,
                answer_tokens: self.answer_tokens,
                tier_permille: terms.tiers.of(self.tier).price_permille,
                fee_permille: terms.fee.at(Nanos::ZERO),
                discount_permille: terms.discount.at(self.volume),
                holdback_permille: if self.is_trusted { 0 } else { terms.holdback_permille },
                release_at: BEGIN + terms.holdback,
            },
        )?;
        table.row("settle", &book);
        let EntryKind::Settle(settle) = settled.kind else { anyhow::bail!("no settlement") };
        Ok(Done { book, table, held: quote.amount(), settle: *settle })
    }

    /// Writes tokens times price, in nano-dollars.
    fn sum(&self, price: Price, answer_tokens: u64) -> String {
        let (input, output) = (price.input / 1_000, price.output / 1_000);
        format!("{} × {input} + {} × {output}", grouped(self.prompt_tokens), grouped(answer_tokens))
    }
}

fn nanos(amount: Nanos) -> String {
    grouped(amount.get().unsigned_abs())
}

/// The first example.
pub(super) fn usual() -> Result<Example> {
    let case = Case {
        tier_asked: Tier::Standard,
        tier: Tier::Standard,
        ask: ASK,
        prompt_tokens: 1_000,
        answer_tokens_max: 500,
        answer_tokens: 321,
        volume: Nanos::ZERO,
        is_trusted: true,
    };
    let Done { table, held, settle, .. } = case.walk()?;
    let (charge, back) = (settle.charge, minus(held, settle.charge));
    let lines = [
        format!("The hold is ({}) nano-dollars = {held} USD.", case.sum(ASK, case.answer_tokens_max)),
        format!(
            "The charge is ({}) = {} nano-dollars = {charge} USD.",
            case.sum(ASK, case.answer_tokens),
            nanos(charge)
        ),
        format!(
            "The fee is 5 % of it = {} USD, and the owner earns the rest, {} USD.",
            settle.fee,
            settle.earned()
        ),
        format!("The page gets back {held} − {charge} = {} USD.", usd(back)),
    ];
    Ok(Example { heading: "A paid answer", figures: table.behind(&lines) })
}

/// One at the default ask, in the tier `low`, of which the page wants one token.
pub(super) fn small() -> Result<Example> {
    let case = Case {
        tier_asked: Tier::Low,
        tier: Tier::Low,
        ask: Terms::default().price_default,
        prompt_tokens: 7,
        answer_tokens_max: 16,
        answer_tokens: 1,
        volume: Nanos::ZERO,
        is_trusted: true,
    };
    let Done { held, settle, .. } = case.walk()?;
    let (price, charge, fee) = (settle.price, settle.charge, settle.fee);
    let lines = [
        format!("Hold: {} = {} nano-dollars = {held} USD.", case.sum(price, 16), nanos(held)),
        format!("Charge: {} = {} nano-dollars = {charge} USD.", case.sum(price, 1), nanos(charge)),
        format!(
            "Fee: 5 % = {} nano-dollars = {fee} USD. Earned: {} USD. Given back: {} USD.",
            nanos(fee),
            settle.earned(),
            minus(held, charge)
        ),
    ];
    Ok(Example { heading: "A very small one, in the tier `low`", figures: list(&lines) })
}

/// One that was asked for in `high` and was `standard`, of a new owner, for a page with a bulk discount.
pub(super) fn missed() -> Result<Example> {
    let case = Case {
        tier_asked: Tier::High,
        tier: Tier::Standard,
        ask: ASK,
        prompt_tokens: 1_000,
        answer_tokens_max: 500,
        answer_tokens: 200,
        volume: Nanos::new(150 * Nanos::DOLLAR.get()),
        is_trusted: false,
    };
    let Done { book, held, settle, .. } = case.walk()?;
    let high = ASK.scaled(Terms::default().tiers.of(Tier::High).price_permille);
    let sum = |part: Nanos, other: Nanos| Nanos::new(part.get() + other.get());
    let (cost, full_fee) = (sum(settle.charge, settle.discount), sum(settle.fee, settle.discount));
    let [at_once, later] = [Account::Owner(OWNER), Account::Held(OWNER)].map(|account| book.balance(account));
    let lines = [
        format!(
            "Hold, at 1.5 times the ask: {} = {} nano-dollars = {held} USD.",
            case.sum(high, case.answer_tokens_max),
            nanos(held)
        ),
        format!(
            "Cost, at the ask: {} = {} nano-dollars = {cost} USD.",
            case.sum(ASK, case.answer_tokens),
            nanos(cost)
        ),
        format!("Full fee: 5 % = {full_fee} USD. Discount: 0.5 % = {} USD.", settle.discount),
        format!(
            "Charge: {} USD. Fee: {} USD. Earned: {} USD, as it would be without the discount.",
            settle.charge,
            settle.fee,
            settle.earned()
        ),
        format!("Of it, {at_once} USD are the owner's at once, and {later} USD are held back for a week."),
        format!("Given back to the page: {} USD.", minus(held, settle.charge)),
    ];
    Ok(Example { heading: "One that misses its tier, of a new owner", figures: list(&lines) })
}
