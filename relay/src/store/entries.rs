//! Ledger entries as rows, each chained to the one before.

use anyhow::{Context, Result, ensure};
use rekursing_market::{
    Charged,
    ledger::{Account, Cause, Entry, EntryKind, Quote, Settle, Transfer, correction_id},
};
use rekursing_protocol::{Moment, Nanos, Price};
use sha2::{Digest, Sha256};

use super::{
    Act, Store,
    daily::Daily,
    grant_of, keys, operator_log,
    sql::{Row, Sql, Value},
};

/// The columns that [`read`] takes, in its order.
macro_rules! columns {
    () => {
        "id, at, kind, job, account, counter, amount, note, lease, owner, model, tier_asked, tier, ask_input, \
         ask_output, price_input, price_output, prompt_tokens, answer_tokens, discount, charge, fee, held_back, \
         release_at, api_key, rates"
    };
}
pub(super) use columns;

/// The end of the chain: the last entry's number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Chain {
    pub(super) seq: u64,
    pub(super) hash: [u8; 32],
}

impl Chain {
    /// Reads where the chain ends; zero, and a hash of zeros, when there is no entry.
    pub(super) fn end(sql: &mut Sql) -> Result<Chain> {
        let last = sql.first("SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1", &[], |row| {
            Ok(Chain { seq: row.count(0)?, hash: row.hash(1)? })
        });
        Ok(last.context("could not read the end of the ledger")?.unwrap_or_default())
    }

    /// Returns the chain with one more entry.
    pub(super) fn with(self, entry: &Entry) -> Chain {
        let hash = Sha256::new().chain_update(self.hash).chain_update(entry.canonical()).finalize();
        Chain { seq: self.seq + 1, hash: hash.into() }
    }
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// It is new.
    New,
    /// The same is there already, under this number.
    Exists(u64),
    /// Another one with its id is there, and stays.
    Different,
}

/// The table with every column that an entry fills.
const INTO: &str = concat!("entry (", columns!(), ", seq, hash)");

/// What becomes of an entry whose cause is in the book already: it has had its effect.
const ONCE: &str = "ON CONFLICT (id) DO NOTHING";

/// Appends an entry to the chain and to the sums. Within [`Sql::write`], so that nobody else appends.
pub(super) fn append(sql: &mut Sql, chain: &mut Chain, entry: &Entry) -> Result<Stored> {
    let stored = insert(sql, chain, entry)?;
    if stored == Stored::New {
        Daily::of(std::slice::from_ref(entry), chain.seq).store(sql)?;
    }
    Ok(stored)
}

/// Appends an entry to the chain alone.
fn insert(sql: &mut Sql, chain: &mut Chain, entry: &Entry) -> Result<Stored> {
    let next = chain.with(entry);
    if sql.insert(INTO, ONCE, &[row(next, entry)])? == 1 {
        *chain = next;
        return Ok(Stored::New);
    }
    let known = sql.first(
        concat!("SELECT ", columns!(), ", seq FROM entry WHERE id = ?1"),
        &[entry.id.as_str().into()],
        |row| Ok((read(row)?, row.count(26)?)),
    )?;
    Ok(match known {
        Some((known, seq)) if known.kind == entry.kind => Stored::Exists(seq),
        Some(_) | None => Stored::Different,
    })
}

/// Appends entries to the chain and to the sums, all in one statement, and returns the numbers of the first
/// and the last. `None` when some are there already: then none may stay, because the chain was made for all
/// of them. Within [`Sql::write`].
pub(super) fn append_all(sql: &mut Sql, entries: &[Entry]) -> Result<Option<(u64, u64)>> {
    let mut chain = Chain::end(sql)?;
    let first = chain.seq + 1;
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        chain = chain.with(entry);
        rows.push(row(chain, entry));
    }
    let are_new = sql.insert(INTO, ONCE, &rows)? == rows.len() as u64;
    if are_new {
        Daily::of(entries, first).store(sql)?;
    }
    Ok(are_new.then_some((first, chain.seq)))
}

