//! Sums that are kept beside the entries, in the same transaction, so that nobody has to read the whole
//! ledger to learn a balance, a day's earnings or a month's statement. The audit compares them with it.

use std::collections::HashMap;

use anyhow::Result;
use rekursing_market::ledger::{Account, Cause, Entry, EntryKind, Settle};
use rekursing_protocol::{Hour, KeyId, Moment, PluginId};

use super::{Sql, Value};

/// Sums of one transaction.
#[derive(Debug, Default)]
pub(super) struct Daily {
    /// By owner, day and model.
    earned: HashMap<(PluginId, u64, String), Sums>,
    /// By payer, day and model.
    spent: HashMap<(Account, u64, String), Sums>,
    /// By API key, day and model.
    used: HashMap<(KeyId, u64, String), Sums>,
    /// By day, model and whether the answer was free.
    sold: HashMap<(u64, String, bool), Sums>,
    /// By account or class of accounts, day and kind of entry.
    posted: HashMap<(String, u64, &'static str), Posted>,
    /// By owner and day of release.
    withheld: HashMap<(PluginId, u64), Withheld>,
    /// By hour.
    served: HashMap<u64, Served>,
    /// The first and the last correction's place in the ledger: what it corrects stands there too.
    corrections: Option<(u64, u64)>,
}

/// Sums of settled jobs.
#[derive(Debug, Default)]
struct Sums {
    jobs: u64,
    prompt_tokens: u64,
    answer_tokens: u64,
    charge: i64,
    fee: i64,
}

/// What postings brought and took.
#[derive(Debug, Default)]
struct Posted {
    postings: u64,
    credit: i64,
    debit: i64,
}

/// What is due on a day, and when the last of it is.
#[derive(Debug, Default)]
struct Withheld {
    amount: i64,
    release_at: Moment,
}

/// Where the settlements of an hour are in the ledger.
#[derive(Debug)]
struct Served {
    jobs: u64,
    first: u64,
    last: u64,
}

impl Daily {
    /// Sums entries that stand in the ledger one behind the other, the first of them under this number.
    pub(super) fn of(entries: &[Entry], first: u64) -> Daily {
        let mut daily = Daily::default();
        (first..).zip(entries).for_each(|(seq, entry)| daily.add(entry, seq));
        daily
    }

    fn add(&mut self, entry: &Entry, seq: u64) {
        let (day, kind) = (entry.at.day(), entry.kind_name());
        for posting in entry.postings() {
            for (account, credit, debit) in
                [(posting.credit, posting.amount.get(), 0), (posting.debit, 0, posting.amount.get())]
            {
                for whose in
                    [Some(account.to_string()), account.class().map(str::to_owned)].into_iter().flatten()
                {
                    let posted = self.posted.entry((whose, day, kind)).or_default();
                    posted.postings += 1;
                    posted.credit += credit;
                    posted.debit += debit;
                }
            }
        }
        match &entry.kind {
            EntryKind::Settle(settle) => self.add_settled(settle, entry.at, seq),
            EntryKind::Transfer(transfer) if transfer.cause == Cause::Correction => {
                let first = self.corrections.map_or(seq, |(first, _)| first);
                self.corrections = Some((first, seq));
            }
            EntryKind::Transfer(_) | EntryKind::Hold { .. } | EntryKind::Void { .. } => {}
        }
    }

    fn add_settled(&mut self, settle: &Settle, at: Moment, seq: u64) {
        let (day, model) = (at.day(), &settle.model);
        self.earned.entry((settle.owner, day, model.clone())).or_default().add(settle);
        self.spent.entry((settle.payer, day, model.clone())).or_default().add(settle);
        if let Some(key) = settle.api_key {
            self.used.entry((key, day, model.clone())).or_default().add(settle);
        }
        let is_free = settle.payer == Account::Free;
        self.sold.entry((day, model.clone(), is_free)).or_default().add(settle);
        if let Some(release_at) = settle.release_at() {
            let withheld = self.withheld.entry((settle.owner, release_at.day())).or_default();
            withheld.amount += settle.held_back.get();
            withheld.release_at = withheld.release_at.max(release_at);
        }
        let served = self.served.entry(Hour::of(at).0).or_insert(Served { jobs: 0, first: seq, last: seq });
        served.jobs += 1;
        served.last = seq;
    }

