//! What is summed per UTC day beside the entries, so that earnings and spending are quick to read.

use std::collections::HashMap;

use anyhow::Result;
use rekursing_market::ledger::{Entry, EntryKind, Settle};

use super::{Sql, Value};

/// Sums of the entries of one transaction, by owner, payer or key, day and model.
#[derive(Debug, Default)]
pub(super) struct Daily {
    earned: HashMap<Whose, Sums>,
    spent: HashMap<Whose, Sums>,
    used: HashMap<Whose, Sums>,
}

type Whose = (String, u64, String);

#[derive(Debug, Default)]
struct Sums {
    jobs: u64,
    prompt_tokens: u64,
    answer_tokens: u64,
    charge: i64,
    fee: i64,
}

impl Daily {
    /// Sums entries.
    pub(super) fn of(entries: &[Entry]) -> Daily {
        let mut daily = Daily::default();
        entries.iter().for_each(|entry| daily.add(entry));
        daily
    }

    /// Adds an entry, which counts if it is a settled job.
    pub(super) fn add(&mut self, entry: &Entry) {
        let EntryKind::Settle(settle) = &entry.kind else { return };
        let key = |whose: String| (whose, entry.at.day(), settle.model.clone());
        self.earned.entry(key(settle.owner.to_string())).or_default().add(settle);
        self.spent.entry(key(settle.payer.to_string())).or_default().add(settle);
        if let Some(api_key) = settle.api_key {
            self.used.entry(key(api_key.to_string())).or_default().add(settle);
        }
    }

    /// Adds the sums to those that are stored.
    pub(super) fn store(&self, sql: &mut Sql) -> Result<()> {
        sql.insert(
            "earned (owner, day, model, jobs, prompt_tokens, answer_tokens, charge, fee)",
            "ON CONFLICT (owner, day, model) DO UPDATE SET
                 jobs = earned.jobs + excluded.jobs,
                 prompt_tokens = earned.prompt_tokens + excluded.prompt_tokens,
                 answer_tokens = earned.answer_tokens + excluded.answer_tokens,
                 charge = earned.charge + excluded.charge,
                 fee = earned.fee + excluded.fee",
            &rows(&self.earned),
        )?;
        sql.insert(
            "spent (account, day, model, jobs, prompt_tokens, answer_tokens, charge, fee)",
            "ON CONFLICT (account, day, model) DO UPDATE SET
                 jobs = spent.jobs + excluded.jobs,
                 prompt_tokens = spent.prompt_tokens + excluded.prompt_tokens,
                 answer_tokens = spent.answer_tokens + excluded.answer_tokens,
                 charge = spent.charge + excluded.charge,
                 fee = spent.fee + excluded.fee",
            &rows(&self.spent),
        )?;
        sql.insert(
            "used (api_key, day, model, jobs, prompt_tokens, answer_tokens, charge, fee)",
            "ON CONFLICT (api_key, day, model) DO UPDATE SET
                 jobs = used.jobs + excluded.jobs,
                 prompt_tokens = used.prompt_tokens + excluded.prompt_tokens,
                 answer_tokens = used.answer_tokens + excluded.answer_tokens,
                 charge = used.charge + excluded.charge,
                 fee = used.fee + excluded.fee",
            &rows(&self.used),
        )?;
        Ok(())
    }
}

impl Sums {
    fn add(&mut self, settle: &Settle) {
        self.jobs += 1;
        self.prompt_tokens += settle.prompt_tokens;
        self.answer_tokens += settle.answer_tokens;
        self.charge += settle.charge.get();
        self.fee += settle.fee.get();
    }
}

fn rows(sums: &HashMap<Whose, Sums>) -> Vec<Vec<Value>> {
    let row = |((whose, day, model), sums): (&Whose, &Sums)| {
        vec![
            whose.as_str().into(),
            (*day).into(),
            model.as_str().into(),
            sums.jobs.into(),
            sums.prompt_tokens.into(),
            sums.answer_tokens.into(),
            sums.charge.into(),
            sums.fee.into(),
        ]
    };
    sums.iter().map(row).collect()
}
