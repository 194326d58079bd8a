//! Disputes, as rows: one of a job, ever. What one sets aside and gives back is in the entries that are stored
//! together with its row.

use std::fmt;

use anyhow::Result;
use rekursing_market::{
    dispute::{REMEMBERED, Reason, Record, State},
    ledger::{Entry, SetAside},
};
use rekursing_protocol::{AccountId, JobId, Moment, Nanos, PluginId};

use super::{Act, Row, Sql, Store, Value, Voice, Write, operator_log, thumbs};

/// A dispute.
#[derive(Clone, PartialEq, Eq)]
pub struct Dispute {
    /// The job.
    pub job: JobId,
    /// Who paid for it, and disputes it.
    pub account: AccountId,
    /// Who answered.
    pub owner: PluginId,
    /// With which model.
    pub model: String,
    /// What was charged.
    pub charge: Nanos,
    /// What is wrong with the answer.
    pub reason: Reason,
    /// The same in the words of whoever paid.
    pub words: String,
    /// The prompt, where it was attached and nobody has decided yet. In a list it is empty.
    pub prompt: Option<String>,
    /// The answer, likewise.
    pub answer: Option<String>,
    /// What of the earning was set aside.
    pub aside: SetAside,
    /// Where it stands.
    pub state: State,
    /// What the operator has said last.
    pub told: String,
    /// When it was opened.
    pub opened: Moment,
    /// When the operator looked at it first.
    pub reviewed: Option<Moment>,
    /// When it was decided.
    pub decided: Option<Moment>,
}

/// Texts of a page are printed nowhere.
impl fmt::Debug for Dispute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispute")
            .field("job", &self.job)
            .field("state", &self.state)
            .field("aside", &self.aside)
            .finish_non_exhaustive()
    }
}

/// A dispute as it is from now on, with what the operator's log says of that.
#[derive(Debug)]
pub struct Disputed {
    /// The row.
    pub row: Dispute,
    /// What the operator did; nothing when the page has opened it.
    pub act: Option<Act>,
}

impl Store {
    /// Stores a dispute as it is from now on, together with the entries of that: all of it or nothing.
    pub fn append_disputed(&self, entries: Vec<Entry>, disputed: Disputed) {
        self.push(Write::Disputed(entries, Box::new(disputed)));
    }

    /// Reads the dispute of a job.
    pub async fn dispute(&self, job: JobId) -> Result<Option<Dispute>> {
        self.read(move |sql| find(sql, job)).await
    }

    /// Reads an account's disputes, the latest first.
    pub async fn disputes_of(&self, account: AccountId, most: u64) -> Result<Vec<Dispute>> {
        self.read(move |sql| sql.list(OF_ACCOUNT, &[account.to_string().into(), most.into()], read)).await
    }

    /// Reads the disputes of what a plugin has answered, the latest first.
    pub async fn disputes_about(&self, owner: PluginId, most: u64) -> Result<Vec<Dispute>> {
        self.read(move |sql| sql.list(OF_OWNER, &[owner.to_string().into(), most.into()], read)).await
    }

    /// Reads the disputes that are undecided, the oldest first, and the latest of the others.
    pub async fn disputes(&self, most: u64) -> Result<(Vec<Dispute>, Vec<Dispute>)> {
        self.read(move |sql| {
            let open = sql.list(OPEN, &[most.into()], read)?;
            Ok((open, sql.list(DECIDED, &[most.into()], read)?))
        })
        .await
    }

    /// Reads how the disputes of an account stand.
    pub async fn dispute_record(&self, account: AccountId, now: Moment) -> Result<Record> {
        self.read(move |sql| {
            let values = [account.to_string().into(), (now - REMEMBERED).into()];
            let record = sql.first(RECORD, &values, |row| {
                let count = |at| Ok::<u64, anyhow::Error>(row.number_or_zero(at)?.unsigned_abs());
                Ok(Record { open: count(0)?, decided: count(1)?, rejected: count(2)? })
            })?;
            Ok(record.unwrap_or_default())
        })
        .await
    }
}

