//! The tables, written once for both databases.

use anyhow::{Context, Result, ensure};

use super::sql::Sql;

/// One batch per version, in SQLite's words; [`translated`] makes them PostgreSQL's.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE entry (
    seq           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    at            INTEGER NOT NULL,
    kind          TEXT NOT NULL,
    job           TEXT,
    -- Who pays for a job, or what a transfer leaves.
    account       TEXT NOT NULL,
    -- What a transfer reaches.
    counter       TEXT,
    amount        INTEGER NOT NULL CHECK (amount >= 0),
    note          TEXT,
    lease         INTEGER,
    owner         TEXT,
    model         TEXT,
    tier_asked    TEXT,
    tier          TEXT,
    ask_input     INTEGER,
    ask_output    INTEGER,
    price_input   INTEGER,
    price_output  INTEGER,
    prompt_tokens INTEGER,
    answer_tokens INTEGER,
    discount      INTEGER CHECK (discount >= 0),
    charge        INTEGER CHECK (charge BETWEEN 0 AND amount),
    fee           INTEGER CHECK (fee BETWEEN 0 AND charge),
    held_back     INTEGER CHECK (held_back BETWEEN 0 AND charge - fee),
    release_at    INTEGER,
    -- SHA-256 of the entry before and of this one.
    hash          BLOB NOT NULL
) STRICT;
CREATE INDEX entry_owner ON entry (owner, seq) WHERE owner IS NOT NULL;
CREATE INDEX entry_account ON entry (account, seq) WHERE kind NOT IN ('hold', 'void');
CREATE INDEX entry_counter ON entry (counter, seq) WHERE counter IS NOT NULL;

-- The double-entry legs of each entry.
CREATE VIEW posting (seq, id, at, kind, job, debit, credit, amount) AS
    SELECT seq, id, at, kind, job, account, counter, amount FROM entry WHERE counter IS NOT NULL
    UNION ALL SELECT seq, id, at, kind, job, account, 'escrow', amount FROM entry WHERE kind = 'hold'
    UNION ALL SELECT seq, id, at, kind, job, 'escrow', account, amount FROM entry WHERE kind = 'void'
    UNION ALL SELECT seq, id, at, kind, job, 'escrow', 'owner:' || owner, charge - fee - held_back
        FROM entry WHERE kind = 'settle'
    UNION ALL SELECT seq, id, at, kind, job, 'escrow', 'held:' || owner, held_back
        FROM entry WHERE kind = 'settle'
    UNION ALL SELECT seq, id, at, kind, job, 'escrow', 'platform', fee FROM entry WHERE kind = 'settle'
    UNION ALL SELECT seq, id, at, kind, job, 'escrow', account, amount - charge
        FROM entry WHERE kind = 'settle';

