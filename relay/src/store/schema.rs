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
-- Sums of the postings per account, UTC day and kind of entry; under a class of accounts (page,
-- advertiser, owner, held), of all of its accounts together.
CREATE TABLE posted (
    account  TEXT NOT NULL,
    day      INTEGER NOT NULL,
    kind     TEXT NOT NULL,
    postings INTEGER NOT NULL,
    credit   INTEGER NOT NULL,
    debit    INTEGER NOT NULL,
    PRIMARY KEY (account, day, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO posted
    SELECT account, day, kind, COUNT(*), SUM(credit), SUM(debit) FROM (
        SELECT credit AS account, at / 86400000 AS day, kind, amount AS credit, 0 AS debit
            FROM posting WHERE amount > 0
        UNION ALL SELECT debit, at / 86400000, kind, 0, amount FROM posting WHERE amount > 0) AS leg
    GROUP BY account, day, kind;
INSERT INTO posted
    SELECT class, day, kind, SUM(postings), SUM(credit), SUM(debit) FROM (
        SELECT CASE WHEN account LIKE 'page:%' THEN 'page'
                    WHEN account LIKE 'advertiser:%' THEN 'advertiser'
                    WHEN account LIKE 'owner:%' THEN 'owner'
                    WHEN account LIKE 'held:%' THEN 'held' END AS class, day, kind, postings, credit, debit
        FROM posted) AS one
    WHERE class IS NOT NULL GROUP BY class, day, kind;

-- What is held back per owner and UTC day on which it is due.
CREATE TABLE withheld (
    owner      TEXT NOT NULL,
    day        INTEGER NOT NULL,
    amount     INTEGER NOT NULL,
    -- When the last of it is due.
    release_at INTEGER NOT NULL,
    PRIMARY KEY (owner, day)
) STRICT, WITHOUT ROWID;
INSERT INTO withheld SELECT owner, release_at / 86400000, SUM(held_back), MAX(release_at)
    FROM entry WHERE kind = 'settle' AND held_back > 0 GROUP BY owner, release_at / 86400000;

-- Sums per UTC day and model over all owners, free answers apart.
CREATE TABLE sold (
    day           INTEGER NOT NULL,
    model         TEXT NOT NULL,
    free          INTEGER NOT NULL,
    jobs          INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL,
    charge        INTEGER NOT NULL,
    fee           INTEGER NOT NULL,
    PRIMARY KEY (day, model, free)
) STRICT, WITHOUT ROWID;
INSERT INTO sold
    SELECT day, model, CASE WHEN account = 'free' THEN 1 ELSE 0 END AS free, SUM(jobs),
        SUM(prompt_tokens), SUM(answer_tokens), SUM(charge), SUM(fee)
    FROM spent GROUP BY day, model, CASE WHEN account = 'free' THEN 1 ELSE 0 END;

-- Where the settlements of each UTC hour are in the ledger.
CREATE TABLE served (
    hour      INTEGER PRIMARY KEY,
    jobs      INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL
) STRICT;
INSERT INTO served SELECT at / 3600000, COUNT(*), MIN(seq), MAX(seq)
    FROM entry WHERE kind = 'settle' GROUP BY at / 3600000;

-- The keys that sign receipts; the last one signs.
CREATE TABLE receipt_key (
    id      TEXT PRIMARY KEY,
    seed    BLOB NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
-- An advertiser's ad with its terms, as JSON. What it has spent is in the entries, under its id as the note.
CREATE TABLE campaign (
    id      TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    body    TEXT NOT NULL,
    changed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_ad ON entry (note, at) WHERE kind IN ('impression', 'click');

-- What no entry tells: how often an ad was sent, and what was seen and clicked at no price; and, where
-- the campaign is empty, how many answers could have had an ad.
CREATE TABLE ad_day (
    campaign    TEXT NOT NULL,
    day         INTEGER NOT NULL,
    asked       INTEGER NOT NULL,
    sent        INTEGER NOT NULL,
    impressions INTEGER NOT NULL,
    clicks      INTEGER NOT NULL,
    PRIMARY KEY (campaign, day)
) STRICT, WITHOUT ROWID;

-- Keys that the relay has made for itself.
CREATE TABLE relay_key (
    name  TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
-- How each owner wants to be paid. One that was removed is remembered, so that another in its place is
-- known for a change.
CREATE TABLE payout_method (
    owner       TEXT PRIMARY KEY,
    method      TEXT NOT NULL,
    destination TEXT NOT NULL,
    threshold   INTEGER NOT NULL,
    schedule    TEXT NOT NULL,
    -- When automatic payouts may go there.
    held_until  INTEGER NOT NULL,
    -- When the next automatic payout is due.
    due         INTEGER,
    removed     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX payout_method_due ON payout_method (due) WHERE due IS NOT NULL;

-- What the ledger does not know of a payout. Where it stands, the ledger knows alone.
CREATE TABLE payout (
    id          TEXT PRIMARY KEY,
    owner       TEXT NOT NULL,
    method      TEXT NOT NULL,
    destination TEXT NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount > 0),
    cost        INTEGER NOT NULL CHECK (cost BETWEEN 0 AND amount),
    automatic   INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    -- When it was free to go; nothing while the operator has to say so.
    approved    INTEGER,
    -- Everything that is sent, to the byte.
    prepared    BLOB,
    -- Whether those bytes may have been sent: 'no', 'perhaps', or 'yes' with the rail's name for it.
    submitted   TEXT NOT NULL,
    name        TEXT,
    -- How it ended, with what the rail took; decided before it is posted.
    outcome     TEXT,
    rail_cost   INTEGER NOT NULL,
    reference   TEXT,
    reason      TEXT,
    -- Attempts in a row that came to nothing, and when the next one is due.
    tries       INTEGER NOT NULL,
    due         INTEGER NOT NULL,
    -- When there was nothing left to do.
    closed      INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX payout_open ON payout (method, due) WHERE closed IS NULL;
CREATE INDEX payout_owner ON payout (owner, created);
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
    "
-- What premium accounts pay at most for their next period. Until when they have paid is in the entries.
CREATE TABLE renewal (
    account    TEXT PRIMARY KEY,
    renews_for INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_premium ON entry (account) WHERE kind = 'premium';
",
    "
-- The ad that was sent with an answer.
CREATE TABLE job_ad (
    job        TEXT PRIMARY KEY,
    impression TEXT NOT NULL,
    campaign   TEXT NOT NULL,
    -- What it brings once it was seen, and once it was clicked.
    seen       INTEGER NOT NULL CHECK (seen >= 0),
    clicked    INTEGER NOT NULL CHECK (clicked >= 0)
) STRICT, WITHOUT ROWID;
",
    "
-- Whether the operator has said how a payout ended, and not its rail: then that is never asked again.
ALTER TABLE payout ADD COLUMN by_hand INTEGER NOT NULL DEFAULT 0;
",
    "
-- What each correction of a charge gives back of it. Its id is `correction:`, the charge's and `:0`, `:1` or
-- `:2`; `settle:` and a job's id have 37 characters.
CREATE VIEW correction (seq, owner, account, api_key, day, model, charge, fee) AS
    SELECT taken.seq, settle.owner, settle.account, COALESCE(settle.api_key, ''), settle.at / 86400000,
        settle.model,
        CASE WHEN taken.counter = settle.account THEN taken.amount ELSE -taken.amount END,
        CASE WHEN taken.account = 'platform' THEN taken.amount
             WHEN taken.counter = 'platform' THEN -taken.amount ELSE 0 END
    FROM entry AS taken JOIN entry AS settle
        ON settle.id = SUBSTR(taken.id, 12, 37)
    WHERE taken.kind = 'correction' AND settle.kind = 'settle';

-- Their sums under the day and the model of the charge.
CREATE TABLE given_back (
    owner   TEXT NOT NULL,
    account TEXT NOT NULL,
    -- Empty where no key paid.
    api_key TEXT NOT NULL,
    day     INTEGER NOT NULL,
    model   TEXT NOT NULL,
    charge  INTEGER NOT NULL,
    fee     INTEGER NOT NULL,
    PRIMARY KEY (owner, day, account, api_key, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX given_back_account ON given_back (account, day);
CREATE INDEX given_back_key ON given_back (api_key);
CREATE INDEX given_back_day ON given_back (day);
INSERT INTO given_back SELECT owner, account, api_key, day, model, SUM(charge), SUM(fee)
    FROM correction GROUP BY owner, account, api_key, day, model;

-- What was earned, spent and sold, less what was given back of it.
CREATE VIEW net_earned AS
    SELECT owner, day, model, jobs, prompt_tokens, answer_tokens, charge, fee FROM earned
    UNION ALL SELECT owner, day, model, 0, 0, 0, -charge, -fee FROM given_back;
CREATE VIEW net_spent AS
    SELECT account, day, model, jobs, prompt_tokens, answer_tokens, charge FROM spent
    UNION ALL SELECT account, day, model, 0, 0, 0, -charge FROM given_back;
CREATE VIEW net_used AS
    SELECT api_key, day, model, jobs, prompt_tokens, answer_tokens, charge FROM used
    UNION ALL SELECT api_key, day, model, 0, 0, 0, -charge FROM given_back WHERE api_key <> '';
CREATE VIEW net_sold AS
    SELECT day, model, free, jobs, prompt_tokens, answer_tokens, charge, fee FROM sold
    UNION ALL SELECT day, model, CASE WHEN account = 'free' THEN 1 ELSE 0 END, 0, 0, 0, -charge, -fee
        FROM given_back;
",
    "
-- How many free answers each visitor has had today, by a hash of his address with a key of the relay's.
CREATE TABLE visit (
    day     INTEGER NOT NULL,
    visitor BLOB NOT NULL,
    jobs    INTEGER NOT NULL,
    PRIMARY KEY (day, visitor)
) STRICT, WITHOUT ROWID;
",
    "
-- What is reported of payments that went back, by the payment service's name for the charge or the dispute.
CREATE TABLE went_back (
    id       TEXT PRIMARY KEY,
    payment  TEXT NOT NULL,
    -- All that went back until now, and what of it is in the book.
    amount   INTEGER NOT NULL,
    booked   INTEGER NOT NULL,
    -- Why somebody disputed the payment; nothing when it was refunded.
    disputed TEXT,
    -- 1 when the dispute was won, and the money is here again.
    won      INTEGER NOT NULL,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX went_back_payment ON went_back (payment);
",
    "
-- The rates by which a charge follows from ask and tokens, in thousandths: `tier/fee/discount/holdback`.
ALTER TABLE entry ADD COLUMN rates TEXT;
",
    "
-- A top-up names the account of the ledger that grows by it, a page's or an advertiser's, and what the call
-- that opened it was to make.
UPDATE top_up SET account = 'page:' || account;
ALTER TABLE top_up ADD COLUMN made TEXT;
CREATE INDEX top_up_made ON top_up (made) WHERE made IS NOT NULL;
",
    "
-- What was answered to a call, where that is small and no secret: its status, its type and its body.
ALTER TABLE asked ADD COLUMN status INTEGER;
ALTER TABLE asked ADD COLUMN type TEXT;
ALTER TABLE asked ADD COLUMN answer BLOB;
",
    "
-- The public half of the key of a plugin's device. Such a plugin has no secret: its hash is empty.
ALTER TABLE plugin ADD COLUMN device_key BLOB;
CREATE UNIQUE INDEX plugin_device_key ON plugin (device_key);
",
    "
-- The page whose own plugin it is, and since when.
ALTER TABLE plugin ADD COLUMN account TEXT;
ALTER TABLE plugin ADD COLUMN paired INTEGER;
CREATE INDEX plugin_account ON plugin (account) WHERE account IS NOT NULL;
",
    "
-- How often each visitor was given each ad today, by a hash of his address with a key of the relay's; where the
-- campaign is empty, how many of his clicks counted.
CREATE TABLE ad_shown (
    day      INTEGER NOT NULL,
    visitor  BLOB NOT NULL,
    campaign TEXT NOT NULL,
    times    INTEGER NOT NULL,
    PRIMARY KEY (day, visitor, campaign)
) STRICT, WITHOUT ROWID;
",
    "
-- Accounts that the operator has marked as verified.
CREATE TABLE verified (
    account TEXT PRIMARY KEY,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX top_up_account ON top_up (account) WHERE payment IS NOT NULL;

-- Groups of friends. The code by which one joins follows from a key of the relay's, the group and the turn.
CREATE TABLE friend_group (
    id      TEXT PRIMARY KEY,
    creator TEXT NOT NULL,
    -- What its plugins ask of its accounts.
    input   INTEGER NOT NULL CHECK (input >= 0),
    output  INTEGER NOT NULL CHECK (output >= 0),
    -- How often the code was changed, and SHA-256 of it.
    turn    INTEGER NOT NULL,
    code    BLOB NOT NULL UNIQUE,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who is in a group: plugins and accounts, by their ids.
CREATE TABLE friend (
    friend_group TEXT NOT NULL,
    member       TEXT NOT NULL,
    joined       INTEGER NOT NULL,
    PRIMARY KEY (friend_group, member)
) STRICT, WITHOUT ROWID;
",
    "
-- Whose kept answer it is: a page's account, a plugin or the operator. Each has room of its own.
ALTER TABLE asked ADD COLUMN whose TEXT;
CREATE INDEX asked_kept ON asked (whose, at) WHERE answer IS NOT NULL;
",
    "
-- What went back of a payment goes up and down: a report has the moment as of which it holds, and a refund that
-- failed says of which charge it was. What of it is in the book is read from the ledger, by what the ids of the
-- entries hold, which is kept in a table of its own.
ALTER TABLE went_back ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
ALTER TABLE went_back ADD COLUMN part_of TEXT;
UPDATE went_back SET told = at;
UPDATE went_back SET amount = 0 WHERE won = 1;
ALTER TABLE went_back DROP COLUMN won;
ALTER TABLE went_back DROP COLUMN booked;
CREATE INDEX went_back_part ON went_back (part_of) WHERE part_of IS NOT NULL;
CREATE TABLE went_back_entry (
    report TEXT NOT NULL,
    base   TEXT NOT NULL,
    PRIMARY KEY (report, base)
) STRICT, WITHOUT ROWID;
INSERT INTO went_back_entry SELECT id, id FROM went_back WHERE disputed IS NOT NULL;
INSERT INTO went_back_entry
    SELECT DISTINCT went_back.id, SUBSTR(entry.id, CASE WHEN entry.kind = 'refund' THEN 8 ELSE 19 END)
    FROM went_back JOIN entry
        ON SUBSTR(entry.id, 1, LENGTH(went_back.id) + 8) = 'refund:' || went_back.id || ':'
        OR SUBSTR(entry.id, 1, LENGTH(went_back.id) + 19) = 'correction:refund:' || went_back.id || ':'
    WHERE went_back.disputed IS NULL AND entry.kind IN ('refund', 'correction')
        AND entry.id NOT LIKE '%:shortfall' AND entry.id NOT LIKE 'correction:refund:%:%:0';

-- What is gone of a payment, by charge and by dispute.
CREATE VIEW gone (id, payment, amount, disputed, at) AS
    SELECT told.id, told.payment, told.amount - CAST(COALESCE((SELECT SUM(failed.amount) FROM went_back AS failed
        WHERE failed.part_of = told.id AND failed.told >= told.told), 0) AS BIGINT), told.disputed, told.at
    FROM went_back AS told WHERE told.part_of IS NULL;

-- What nobody has is the fee's part too, where the platform had less than its fee to give back.
DROP VIEW correction;
CREATE VIEW correction (seq, owner, account, api_key, day, model, charge, fee) AS
    SELECT taken.seq, settle.owner, settle.account, COALESCE(settle.api_key, ''), settle.at / 86400000,
        settle.model,
        CASE WHEN taken.counter = settle.account THEN taken.amount ELSE -taken.amount END,
        CASE WHEN taken.account IN ('platform', 'shortfall') THEN taken.amount
             WHEN taken.counter IN ('platform', 'shortfall') THEN -taken.amount ELSE 0 END
    FROM entry AS taken JOIN entry AS settle
        ON settle.id = SUBSTR(taken.id, 12, 37)
    WHERE taken.kind = 'correction' AND settle.kind = 'settle';
",
    "
-- The account that has set how its own plugin is paid, and for which a payout was made so: both end with the
-- pairing. Nothing when the plugin has said so itself.
ALTER TABLE payout_method ADD COLUMN account TEXT;
ALTER TABLE payout ADD COLUMN account TEXT;
",
    "
-- When the account whose own plugin it is has revoked its key or secret; nothing while that holds.
ALTER TABLE plugin ADD COLUMN revoked INTEGER;
",
    "
-- The price to which a plugin in a group has agreed: it asks its friends nothing below it.
ALTER TABLE friend ADD COLUMN input INTEGER NOT NULL DEFAULT 0;
ALTER TABLE friend ADD COLUMN output INTEGER NOT NULL DEFAULT 0;
UPDATE friend SET input = (SELECT input FROM friend_group WHERE id = friend_group),
    output = (SELECT output FROM friend_group WHERE id = friend_group);
",
    "
-- What the relay has known of the time last: the moment that it believed, how far the clock was ahead of that, and
-- for how long, so that a clock that was set while it was away releases no money at once.
CREATE TABLE lived (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    believed INTEGER NOT NULL,
    lag      INTEGER NOT NULL,
    doubted  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
-- What owners show of themselves.
CREATE TABLE channel (
    plugin   TEXT PRIMARY KEY,
    about    TEXT NOT NULL,
    -- Whether what it earns is shown too.
    earnings INTEGER NOT NULL,
    opened   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which accounts follow which channels.
CREATE TABLE follower (
    account TEXT NOT NULL,
    plugin  TEXT NOT NULL,
    since   INTEGER NOT NULL,
    PRIMARY KEY (account, plugin)
) STRICT, WITHOUT ROWID;
CREATE INDEX follower_plugin ON follower (plugin);

-- In how many minutes of a UTC day a channel was connected.
CREATE TABLE presence (
    plugin  TEXT NOT NULL,
    day     INTEGER NOT NULL,
    minutes INTEGER NOT NULL,
    PRIMARY KEY (plugin, day)
) STRICT, WITHOUT ROWID;

-- In how many minutes of a UTC hour a model could be asked for.
CREATE TABLE availability (
    model   TEXT NOT NULL,
    hour    INTEGER NOT NULL,
    minutes INTEGER NOT NULL,
    PRIMARY KEY (model, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX availability_hour ON availability (hour);

-- What became of plugins' jobs for strangers, by UTC day.
CREATE TABLE outcome (
    plugin TEXT NOT NULL,
    day    INTEGER NOT NULL,
    done   INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    PRIMARY KEY (plugin, day)
) STRICT, WITHOUT ROWID;
",
    "
-- What an account's projects are to reach, as a list of texts in JSON.
CREATE TABLE objectives (
    account    TEXT NOT NULL,
    project    TEXT NOT NULL,
    objectives TEXT NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (account, project)
) STRICT, WITHOUT ROWID;

-- How close what a key asks must be to a project's objectives, in thousandths, and how that is told.
ALTER TABLE api_key ADD COLUMN gate_project TEXT;
ALTER TABLE api_key ADD COLUMN gate_threshold INTEGER;
ALTER TABLE api_key ADD COLUMN gate_method TEXT;
",
    "
-- What the operator has switched off.
CREATE TABLE switched_off (
    feature TEXT PRIMARY KEY,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
-- Teams of owners, each with SHA-256 of its code, and the accounts in them.
CREATE TABLE team (
    id      TEXT PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    code    BLOB NOT NULL UNIQUE,
    founded INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE team_member (
    account TEXT PRIMARY KEY,
    team    TEXT NOT NULL,
    since   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX team_member_team ON team_member (team);
",
    "
-- Phones that may see and steer a plugin, by the SHA-256 of what they show.
CREATE TABLE phone (
    hash   BLOB PRIMARY KEY,
    phone  TEXT NOT NULL,
    plugin TEXT NOT NULL,
    name   TEXT NOT NULL,
    paired INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
-- Disputes of jobs by whoever paid for them, one of a job. Prompt and answer are there where they were attached, until
-- the dispute is decided.
CREATE TABLE dispute (
    job       TEXT PRIMARY KEY,
    account   TEXT NOT NULL,
    owner     TEXT NOT NULL,
    model     TEXT NOT NULL,
    charge    INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    words     TEXT NOT NULL,
    prompt    TEXT,
    answer    TEXT,
    -- What of the earning was set aside, of what was available and of what was held back.
    available INTEGER NOT NULL CHECK (available >= 0),
    held_back INTEGER NOT NULL CHECK (held_back >= 0),
    state     TEXT NOT NULL,
    -- What the operator has said last.
    told      TEXT NOT NULL,
    opened    INTEGER NOT NULL,
    reviewed  INTEGER,
    decided   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX dispute_account ON dispute (account, opened);
CREATE INDEX dispute_owner ON dispute (owner, opened);
CREATE INDEX dispute_open ON dispute (opened) WHERE decided IS NULL;
CREATE INDEX dispute_decided ON dispute (decided) WHERE decided IS NOT NULL;

-- Thumbs on answers, one of a job. A voice is an account's; that of all free answers is empty.
CREATE TABLE thumb (
    job      TEXT PRIMARY KEY,
    owner    TEXT NOT NULL,
    voice    TEXT NOT NULL,
    verified INTEGER NOT NULL,
    up       INTEGER NOT NULL,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX thumb_owner ON thumb (owner, at);

-- SHA-256 of what was asked and answered in paid jobs, each with the job's id in front, for as long as a job can be
-- disputed.
CREATE TABLE print (
    job    TEXT PRIMARY KEY,
    prompt BLOB,
    answer BLOB,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX print_at ON print (at);
",
    "
-- How often a team's code was changed.
ALTER TABLE team ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;
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
        for step in known + 1..=MIGRATIONS.len() {
            take(sql, step)?;
            sql.execute("INSERT INTO version VALUES (?1)", &[(step as u64).into()])?;
        }
        Ok(())
    })
}

/// Takes one step, from the version before to this one.
pub(super) fn take(sql: &mut Sql, step: usize) -> Result<()> {
    let batch = MIGRATIONS[step - 1];
    let made = if sql.is_sqlite() { sql.batch(batch) } else { sql.batch(&translated(batch)) };
    made.with_context(|| format!("could not bring the database to version {step}"))?;
    if step == 1 {
        sql.batch(if sql.is_sqlite() { KEPT_SQLITE } else { KEPT_POSTGRES })?;
    }
    Ok(())
}

/// Returns the number of the step that holds a text.
#[cfg(test)]
pub(super) fn step_with(text: &str) -> usize {
    MIGRATIONS.iter().position(|batch| batch.contains(text)).expect("some step holds it") + 1
}

/// Writes SQLite's words as PostgreSQL's.
fn translated(batch: &str) -> String {
    batch
        .replace(" STRICT, WITHOUT ROWID", "")
        .replace(" STRICT", "")
        .replace(" INTEGER", " BIGINT")
        .replace(" BLOB", " BYTEA")
}