/// Writes an entry as its [`columns`], number and hash.
pub(super) fn row(chain: Chain, entry: &Entry) -> Vec<Value> {
    let (kind, account, amount) = match &entry.kind {
        EntryKind::Hold { payer, quote, .. } => ("hold", payer, quote.amount()),
        EntryKind::Void { payer, amount, .. } => ("void", payer, *amount),
        EntryKind::Settle(settle) => ("settle", &settle.payer, settle.held),
        EntryKind::Transfer(transfer) => (transfer.cause.name(), &transfer.from, transfer.amount),
    };
    let settle = match &entry.kind {
        EntryKind::Settle(settle) => Some(&**settle),
        EntryKind::Hold { .. } | EntryKind::Void { .. } | EntryKind::Transfer(_) => None,
    };
    let transfer = match &entry.kind {
        EntryKind::Transfer(transfer) => Some(transfer),
        EntryKind::Hold { .. } | EntryKind::Void { .. } | EntryKind::Settle(_) => None,
    };
    let (price, prompt_tokens, answer_tokens) = match &entry.kind {
        EntryKind::Hold { quote, .. } => {
            (Some(quote.price()), Some(quote.prompt_tokens()), Some(quote.answer_tokens()))
        }
        EntryKind::Settle(settle) => {
            (Some(settle.price), Some(settle.prompt_tokens), Some(settle.answer_tokens))
        }
        EntryKind::Void { .. } | EntryKind::Transfer(_) => (None, None, None),
    };
    vec![
        entry.id.as_str().into(),
        entry.at.into(),
        kind.into(),
        entry.job().map(|job| job.to_string()).into(),
        account.to_string().into(),
        transfer.map(|transfer| transfer.to.to_string()).into(),
        amount.into(),
        transfer.map(|transfer| transfer.note.as_str()).into(),
        settle.map(|settle| settle.lease).into(),
        settle.map(|settle| settle.owner.to_string()).into(),
        settle.map(|settle| settle.model.as_str()).into(),
        settle.map(|settle| settle.tier_asked.name()).into(),
        settle.map(|settle| settle.tier.name()).into(),
        settle.map(|settle| settle.ask.input).into(),
        settle.map(|settle| settle.ask.output).into(),
        price.map(|price| price.input).into(),
        price.map(|price| price.output).into(),
        prompt_tokens.into(),
        answer_tokens.into(),
        settle.map(|settle| settle.discount).into(),
        settle.map(|settle| settle.charge).into(),
        settle.map(|settle| settle.fee).into(),
        settle.map(|settle| settle.held_back).into(),
        settle.map(|settle| settle.release_at).into(),
        settle.and_then(|settle| settle.api_key).map(|key| key.to_string()).into(),
        settle.and_then(|settle| settle.rates).map(|rates| rates.to_string()).into(),
        chain.seq.into(),
        chain.hash.as_slice().into(),
    ]
}

/// Reads an entry from its [`columns`].
pub(super) fn read(row: &Row) -> Result<Entry> {
    let price = |at: usize| -> Result<Price> { Ok(Price::new(row.count(at)?, row.count(at + 1)?)) };
    let payer: Account = row.parsed(4)?;
    let amount = row.nanos(6)?;
    let kind = match row.text(2)? {
        "hold" => {
            let quote =
                Quote::new(price(15)?, row.count(17)?, row.count(18)?).context("a hold of too much")?;
            ensure!(quote.amount() == amount, "a hold of {amount} USD is not the cost of its tokens");
            EntryKind::Hold { job: row.parsed(3)?, payer, quote }
        }
        "void" => EntryKind::Void { job: row.parsed(3)?, payer, amount },
        "settle" => EntryKind::Settle(Box::new(Settle {
            job: row.parsed(3)?,
            lease: u32::try_from(row.count(8)?).context("a lease that is too large")?,
            payer,
            owner: row.parsed(9)?,
            api_key: if row.is_null(24)? { None } else { Some(row.parsed(24)?) },
            model: row.text(10)?.to_owned(),
            tier_asked: row.parsed(11)?,
            tier: row.parsed(12)?,
            ask: price(13)?,
            price: price(15)?,
            prompt_tokens: row.count(17)?,
            answer_tokens: row.count(18)?,
            held: amount,
            discount: row.nanos(19)?,
            charge: row.nanos(20)?,
            fee: row.nanos(21)?,
            held_back: row.nanos(22)?,
            release_at: row.moment(23)?,
            rates: if row.is_null(25)? { None } else { Some(row.parsed(25)?) },
        })),
        cause => EntryKind::Transfer(Transfer {
            cause: cause.parse::<Cause>().with_context(|| format!("an entry of kind {cause:?}"))?,
            from: payer,
            to: row.parsed(5)?,
            amount,
            note: row.text(7)?.to_owned(),
        }),
    };
    Ok(Entry { id: row.text(0)?.to_owned(), at: row.moment(1)?, kind })
}

