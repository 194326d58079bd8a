//! How owners want to be paid, as rows.

use std::fmt;

use anyhow::Result;
use rekursing_market::payout::Schedule;
use rekursing_protocol::{AccountId, Moment, Nanos, PluginId};
use rekursing_rails::Method;

use super::{Row, Sql, Store};

/// How an owner wants to be paid.
#[derive(Clone, PartialEq, Eq)]
pub struct PayoutMethod {
    /// Whose it is.
    pub owner: PluginId,
    /// By which way.
    pub method: Method,
    /// Where to, as the rail reads it.
    pub destination: String,
    /// The balance from which automatic payouts are made.
    pub threshold: Nanos,
    /// How often they are.
    pub schedule: Schedule,
    /// When payouts may go there.
    pub held_until: Moment,
    /// When the next one is due.
    pub due: Option<Moment>,
    /// Whether the owner has removed it.
    pub removed: bool,
    /// The account that has set it for a plugin of its own; nothing when the plugin has.
    pub account: Option<AccountId>,
}

impl fmt::Debug for PayoutMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayoutMethod")
            .field("owner", &self.owner)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// The columns of a method.
macro_rules! methods {
    () => {
        "SELECT owner, method, destination, threshold, schedule, held_until, due, removed, account
         FROM payout_method"
    };
}

impl Store {
    /// Stores how an owner wants to be paid, in place of what was there.
    ///
    /// # Errors
    /// When it could not be made durable; so with every change here.
    pub async fn put_payout_method(&self, method: PayoutMethod) -> Result<()> {
        self.change(move |sql| {
            sql.execute(
                "INSERT INTO payout_method (owner, method, destination, threshold, schedule, held_until, due, account)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (owner) DO UPDATE SET
                     method = excluded.method, destination = excluded.destination,
                     threshold = excluded.threshold, schedule = excluded.schedule,
                     held_until = excluded.held_until, due = excluded.due, removed = NULL,
                     account = excluded.account",
                &[
                    method.owner.to_string().into(),
                    method.method.to_string().into(),
                    method.destination.into(),
                    method.threshold.into(),
                    method.schedule.to_string().into(),
                    method.held_until.into(),
                    method.due.into(),
                    method.account.map(|account| account.to_string()).into(),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Reads how an owner wants, or has last wanted, to be paid.
    pub async fn payout_method(&self, owner: PluginId) -> Result<Option<PayoutMethod>> {
        let owner = owner.to_string();
        self.read(move |sql| {
            sql.first(concat!(methods!(), " WHERE owner = ?1"), &[owner.into()], read_method)
        })
        .await
    }

    /// Forgets how an owner wants to be paid, but for what a later change is compared with.
    pub async fn remove_payout_method(&self, owner: PluginId, now: Moment) -> Result<()> {
        let owner = owner.to_string();
        self.change(move |sql| {
            let remove = "UPDATE payout_method SET removed = ?2, due = NULL WHERE owner = ?1";
            sql.execute(remove, &[owner.into(), now.into()]).map(|_| ())
        })
        .await
    }

    /// Reads up to 100 methods whose automatic payout is due, longest due first.
    pub async fn payout_methods_due(&self, now: Moment) -> Result<Vec<PayoutMethod>> {
        self.read(move |sql| {
            sql.list(
                concat!(
                    methods!(),
                    " WHERE due IS NOT NULL AND due <= ?1 AND held_until <= ?1 ORDER BY due LIMIT 100"
                ),
                &[now.into()],
                read_method,
            )
        })
        .await
    }

    /// Sets when an owner's next automatic payout is due.
    pub async fn postpone_payout_method(&self, owner: PluginId, due: Option<Moment>) -> Result<()> {
        self.change(move |sql| postpone(sql, owner, due)).await
    }
}

pub(super) fn postpone(sql: &mut Sql, owner: PluginId, due: Option<Moment>) -> Result<()> {
    let postpone = "UPDATE payout_method SET due = ?2 WHERE owner = ?1";
    sql.execute(postpone, &[owner.to_string().into(), due.into()]).map(|_| ())
}

fn read_method(row: &Row) -> Result<PayoutMethod> {
    Ok(PayoutMethod {
        owner: row.parsed(0)?,
        method: row.parsed(1)?,
        destination: row.text(2)?.to_owned(),
        threshold: row.nanos(3)?,
        schedule: row.parsed(4)?,
        held_until: row.moment(5)?,
        due: moment(row, 6)?,
        removed: !row.is_null(7)?,
        account: if row.is_null(8)? { None } else { Some(row.parsed(8)?) },
    })
}

pub(super) fn moment(row: &Row, at: usize) -> Result<Option<Moment>> {
    if row.is_null(at)? { Ok(None) } else { row.moment(at).map(Some) }
}
