//! An ad beside a free answer, chosen and paid by the board of ads.

use std::sync::Arc;

use anyhow::{Context, Result};
use rekursing_market::{
    Account, Book,
    ads::{
        AdTerms, Audience, Bid, Board, Budget, Campaign, Category, Choice, Creative, PER_VISITOR_DAY_MAX,
        Prices, Targets, Topic,
    },
};
use rekursing_protocol::{AccountId, CampaignId, ImpressionId, Moment, Nanos, Span};

use super::{BEGIN, Example, Table};

/// Whose ad is chosen.
pub(super) const ADVERTISER: Account = Account::Advertiser(ONE);
const ONE: AccountId = AccountId::from_bits(1);
/// Whose is the next best.
const OTHER: AccountId = AccountId::from_bits(2);
const VISITOR: u64 = 7;

/// What an advertiser has: 5 USD.
pub(super) const FUNDS: Nanos = Nanos::new(5_000_000_000);

/// An ad that was chosen, and what it takes to be seen and clicked.
pub(super) struct Placed {
    board: Board,
    pub(super) choice: Choice,
    reserved: Nanos,
}

/// What a thousand impressions and a click are bid, in nano-dollars.
fn campaign(account: AccountId, thousand: i64, click: i64) -> Result<Campaign> {
    Ok(Campaign {
        account,
        creative: Arc::new(Creative::new("A title", "A text.", "https://example.com")?),
        targets: Targets { categories: vec![Category::Technology], ..Targets::default() },
        bid: Bid { thousand: Nanos::new(thousand), click: Nanos::new(click) },
        budget: Budget { total: FUNDS, daily: FUNDS },
        starts: BEGIN,
        ends: BEGIN + Span::DAY,
        per_visitor_day: PER_VISITOR_DAY_MAX,
        paused: false,
    })
}

/// Has one of two ads chosen, of which the other scores three quarters.
pub(super) fn place(book: &Book) -> Result<Placed> {
    let mut board = Board::new(AdTerms::default());
    let id = CampaignId::from_bits(1);
    board.put(BEGIN, id, campaign(ONE, 2_000_000_000, 50_000_000)?)?;
    board.put(BEGIN, CampaignId::from_bits(2), campaign(OTHER, 1_500_000_000, 37_500_000)?)?;
    let topic = Topic::read("Which laptop should I buy?", "").ok().context("no ad beside it")?;
    let audience = Audience { topic, visitor: VISITOR, country: None };
    // What the other advertiser has is nobody's concern here, as long as it is enough.
    let balance = |account| if account == Account::Advertiser(OTHER) { FUNDS } else { book.balance(account) };
    let choice = board.choose(BEGIN, ImpressionId::from_bits(1), 1, &audience, balance);
    let choice = choice.filter(|choice| choice.campaign == id).context("another ad is chosen")?;
    let reserved = board.campaign(id).context("the campaign")?.1.reserved;
    Ok(Placed { board, choice, reserved })
}

impl Placed {
    /// Notes that it was seen.
    pub(super) fn seen(&mut self, book: &mut Book) -> Result<()> {
        self.board.confirm(seen_at(), self.choice.impression, VISITOR, book)?;
        Ok(())
    }

    fn clicked(&mut self, book: &mut Book) -> Result<()> {
        let at = seen_at() + AdTerms::default().click_after;
        self.board.click(at, self.choice.impression, VISITOR, book)?;
        Ok(())
    }
}

/// The first moment at which it can have been seen.
fn seen_at() -> Moment {
    BEGIN + AdTerms::default().impression_after
}

pub(super) fn example() -> Result<Example> {
    let columns = vec![("advertiser", ADVERTISER), ("free", Account::Free), ("outside", Account::Outside)];
    let (mut book, mut table) = (Book::default(), Table::new("after", columns));
    book.grant(BEGIN, "1", ADVERTISER, FUNDS)?;
    table.row("grant", &book);
    let mut placed = place(&book)?;
    placed.seen(&mut book)?;
    table.row("seen: `impression:imp_…`", &book);
    placed.clicked(&mut book)?;
    table.row("clicked: `click:imp_…`", &book);
    let Prices { impression, click } = placed.choice.prices;
    let lines = [
        format!("Once it is seen: 0.75 × 0.002 = {impression} USD."),
        format!("Once it is clicked: 0.75 × 0.05 = {click} USD."),
        format!(
            "Reserved meanwhile, of its budget and its balance: {} USD. That is no posting.",
            placed.reserved
        ),
    ];
    Ok(Example { heading: "An ad", figures: table.behind(&lines) })
}