-- Sums per owner, UTC day and model, kept beside the entries so that earnings are quick to read.
CREATE TABLE earned (
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

-- The same per paying account.
CREATE TABLE spent (
    account       TEXT NOT NULL,
    day           INTEGER NOT NULL,
    model         TEXT NOT NULL,
    jobs          INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL,
    charge        INTEGER NOT NULL,
    fee           INTEGER NOT NULL,
    PRIMARY KEY (account, day, model)
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
",
    "
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
",
    "
-- Which key paid, by its first characters.
ALTER TABLE entry ADD COLUMN api_key TEXT;

-- A key's limits, and the key that it was made with. Models are a list in JSON.
ALTER TABLE api_key ADD COLUMN maker TEXT;
ALTER TABLE api_key ADD COLUMN budget_day INTEGER;
ALTER TABLE api_key ADD COLUMN budget_total INTEGER;
ALTER TABLE api_key ADD COLUMN models TEXT;
ALTER TABLE api_key ADD COLUMN price_input INTEGER;
ALTER TABLE api_key ADD COLUMN price_output INTEGER;
ALTER TABLE api_key ADD COLUMN expires INTEGER;
CREATE UNIQUE INDEX api_key_prefix ON api_key (prefix);
CREATE INDEX api_key_account ON api_key (account, created);
CREATE INDEX api_key_maker ON api_key (maker) WHERE maker IS NOT NULL;

-- Sums like those of what is spent, per key.
CREATE TABLE used (
    api_key       TEXT NOT NULL,
    day           INTEGER NOT NULL,
    model         TEXT NOT NULL,
    jobs          INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL,
    charge        INTEGER NOT NULL,
    fee           INTEGER NOT NULL,
    PRIMARY KEY (api_key, day, model)
) STRICT, WITHOUT ROWID;
",
    "
-- Calls with an Idempotency-Key, by the hash of caller, route and key.
CREATE TABLE asked (
    id   BLOB PRIMARY KEY,
    -- SHA-256 of the body.
    body BLOB NOT NULL,
    -- What the call was to make: a job, a key, an entry.
    made TEXT NOT NULL,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX asked_at ON asked (at);
",
    "
-- What the operator did, in order.
CREATE TABLE operator_log (
    seq    INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL,
    who    TEXT NOT NULL,
    what   TEXT NOT NULL,
    about  TEXT NOT NULL,
    amount INTEGER,
    note   TEXT NOT NULL
) STRICT;
",
    "
-- Pages to pay on that were opened, by the payment service's name for them.
CREATE TABLE top_up (
    session TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    amount  INTEGER NOT NULL,
    -- What of it the payment costs, as it was shown.
    cost    INTEGER NOT NULL,
    -- The payment service's name for the payment, once somebody paid.
    payment TEXT,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX top_up_payment ON top_up (payment) WHERE payment IS NOT NULL;
",
];

/// What keeps entries as they are, in SQLite's words.
const KEPT_SQLITE: &str = "
CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry
    BEGIN SELECT RAISE(ABORT, 'a ledger entry is never changed'); END;
CREATE TRIGGER entry_is_never_removed BEFORE DELETE ON entry
    BEGIN SELECT RAISE(ABORT, 'a ledger entry is never removed'); END;
";

/// The same in PostgreSQL's, with the number by which relay and tools tell each other of changes.
const KEPT_POSTGRES: &str = "
CREATE FUNCTION entry_is_kept() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'a ledger entry is neither changed nor removed'; END $$;
CREATE TRIGGER entry_is_never_changed BEFORE UPDATE OR DELETE ON entry
    FOR EACH ROW EXECUTE FUNCTION entry_is_kept();
CREATE TRIGGER entry_is_never_emptied BEFORE TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION entry_is_kept();
CREATE TABLE revision (n BIGINT NOT NULL);
INSERT INTO revision VALUES (0);
";

/// Brings the tables to this program's version.
pub(super) fn migrate(sql: &mut Sql) -> Result<()> {
    if sql.is_sqlite() {
        let older = sql.number("PRAGMA user_version", &[])?;
        ensure!(older == 0, "the database was made before the ledger had its chain; start with a new one");
    }
    let version = "SELECT MAX(n) FROM version";
    // A database that is up to date is not written to, which it may not allow.
    if sql.number(version, &[]).is_ok_and(|known| usize::try_from(known) == Ok(MIGRATIONS.len())) {
        return Ok(());
    }
    sql.batch("CREATE TABLE IF NOT EXISTS version (n INTEGER NOT NULL)")?;
    sql.write(|sql| {
        let known = sql.number(version, &[]).context("could not read the version")?;
        let known = usize::try_from(known).context("a version below zero")?;
        ensure!(known <= MIGRATIONS.len(), "the database was made by a newer relay; update this one");
        for (step, batch) in (1_u64..).zip(MIGRATIONS).skip(known) {
            let made = if sql.is_sqlite() { sql.batch(batch) } else { sql.batch(&translated(batch)) };
            made.with_context(|| format!("could not bring the database to version {step}"))?;
            if step == 1 {
                sql.batch(if sql.is_sqlite() { KEPT_SQLITE } else { KEPT_POSTGRES })?;
            }
            sql.execute("INSERT INTO version VALUES (?1)", &[step.into()])?;
        }
        Ok(())
    })
}

/// Writes SQLite's words as PostgreSQL's.
fn translated(batch: &str) -> String {
    batch
        .replace(" STRICT, WITHOUT ROWID", "")
        .replace(" STRICT", "")
        .replace(" INTEGER", " BIGINT")
        .replace(" BLOB", " BYTEA")
}
