//! Prints of what was asked and answered in paid jobs, for as long as a job can be disputed and a day more.

use anyhow::Result;
use rekursing_market::dispute::WITHIN;
use rekursing_protocol::{JobId, Moment, Span};

use super::{Row, Sql, Store, Value, Write};

/// For how long they are kept.
pub const KEPT: Span = Span(WITHIN.0 + Span::DAY.0);

/// The prints of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prints {
    /// The job.
    pub job: JobId,
    /// Of what was asked.
    pub prompt: Option<[u8; 32]>,
    /// Of what was answered.
    pub answer: Option<[u8; 32]>,
}

impl Store {
    /// Keeps the prints of a job. Nobody waits for it: they are stored in one transaction with the entries that are
    /// queued with them.
    pub fn keep_prints(&self, now: Moment, prints: Prints) {
        self.shared.queue.push(Write::Prints(now, prints), false);
    }

    /// Reads the prints of a job, where they are kept.
    pub async fn prints(&self, job: JobId) -> Result<Option<Prints>> {
        self.read(move |sql| {
            let one = "SELECT job, prompt, answer FROM print WHERE job = ?1";
            sql.first(one, &[job.to_string().into()], read)
        })
        .await
    }

    /// Forgets prints of jobs that ended before a moment. Nobody waits for it.
    pub fn forget_prints(&self, before: Moment) {
        self.soon("forget prints", move |sql| {
            sql.execute("DELETE FROM print WHERE at < ?1", &[before.into()]).map(drop)
        });
    }
}

/// Stores prints. Within [`Sql::write`].
pub(super) fn put(sql: &mut Sql, prints: &[(Moment, Prints)]) -> Result<()> {
    if prints.is_empty() {
        return Ok(());
    }
    let hash = |hash: &Option<[u8; 32]>| Value::from(hash.as_ref().map(|hash| &hash[..]));
    let row = |(at, Prints { job, prompt, answer }): &(Moment, Prints)| {
        vec![job.to_string().into(), hash(prompt), hash(answer), (*at).into()]
    };
    let rows: Vec<_> = prints.iter().map(row).collect();
    sql.insert("print (job, prompt, answer, at)", "ON CONFLICT (job) DO NOTHING", &rows)?;
    Ok(())
}

fn read(row: &Row) -> Result<Prints> {
    let hash = |at| if row.is_null(at)? { Ok(None) } else { row.hash(at).map(Some) };
    Ok(Prints { job: row.parsed(0)?, prompt: hash(1)?, answer: hash(2)? })
}
