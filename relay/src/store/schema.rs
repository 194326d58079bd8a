//! The tables.

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;

/// One batch per version; a database knows by `user_version` which it has.
const MIGRATIONS: &[&str] = &["
CREATE TABLE entry (
    seq           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    at            INTEGER NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('grant', 'hold', 'settle', 'void')),
    job           TEXT,
    account       TEXT NOT NULL,
    amount        INTEGER NOT NULL CHECK (amount >= 0),
    owner         TEXT,
    charge        INTEGER CHECK (charge BETWEEN 0 AND amount),
    fee           INTEGER CHECK (fee BETWEEN 0 AND charge),
    lease         INTEGER,
    model         TEXT,
    tier          TEXT,
    price_input   INTEGER,
    price_output  INTEGER,
    prompt_tokens INTEGER,
    answer_tokens INTEGER
) STRICT;
CREATE INDEX entry_owner ON entry (owner, seq) WHERE owner IS NOT NULL;
CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry
    BEGIN SELECT RAISE(ABORT, 'a ledger entry is never changed'); END;
CREATE TRIGGER entry_is_never_removed BEFORE DELETE ON entry
    BEGIN SELECT RAISE(ABORT, 'a ledger entry is never removed'); END;

-- The double-entry legs of each entry.
CREATE VIEW posting (seq, id, at, job, debit, credit, amount) AS
    SELECT seq, id, at, job, 'outside', account, amount FROM entry WHERE kind = 'grant'
    UNION ALL SELECT seq, id, at, job, account, 'escrow', amount FROM entry WHERE kind = 'hold'
    UNION ALL SELECT seq, id, at, job, 'escrow', account, amount FROM entry WHERE kind = 'void'
    UNION ALL SELECT seq, id, at, job, 'escrow', 'owner:' || owner, charge - fee FROM entry WHERE kind = 'settle'
    UNION ALL SELECT seq, id, at, job, 'escrow', 'platform', fee FROM entry WHERE kind = 'settle'
    UNION ALL SELECT seq, id, at, job, 'escrow', account, amount - charge FROM entry WHERE kind = 'settle';

-- Sums per owner, UTC day and model, kept beside the entries so that earnings are quick to read.
CREATE TABLE daily (
    owner         TEXT NOT NULL,
    day           INTEGER NOT NULL,
    model         TEXT NOT NULL,
    jobs          INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL,
    charge        INTEGER NOT NULL,
    fee           INTEGER NOT NULL,
    PRIMARY KEY (owner, day, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin (
    id          TEXT PRIMARY KEY,
    secret_hash BLOB NOT NULL,
    name        TEXT NOT NULL,
    gpu         TEXT NOT NULL,
    created     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    hash    BLOB PRIMARY KEY,
    prefix  TEXT NOT NULL,
    name    TEXT NOT NULL,
    account TEXT NOT NULL,
    created INTEGER NOT NULL,
    revoked INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE upstream (
    plugin  TEXT PRIMARY KEY,
    body    TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
", "
-- Jobs at which the server's count of tokens is far from the relay's; the latest of them.
CREATE TABLE discrepancy (
    seq            INTEGER PRIMARY KEY,
    at             INTEGER NOT NULL,
    job            TEXT NOT NULL,
    plugin         TEXT NOT NULL,
    model          TEXT NOT NULL,
    counted_prompt INTEGER NOT NULL,
    counted_answer INTEGER NOT NULL,
    claimed_prompt INTEGER,
    claimed_answer INTEGER
) STRICT;
"];

/// Sets what every connection needs: a write-ahead log that is synced at each commit.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Brings the tables to this program's version.
pub(super) fn migrate(connection: &Connection) -> Result<()> {
    let version: u32 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .context("could not read the database's version")?;
    let version = version as usize;
    ensure!(version <= MIGRATIONS.len(), "the database was made by a newer relay; update this one");
    for (index, batch) in MIGRATIONS.iter().enumerate().skip(version) {
        let step = index + 1;
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {batch} PRAGMA user_version = {step}; COMMIT;"))
            .with_context(|| format!("could not bring the database to version {step}"))?;
    }
    Ok(())
}