    /// Adds everything to the sums that are stored.
    pub(super) fn store(&self, sql: &mut Sql) -> Result<()> {
        let earned = self.earned.iter().map(|((owner, day, model), sums)| {
            sums.values([owner.to_string().into(), (*day).into(), model.as_str().into()])
        });
        let spent = self.spent.iter().map(|((payer, day, model), sums)| {
            sums.values([payer.to_string().into(), (*day).into(), model.as_str().into()])
        });
        let used = self.used.iter().map(|((key, day, model), sums)| {
            sums.values([key.to_string().into(), (*day).into(), model.as_str().into()])
        });
        let sold = self.sold.iter().map(|((day, model, is_free), sums)| {
            sums.values([(*day).into(), model.as_str().into(), u32::from(*is_free).into()])
        });
        let posted = self.posted.iter().map(|((account, day, kind), posted)| {
            let Posted { postings, credit, debit } = posted;
            let key: [Value; 3] = [account.as_str().into(), (*day).into(), (*kind).into()];
            key.into_iter().chain([(*postings).into(), (*credit).into(), (*debit).into()]).collect()
        });
        let withheld = self.withheld.iter().map(|((owner, day), Withheld { amount, release_at })| {
            vec![owner.to_string().into(), (*day).into(), (*amount).into(), (*release_at).into()]
        });
        let served = self.served.iter().map(|(hour, Served { jobs, first, last })| {
            vec![(*hour).into(), (*jobs).into(), (*first).into(), (*last).into()]
        });
        sql.insert(EARNED.0, EARNED.1, &earned.collect::<Vec<_>>())?;
        sql.insert(SPENT.0, SPENT.1, &spent.collect::<Vec<_>>())?;
        sql.insert(USED.0, USED.1, &used.collect::<Vec<_>>())?;
        sql.insert(SOLD.0, SOLD.1, &sold.collect::<Vec<_>>())?;
        sql.insert(POSTED.0, POSTED.1, &posted.collect::<Vec<_>>())?;
        sql.insert(WITHHELD.0, WITHHELD.1, &withheld.collect::<Vec<_>>())?;
        sql.insert(SERVED.0, SERVED.1, &served.collect::<Vec<_>>())?;
        if let Some((first, last)) = self.corrections {
            sql.execute(GIVEN_BACK, &[first.into(), last.into()])?;
        }
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

    fn values(&self, [one, two, three]: [Value; 3]) -> Vec<Value> {
        vec![
            one,
            two,
            three,
            self.jobs.into(),
            self.prompt_tokens.into(),
            self.answer_tokens.into(),
            self.charge.into(),
            self.fee.into(),
        ]
    }
}

/// A table with its columns, and what becomes of a row whose key is there already.
type Table = (&'static str, &'static str);

/// A table of sums of jobs under a key.
macro_rules! sums_of_jobs {
    ($table:literal, $key:literal) => {
        (
            concat!($table, " (", $key, ", jobs, prompt_tokens, answer_tokens, charge, fee)"),
            concat!(
                "ON CONFLICT (",
                $key,
                ") DO UPDATE SET jobs = ",
                $table,
                ".jobs + excluded.jobs, prompt_tokens = ",
                $table,
                ".prompt_tokens + excluded.prompt_tokens, answer_tokens = ",
                $table,
                ".answer_tokens + excluded.answer_tokens, charge = ",
                $table,
                ".charge + excluded.charge, fee = ",
                $table,
                ".fee + excluded.fee"
            ),
        )
    };
}

const EARNED: Table = sums_of_jobs!("earned", "owner, day, model");
const SPENT: Table = sums_of_jobs!("spent", "account, day, model");
const USED: Table = sums_of_jobs!("used", "api_key, day, model");
const SOLD: Table = sums_of_jobs!("sold", "day, model, free");

const POSTED: Table = (
    "posted (account, day, kind, postings, credit, debit)",
    "ON CONFLICT (account, day, kind) DO UPDATE SET
         postings = posted.postings + excluded.postings,
         credit = posted.credit + excluded.credit,
         debit = posted.debit + excluded.debit",
);

const WITHHELD: Table = (
    "withheld (owner, day, amount, release_at)",
    "ON CONFLICT (owner, day) DO UPDATE SET
         amount = withheld.amount + excluded.amount,
         release_at = CASE WHEN withheld.release_at < excluded.release_at
             THEN excluded.release_at ELSE withheld.release_at END",
);

/// Adds what corrections between two places in the ledger give back of charges.
const GIVEN_BACK: &str = "
    INSERT INTO given_back (owner, account, api_key, day, model, charge, fee)
        SELECT owner, account, api_key, day, model, SUM(charge), SUM(fee) FROM correction
        WHERE seq BETWEEN ?1 AND ?2 GROUP BY owner, account, api_key, day, model
    ON CONFLICT (owner, day, account, api_key, model) DO UPDATE SET
        charge = given_back.charge + excluded.charge, fee = given_back.fee + excluded.fee";

const SERVED: Table = (
    "served (hour, jobs, first_seq, last_seq)",
    "ON CONFLICT (hour) DO UPDATE SET
         jobs = served.jobs + excluded.jobs,
         last_seq = CASE WHEN served.last_seq < excluded.last_seq
             THEN excluded.last_seq ELSE served.last_seq END",
);