/// An entry that may be taken back.
#[derive(Debug)]
pub struct Correctable {
    /// The entry.
    pub entry: Entry,
    /// Whether it was taken back before.
    pub before: bool,
    /// Who paid, where it is a charge and a key did.
    pub charged: Option<Charged>,
}

impl Store {
    /// Reads an entry that is to be taken back.
    pub async fn correctable(&self, id: String) -> Result<Option<Correctable>> {
        self.read(move |sql| {
            let Some(entry) = by_id(sql, &id)? else { return Ok(None) };
            let before = "SELECT COUNT(*) FROM entry WHERE id = ?1";
            let before = sql.number(before, &[correction_id(&id, 0).into()])? > 0;
            let charged = charged(sql, &entry)?;
            Ok(Some(Correctable { entry, before, charged }))
        })
        .await
    }
}

/// Tells whether the ledger has an entry.
pub(super) fn is_known(sql: &mut Sql, id: &str) -> Result<bool> {
    Ok(sql.number("SELECT COUNT(*) FROM entry WHERE id = ?1", &[id.into()])? > 0)
}

/// Reads an entry.
pub(super) fn by_id(sql: &mut Sql, id: &str) -> Result<Option<Entry>> {
    sql.first(concat!("SELECT ", columns!(), " FROM entry WHERE id = ?1"), &[id.into()], read)
}

/// Reads who paid a charge, where a key did.
fn charged(sql: &mut Sql, entry: &Entry) -> Result<Option<Charged>> {
    let EntryKind::Settle(settle) = &entry.kind else { return Ok(None) };
    let Some(key) = settle.api_key else { return Ok(None) };
    Ok(keys::spender(sql, key)?.map(|spender| Charged { at: entry.at, payer: settle.payer, spender }))
}

/// Reads the transfers from outside behind entry `seen`, up to `last`, with their numbers.
pub(super) fn transfers_between(sql: &mut Sql, seen: u64, last: u64) -> Result<Vec<(u64, Entry)>> {
    sql.list(
        concat!(
            "SELECT ",
            columns!(),
            ", seq FROM entry WHERE seq > ?1 AND seq <= ?2 AND account = 'outside' ORDER BY seq"
        ),
        &[seen.into(), last.into()],
        |row| Ok((row.count(26)?, read(row)?)),
    )
}

/// Grants free answers what `budget` is above all that was granted before. Returns what was added.
pub(super) fn fund_free(sql: &mut Sql, now: Moment, budget: Nanos) -> Result<Nanos> {
    let granted = sql.number(
        "SELECT CAST(SUM(amount) AS BIGINT) FROM entry WHERE kind = 'grant' AND counter = 'free'",
        &[],
    )?;
    let missing = budget.checked_sub(Nanos::new(granted)).unwrap_or_default();
    if missing <= Nanos::ZERO {
        return Ok(Nanos::ZERO);
    }
    let id = format!("grant:free:{}", budget.get());
    let kind = grant_of(Account::Free, missing, String::new());
    let mut chain = Chain::end(sql)?;
    append(sql, &mut chain, &Entry { id, at: now, kind })?;
    operator_log::insert(sql, now, &Act::grant("config", Account::Free, missing, "free.budget was raised"))?;
    Ok(missing)
}
