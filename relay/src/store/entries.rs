//! Ledger entries as rows.

use rekursing_market::ledger::{Account, Entry, EntryKind};
use rekursing_protocol::{JobId, Moment, Nanos, PluginId};
use rusqlite::{Connection, OptionalExtension, Row, params, types::Type};

use super::writer::Sums;

/// Stores an entry. Returns `false` when one with its id exists.
pub(super) fn insert(connection: &Connection, entry: &Entry) -> rusqlite::Result<bool> {
    let at = int(entry.at.0);
    let changed = match &entry.kind {
        EntryKind::Grant { to, amount } => plain(connection, entry, "grant", None, *to, *amount)?,
        EntryKind::Hold { job, payer, amount } => {
            plain(connection, entry, "hold", Some(*job), *payer, *amount)?
        }
        EntryKind::Void { job, payer, amount } => {
            plain(connection, entry, "void", Some(*job), *payer, *amount)?
        }
        EntryKind::Settle {
            job,
            lease,
            payer,
            owner,
            model,
            tier,
            price,
            prompt_tokens,
            answer_tokens,
            held,
            charge,
            fee,
        } => connection
            .prepare_cached(
                "INSERT INTO entry (id, at, kind, job, account, amount, owner, charge, fee, lease, model, tier,
                     price_input, price_output, prompt_tokens, answer_tokens)
                 VALUES (?, ?, 'settle', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            )?
            .execute(params![
                entry.id,
                at,
                job.to_string(),
                payer.to_string(),
                held.get(),
                owner.to_string(),
                charge.get(),
                fee.get(),
                lease,
                &**model,
                tier.name(),
                int(price.input),
                int(price.output),
                int(*prompt_tokens),
                int(*answer_tokens),
            ])?,
    };
    Ok(changed == 1)
}

fn plain(
    connection: &Connection,
    entry: &Entry,
    kind: &str,
    job: Option<JobId>,
    account: Account,
    amount: Nanos,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO entry (id, at, kind, job, account, amount) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            entry.id,
            int(entry.at.0),
            kind,
            job.map(|job| job.to_string()),
            account.to_string(),
            amount.get()
        ])
}

/// Adds to an owner's sums of a day.
pub(super) fn add_to_day(
    connection: &Connection,
    owner: PluginId,
    day: u64,
    model: &str,
    sums: &Sums,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO daily VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
                 jobs = jobs + excluded.jobs,
                 prompt_tokens = prompt_tokens + excluded.prompt_tokens,
                 answer_tokens = answer_tokens + excluded.answer_tokens,
                 charge = charge + excluded.charge,
                 fee = fee + excluded.fee",
        )?
        .execute(params![
            owner.to_string(),
            int(day),
            model,
            int(sums.jobs),
            int(sums.prompt_tokens),
            int(sums.answer_tokens),
            sums.charge,
            sums.fee
        ])?;
    Ok(())
}

/// Sums every account's postings.
pub(super) fn balances(connection: &Connection) -> rusqlite::Result<Vec<(Account, Nanos)>> {
    let mut statement = connection.prepare(
        "SELECT account, SUM(amount) FROM
             (SELECT credit AS account, amount FROM posting UNION ALL SELECT debit, -amount FROM posting)
         GROUP BY account",
    )?;
    let rows = statement.query_map([], |row| Ok((parsed(row, 0)?, Nanos::new(row.get(1)?))))?;
    rows.collect()
}

/// Reads the holds that no entry has resolved.
pub(super) fn open_holds(connection: &Connection) -> rusqlite::Result<Vec<(JobId, Account, Nanos)>> {
    let mut statement = connection.prepare(
        "SELECT job, account, amount FROM entry AS hold WHERE kind = 'hold'
             AND NOT EXISTS (SELECT 1 FROM entry WHERE id = 'settle:' || hold.job)
             AND NOT EXISTS (SELECT 1 FROM entry WHERE id = 'void:' || hold.job)
         ORDER BY seq",
    )?;
    let rows =
        statement.query_map([], |row| Ok((parsed(row, 0)?, parsed(row, 1)?, Nanos::new(row.get(2)?))))?;
    rows.collect()
}

/// Returns the number of the last entry, 0 when there is none.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT COALESCE(MAX(seq), 0) FROM entry", [], |row| row.get(0))
}

/// Reads the grants behind entry `seen`, and the number of the last entry.
pub(super) fn grants_after(connection: &Connection, seen: i64) -> rusqlite::Result<(Vec<Entry>, i64)> {
    let last = last(connection)?;
    let mut statement = connection.prepare_cached(
        "SELECT id, at, account, amount FROM entry WHERE seq > ? AND seq <= ? AND kind = 'grant' ORDER BY seq",
    )?;
    let rows = statement.query_map([seen, last], |row| {
        let at: i64 = row.get(1)?;
        let (to, amount) = (parsed::<Account>(row, 2)?, Nanos::new(row.get(3)?));
        Ok(Entry { id: row.get(0)?, at: Moment(at.unsigned_abs()), kind: EntryKind::Grant { to, amount } })
    })?;
    Ok((rows.collect::<rusqlite::Result<_>>()?, last))
}

/// Grants free answers what `budget` is above all that was granted before. Returns what was added.
pub(super) fn fund_free(connection: &Connection, now: Moment, budget: Nanos) -> rusqlite::Result<Nanos> {
    let granted: i64 = connection
        .query_row("SELECT SUM(amount) FROM entry WHERE kind = 'grant' AND account = 'free'", [], |row| {
            row.get(0)
        })
        .optional()
        .map(|sum: Option<Option<i64>>| sum.flatten().unwrap_or(0))?;
    let missing = budget.checked_sub(Nanos::new(granted)).unwrap_or_default();
    if missing <= Nanos::ZERO {
        return Ok(Nanos::ZERO);
    }
    let grant = Entry {
        id: format!("grant:free:{}", budget.get()),
        at: now,
        kind: EntryKind::Grant { to: Account::Free, amount: missing },
    };
    insert(connection, &grant)?;
    Ok(missing)
}

/// Reads a column of text that prints a value.
pub(super) fn parsed<T>(row: &Row<'_>, index: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text: String = row.get(index)?;
    text.parse().map_err(|error: T::Err| bad(index, error.to_string()))
}

fn bad(index: usize, why: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, why.into())
}

/// SQLite's integers are signed; times, counts and prices never come near their end.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
