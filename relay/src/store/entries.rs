//! Ledger entries as rows, each chained to the one before.

use anyhow::{Context, Result, bail, ensure};
use rekursing_market::ledger::{Account, Cause, Entry, EntryKind, Quote, Settle, Transfer, correction_id};
use rekursing_protocol::{JobId, KeyId, Moment, Nanos, PluginId, Price};
use sha2::{Digest, Sha256};

use super::{
    Store, grant_of,
    sql::{Row, Sql, Value},
};

/// The columns that [`read`] takes, in its order.
macro_rules! columns {
    () => {
        "id, at, kind, job, account, counter, amount, note, lease, owner, model, tier_asked, tier, ask_input, \
         ask_output, price_input, price_output, prompt_tokens, answer_tokens, discount, charge, fee, held_back, \
         release_at, api_key"
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
    /// The same is there already.
    Exists,
    /// Another one with its id is there, and stays.
    Different,
}

/// Appends an entry to the chain. Within [`Sql::write`], so that nobody else appends.
pub(super) fn append(sql: &mut Sql, chain: &mut Chain, entry: &Entry) -> Result<Stored> {
    let next = chain.with(entry);
    let changed = match &entry.kind {
        EntryKind::Settle(settle) => insert_settle(sql, next, entry, settle)?,
        EntryKind::Hold { .. } | EntryKind::Void { .. } | EntryKind::Transfer(_) => {
            insert_other(sql, next, entry)?
        }
    };
    if changed == 1 {
        *chain = next;
        return Ok(Stored::New);
    }
    let known = sql.first(
        concat!("SELECT ", columns!(), " FROM entry WHERE id = ?1"),
        &[entry.id.as_str().into()],
        read,
    )?;
    Ok(if known.is_some_and(|known| known.kind == entry.kind) { Stored::Exists } else { Stored::Different })
}

fn insert_settle(sql: &mut Sql, chain: Chain, entry: &Entry, settle: &Settle) -> Result<u64> {
    sql.execute(
        "INSERT INTO entry (seq, id, at, kind, job, account, amount, lease, owner, model, tier_asked, tier,
             ask_input, ask_output, price_input, price_output, prompt_tokens, answer_tokens, discount,
             charge, fee, held_back, release_at, api_key, hash)
         VALUES (?1, ?2, ?3, 'settle', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
             ?19, ?20, ?21, ?22, ?23, ?24)
         ON CONFLICT (id) DO NOTHING",
        &[
            chain.seq.into(),
            entry.id.as_str().into(),
            entry.at.into(),
            settle.job.to_string().into(),
            settle.payer.to_string().into(),
            settle.held.into(),
            settle.lease.into(),
            settle.owner.to_string().into(),
            settle.model.as_str().into(),
            settle.tier_asked.name().into(),
            settle.tier.name().into(),
            settle.ask.input.into(),
            settle.ask.output.into(),
            settle.price.input.into(),
            settle.price.output.into(),
            settle.prompt_tokens.into(),
            settle.answer_tokens.into(),
            settle.discount.into(),
            settle.charge.into(),
            settle.fee.into(),
            settle.held_back.into(),
            settle.release_at.into(),
            settle.api_key.map(|key| key.to_string()).into(),
            chain.hash.as_slice().into(),
        ],
    )
}