/// Stores disputes as they are from now on. What is there already was stored by a commit whose answer was lost.
pub(super) fn put(sql: &mut Sql, disputes: &[Disputed]) -> Result<()> {
    for Disputed { row, act } in disputes {
        if find(sql, row.job)?.is_some_and(|known| known.state == row.state) {
            continue;
        }
        // Once it is decided, nobody needs to read any more what was attached.
        let attached = |text: &Option<String>| {
            // PostgreSQL takes no text with a zero character, and whoever answers may have said one.
            let text = text.as_deref().filter(|_| !row.state.is_decided());
            Value::from(text.map(|text| text.replace('\0', "\u{fffd}")))
        };
        let values: [Value; 16] = [
            row.job.to_string().into(),
            row.account.to_string().into(),
            row.owner.to_string().into(),
            row.model.as_str().into(),
            row.charge.into(),
            row.reason.name().into(),
            row.words.as_str().into(),
            attached(&row.prompt),
            attached(&row.answer),
            row.aside.available.into(),
            row.aside.held_back.into(),
            row.state.name().into(),
            row.told.as_str().into(),
            row.opened.into(),
            row.reviewed.into(),
            row.decided.into(),
        ];
        sql.execute(PUT, &values)?;
        if let (State::Upheld, Some(decided)) = (row.state, row.decided) {
            // The operator has seen that it was not a good one.
            thumbs::put(sql, decided, row.job, row.owner, Voice::Verified(row.account), false)?;
        }
        if let Some(act) = act {
            operator_log::insert(sql, row.decided.or(row.reviewed).unwrap_or(row.opened), act)?;
        }
    }
    Ok(())
}

pub(super) fn find(sql: &mut Sql, job: JobId) -> Result<Option<Dispute>> {
    sql.first(ONE, &[job.to_string().into()], read)
}

fn read(row: &Row) -> Result<Dispute> {
    let text =
        |at| Ok::<_, anyhow::Error>(if row.is_null(at)? { None } else { Some(row.text(at)?.to_owned()) });
    let moment = |at| Ok::<_, anyhow::Error>(if row.is_null(at)? { None } else { Some(row.moment(at)?) });
    Ok(Dispute {
        job: row.parsed(0)?,
        account: row.parsed(1)?,
        owner: row.parsed(2)?,
        model: row.text(3)?.to_owned(),
        charge: row.nanos(4)?,
        reason: row.parsed(5)?,
        words: row.text(6)?.to_owned(),
        prompt: text(7)?,
        answer: text(8)?,
        aside: SetAside { available: row.nanos(9)?, held_back: row.nanos(10)? },
        state: row.parsed(11)?,
        told: row.text(12)?.to_owned(),
        opened: row.moment(13)?,
        reviewed: moment(14)?,
        decided: moment(15)?,
    })
}

/// The columns that [`read`] takes, in its order.
macro_rules! columns {
    () => {
        "job, account, owner, model, charge, reason, words, prompt, answer, available, held_back, state, told, \
         opened, reviewed, decided"
    };
}

const PUT: &str = concat!(
    "INSERT INTO dispute (",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
     ON CONFLICT (job) DO UPDATE SET prompt = excluded.prompt, answer = excluded.answer, state = excluded.state,
         told = excluded.told, reviewed = excluded.reviewed, decided = excluded.decided"
);

const ONE: &str = concat!("SELECT ", columns!(), " FROM dispute WHERE job = ?1");

/// The same for lists, which tell whether something is attached and never read it.
macro_rules! listed {
    () => {
        "job, account, owner, model, charge, reason, words, CASE WHEN prompt IS NULL THEN NULL ELSE '' END, \
         CASE WHEN answer IS NULL THEN NULL ELSE '' END, available, held_back, state, told, opened, reviewed, decided"
    };
}

const OF_ACCOUNT: &str =
    concat!("SELECT ", listed!(), " FROM dispute WHERE account = ?1 ORDER BY opened DESC, job LIMIT ?2");

const OF_OWNER: &str =
    concat!("SELECT ", listed!(), " FROM dispute WHERE owner = ?1 ORDER BY opened DESC, job LIMIT ?2");

const OPEN: &str =
    concat!("SELECT ", listed!(), " FROM dispute WHERE decided IS NULL ORDER BY opened, job LIMIT ?1");

const DECIDED: &str = concat!(
    "SELECT ",
    listed!(),
    " FROM dispute WHERE decided IS NOT NULL ORDER BY decided DESC, job LIMIT ?1"
);

const RECORD: &str = "SELECT CAST(SUM(CASE WHEN decided IS NULL THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN decided >= ?2 THEN 1 ELSE 0 END) AS BIGINT),
        CAST(SUM(CASE WHEN decided >= ?2 AND state = 'rejected' THEN 1 ELSE 0 END) AS BIGINT)
    FROM dispute WHERE account = ?1 AND (decided IS NULL OR decided >= ?2)";
