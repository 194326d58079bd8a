//! A free answer that pays for itself, on the whole market.

use anyhow::{Context, Result, bail};
use rekursing_market::{
    Account, Book, Effect, Market, Payer, Refusal, Request, Terms, Tier, Usage, Wish,
    ledger::{EntryKind, Settle},
};
use rekursing_protocol::{JobId, Nanos, Offer, OfferKind, Price, SessionId, Span, frame::Inventory};

use super::{BEGIN, Example, OWNER, Table, ad, minus};

const MODEL: &str = "qwen2.5-7b-instruct";
/// What the operator gives for free answers, and what he keeps for them: 0.01 USD.
const BUDGET: Nanos = Nanos::new(10_000_000);
const PROMPT_TOKENS: u64 = 200;
const ANSWER_TOKENS_MAX: u64 = 300;
const ANSWER_TOKENS: u64 = 120;

fn offer() -> Offer {
    Offer {
        model: MODEL.to_owned(),
        kind: OfferKind::Text,
        architecture: String::new(),
        parameters: String::new(),
        quantization: "Q4_K_M".to_owned(),
        context: 4_096,
        slots: 1,
        loaded: true,
        vision: false,
        tools: false,
        continues: false,
        browser: false,
        price: None,
        least: None,
    }
}

fn request(number: u64, ad_expected: Nanos) -> Request {
    Request {
        job: JobId::from_bits(number.into()),
        payer: Payer::Free { visitor: 7 },
        spender: None,
        kind: OfferKind::Text,
        model: Wish::Named(MODEL.to_owned()),
        tier: Tier::Standard,
        prompt_tokens: PROMPT_TOKENS,
        prompt_tokens_max: PROMPT_TOKENS,
        answer_tokens_max: Some(ANSWER_TOKENS_MAX),
        price_max: None,
        cost_max: None,
        millitokens_per_second_min: 0,
        quantizations: Vec::new(),
        routing: None,
        needs_vision: false,
        is_verified: false,
        topics: None,
        ad_expected,
        stream: true,
        left_by: Vec::new(),
    }
}

/// An answer at 50 tokens per second.
fn usage() -> Usage {
    Usage {
        prompt_tokens: PROMPT_TOKENS,
        answer_tokens: ANSWER_TOKENS,
        claimed_prompt: None,
        claimed_answer: None,
        first_token: Span(200),
        generation: Span(ANSWER_TOKENS * 20),
        stalled: Span(0),
    }
}

/// Has the one provider answer a request. Returns what was held and how it was settled.
fn answered(market: &mut Market, request: Request, table: &mut Table) -> Result<(Nanos, Settle)> {
    market.submit(BEGIN, request)?;
    let mut lease = None;
    let mut held = Nanos::ZERO;
    for effect in market.drain_effects() {
        if let Effect::Assign(assignment) = &effect {
            lease = Some((assignment.job, assignment.lease));
        }
        if let Effect::Record(entry) = &effect {
            held = entry.postings().next().map_or(held, |posting| posting.amount);
        }
    }
    table.row("hold", market.book());
    let (job, lease) = lease.context("nobody has it")?;
    market.began(BEGIN, job, lease);
    market.finish(BEGIN, job, lease, usage());
    table.row("settle", market.book());
    let settled = market.drain_effects().find_map(|effect| {
        let Effect::Record(entry) = effect else { return None };
        let EntryKind::Settle(settle) = entry.kind else { return None };
        Some(*settle)
    });
    Ok((held, settled.context("it is not settled")?))
}

pub(super) fn example() -> Result<Example> {
    let columns = vec![
        ("advertiser", ad::ADVERTISER),
        ("free", Account::Free),
        ("escrow", Account::Escrow),
        ("owner", Account::Owner(OWNER)),
        ("platform", Account::Platform),
        ("outside", Account::Outside),
    ];
    let mut table = Table::new("after", columns);
    let mut book = Book::default();
    book.grant(BEGIN, "1", ad::ADVERTISER, ad::FUNDS)?;
    book.grant(BEGIN, "2", Account::Free, BUDGET)?;
    table.row("grants", &book);
    let mut placed = ad::place(&book)?;
    let terms = Terms {
        free_per_answer_max: Some(Nanos::ZERO),
        free_keep_max: Some(BUDGET),
        // The owner is trusted.
        holdback_permille: 0,
        ..Terms::default()
    };
    let Price { input, output } = terms.price_default;
    let mut market = Market::new(terms, book, 1);
    let inventory = Inventory { offers: vec![offer()], slots: 1, ..Inventory::default() };
    market.join(BEGIN, SessionId::from_bits(1), OWNER, inventory);
    market.tick(BEGIN);
    let refused = market.submit(BEGIN, request(1, Nanos::ZERO));
    let Err(Refusal::FreeNotCovered { expected, covered }) = refused else { bail!("{refused:?}") };
    market.drain_effects().for_each(drop);
    let (held, settle) = answered(&mut market, request(2, placed.choice.expected), &mut table)?;
    anyhow::ensure!(held == expected, "the hold is what it is expected to cost");
    placed.seen(market.book_mut())?;
    table.row("seen: `impression:imp_…`", market.book());
    market.tick(BEGIN + Span::DAY);
    table.row("midnight: `surplus:{moment}`", market.book());

    let sum = |tokens| format!("{PROMPT_TOKENS} × {} + {tokens} × {}", input / 1_000, output / 1_000);
    let brings = placed.choice.prices.impression;
    let lines = [
        format!(
            "Expected cost: {} nano-dollars = {expected} USD, which is the hold as well.",
            sum(ANSWER_TOKENS_MAX)
        ),
        format!(
            "Without an ad {covered} USD are covered, and it is refused with `free_not_covered`. Of ads like that \
             of the example above half are seen, and nobody counts on a first click: it covers {brings} ÷ 2 = {} \
             USD.",
            placed.choice.expected
        ),
        format!(
            "It has {ANSWER_TOKENS} tokens. Charge: {} nano-dollars = {} USD. Fee: {} USD. Earned: {} USD, by a \
             trusted owner.",
            sum(ANSWER_TOKENS),
            settle.charge,
            settle.fee,
            settle.earned()
        ),
        format!(
            "The ad pays for its answer first, and {brings} − {} = {} USD are left.",
            settle.charge,
            minus(brings, settle.charge)
        ),
    ];
    Ok(Example { heading: "A free answer that pays for itself", figures: table.behind(&lines) })
}