fn insert_other(sql: &mut Sql, chain: Chain, entry: &Entry) -> Result<u64> {
    let (kind, account, amount) = match &entry.kind {
        EntryKind::Hold { payer, quote, .. } => ("hold", payer, quote.amount()),
        EntryKind::Void { payer, amount, .. } => ("void", payer, *amount),
        EntryKind::Transfer(transfer) => (transfer.cause.name(), &transfer.from, transfer.amount),
        EntryKind::Settle(_) => bail!("a settlement has a statement of its own"),
    };
    let (counter, note) = match &entry.kind {
        EntryKind::Transfer(transfer) => (Some(transfer.to.to_string()), Some(transfer.note.as_str())),
        EntryKind::Hold { .. } | EntryKind::Void { .. } | EntryKind::Settle(_) => (None, None),
    };
    let quote = match &entry.kind {
        EntryKind::Hold { quote, .. } => Some(*quote),
        EntryKind::Transfer(_) | EntryKind::Void { .. } | EntryKind::Settle(_) => None,
    };
    sql.execute(
        "INSERT INTO entry (seq, id, at, kind, job, account, counter, amount, note, price_input, price_output,
             prompt_tokens, answer_tokens, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT (id) DO NOTHING",
        &[
            chain.seq.into(),
            entry.id.as_str().into(),
            entry.at.into(),
            kind.into(),
            entry.job().map(|job| job.to_string()).into(),
            account.to_string().into(),
            counter.into(),
            amount.into(),
            note.into(),
            quote.map(|quote| quote.price().input).into(),
            quote.map(|quote| quote.price().output).into(),
            quote.map(Quote::prompt_tokens).into(),
            quote.map(Quote::answer_tokens).into(),
            chain.hash.as_slice().into(),
        ],
    )
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

impl Store {
    /// Reads an entry, and whether it was taken back before.
    pub async fn correctable(&self, id: String) -> Result<(Option<Entry>, bool)> {
        self.read(move |sql| {
            let by_id = concat!("SELECT ", columns!(), " FROM entry WHERE id = ?1");
            let entry = sql.first(by_id, &[id.as_str().into()], read)?;
            let before = "SELECT COUNT(*) FROM entry WHERE id = ?1";
            let before = sql.number(before, &[correction_id(&id, 0).into()])?;
            Ok((entry, before > 0))
        })
        .await
    }
}

/// Sums every account's postings.
pub(super) fn balances(sql: &mut Sql) -> Result<Vec<(Account, Nanos)>> {
    sql.list(
        "SELECT account, CAST(SUM(amount) AS BIGINT) FROM
             (SELECT credit AS account, amount FROM posting UNION ALL SELECT debit, -amount FROM posting) AS leg
         GROUP BY account",
        &[],
        |row| Ok((row.parsed(0)?, row.nanos(1)?)),
    )
}

/// Reads the holds that no entry has resolved.
pub(super) fn open_holds(sql: &mut Sql) -> Result<Vec<(JobId, Account, Nanos)>> {
    sql.list(
        "SELECT job, account, amount FROM entry AS hold WHERE kind = 'hold'
             AND NOT EXISTS (SELECT 1 FROM entry WHERE id = 'settle:' || hold.job)
             AND NOT EXISTS (SELECT 1 FROM entry WHERE id = 'void:' || hold.job)
         ORDER BY seq",
        &[],
        |row| Ok((row.parsed(0)?, row.parsed(1)?, row.nanos(2)?)),
    )
}

/// Reads the transfers from outside that other processes have stored behind entry `seen`, up to `last`.
pub(super) fn transfers_between(sql: &mut Sql, seen: u64, last: u64) -> Result<Vec<Entry>> {
    sql.list(
        concat!(
            "SELECT ",
            columns!(),
            " FROM entry WHERE seq > ?1 AND seq <= ?2 AND account = 'outside' ORDER BY seq"
        ),
        &[seen.into(), last.into()],
        read,
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
    Ok(missing)
}

/// Sums of one transaction, by account, day and model.
#[derive(Debug, Default)]
pub(super) struct Sums {
    jobs: u64,
    prompt_tokens: u64,
    answer_tokens: u64,
    charge: i64,
    fee: i64,
}

impl Sums {
    /// Adds a settled job.
    pub(super) fn add(&mut self, settle: &Settle) {
        self.jobs += 1;
        self.prompt_tokens += settle.prompt_tokens;
        self.answer_tokens += settle.answer_tokens;
        self.charge += settle.charge.get();
        self.fee += settle.fee.get();
    }

    fn values(&self, whose: String, day: u64, model: &str) -> [Value; 8] {
        [
            whose.into(),
            day.into(),
            model.into(),
            self.jobs.into(),
            self.prompt_tokens.into(),
            self.answer_tokens.into(),
            self.charge.into(),
            self.fee.into(),
        ]
    }

    /// Adds to what an owner has earned on a day.
    pub(super) fn add_to_earned(&self, sql: &mut Sql, owner: PluginId, day: u64, model: &str) -> Result<()> {
        sql.execute(
            "INSERT INTO earned VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (owner, day, model) DO UPDATE SET
                 jobs = earned.jobs + excluded.jobs,
                 prompt_tokens = earned.prompt_tokens + excluded.prompt_tokens,
                 answer_tokens = earned.answer_tokens + excluded.answer_tokens,
                 charge = earned.charge + excluded.charge,
                 fee = earned.fee + excluded.fee",
            &self.values(owner.to_string(), day, model),
        )?;
        Ok(())
    }

    /// Adds to what an account has spent on a day.
    pub(super) fn add_to_spent(&self, sql: &mut Sql, payer: Account, day: u64, model: &str) -> Result<()> {
        sql.execute(
            "INSERT INTO spent VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (account, day, model) DO UPDATE SET
                 jobs = spent.jobs + excluded.jobs,
                 prompt_tokens = spent.prompt_tokens + excluded.prompt_tokens,
                 answer_tokens = spent.answer_tokens + excluded.answer_tokens,
                 charge = spent.charge + excluded.charge,
                 fee = spent.fee + excluded.fee",
            &self.values(payer.to_string(), day, model),
        )?;
        Ok(())
    }

    /// Adds to what a key has spent on a day.
    pub(super) fn add_to_used(&self, sql: &mut Sql, key: KeyId, day: u64, model: &str) -> Result<()> {
        sql.execute(
            "INSERT INTO used VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (api_key, day, model) DO UPDATE SET
                 jobs = used.jobs + excluded.jobs,
                 prompt_tokens = used.prompt_tokens + excluded.prompt_tokens,
                 answer_tokens = used.answer_tokens + excluded.answer_tokens,
                 charge = used.charge + excluded.charge,
                 fee = used.fee + excluded.fee",
            &self.values(key.to_string(), day, model),
        )?;
        Ok(())
    }
}
