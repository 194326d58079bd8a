//! Payouts as rows. The state of a payout is not among them: it is read from the
//! ledger's entries each time.

use std::fmt;

use anyhow::{Result, ensure};
use rekursing_market::payout::{Moves, Quote, State};
use rekursing_protocol::{AccountId, Moment, Nanos, PayoutId, PluginId};
use rekursing_rails::Method;

use super::{
    Act, Row, Sql, Store, Unstarted, Value, entries, operator_log,
    payout_methods::{moment, postpone},
};

/// A payout as its row has it, with the moments at which the ledger saw it reach each state.
#[derive(Clone, PartialEq, Eq)]
pub struct PayoutRow {
    /// The payout.
    pub id: PayoutId,
    /// Whose money.
    pub owner: PluginId,
    /// By which way.
    pub method: Method,
    /// Where to.
    pub destination: String,
    /// What leaves the balance, and the most that the rail may take of it.
    pub quote: Quote,
    /// Whether it was made on a schedule.
    pub automatic: bool,
    /// When it was made.
    pub created: Moment,
    /// When it was free to go; `None` while the operator has to say so.
    pub approved: Option<Moment>,
    /// The bytes that are sent.
    pub prepared: Option<Vec<u8>>,
    /// Whether they may have been sent.
    pub submitted: Submitted,
    /// The rail's name for it.
    pub name: Option<String>,
    /// How it ends, whether that is posted already or not.
    pub outcome: Option<State>,
    /// What the rail took.
    pub rail_cost: Nanos,
    /// The rail's own name for the payment, for the owner.
    pub reference: Option<String>,
    /// What it waits for, or why it ended as it did.
    pub reason: Option<String>,
    /// Attempts in a row that came to nothing.
    pub tries: u32,
    /// When there is something to do.
    pub due: Moment,
    /// When there was nothing left to do.
    pub closed: Option<Moment>,
    /// Whether the operator has said how it ends, and not its rail.
    pub by_hand: bool,
    /// The account that has said where it goes; nothing when the plugin has.
    pub account: Option<AccountId>,
    /// When it reached each state, in the order of [`State::ALL`].
    pub reached: [Option<Moment>; 5],
}

/// Whether prepared bytes may have been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// They certainly were not.
    No,
    /// They may have been.
    Perhaps,
    /// The rail has taken them.
    Yes,
}

/// How a payout ends.
#[derive(Debug, Clone)]
pub struct Ending {
    /// In which state.
    pub outcome: State,
    /// What the rail took.
    pub cost: Nanos,
    /// The rail's own name for the payment.
    pub reference: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Whether the operator says so, and not the rail.
    pub by_hand: bool,
    /// What the operator's log says of it, where he decided; stored together with it.
    pub act: Option<(Moment, Act)>,
}

impl Ending {
    /// Returns an end of which the rail took nothing and that is not the operator's.
    pub fn of(outcome: State, reason: &str) -> Ending {
        let reason = Some(reason.to_owned());
        Ending { outcome, cost: Nanos::ZERO, reference: None, reason, by_hand: false, act: None }
    }
}

impl Submitted {
    const fn name(self) -> &'static str {
        match self {
            Submitted::No => "no",
            Submitted::Perhaps => "perhaps",
            Submitted::Yes => "yes",
        }
    }
}

impl PayoutRow {
    /// Returns where it stands by the ledger; `None` when the ledger does not have it.
    pub fn state(&self) -> Option<State> {
        State::of(State::ALL.into_iter().filter(|state| self.reached(*state).is_some()))
    }

    /// Returns when it reached a state.
    pub fn reached(&self, state: State) -> Option<Moment> {
        let at = State::ALL.iter().position(|known| *known == state);
        at.and_then(|at| self.reached[at])
    }

    /// Returns it as the ledger sees it.
    pub fn moves(&self) -> Moves {
        Moves { payout: self.id, owner: self.owner, quote: self.quote }
    }
}

impl fmt::Debug for PayoutRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayoutRow")
            .field("id", &self.id)
            .field("method", &self.method)
            .field("state", &self.state())
            .field("submitted", &self.submitted)
            .field("outcome", &self.outcome)
            .field("tries", &self.tries)
            .field("due", &self.due)
            .finish_non_exhaustive()
    }
}

/// The columns of a payout with the entries that it has.
macro_rules! payouts {
    () => {
        "SELECT p.id, p.owner, p.method, p.destination, p.amount, p.cost, p.automatic, p.created, p.approved,
             p.prepared, p.submitted, p.name, p.outcome, p.rail_cost, p.reference, p.reason, p.tries, p.due,
             p.closed, p.by_hand, requested.at, sent.at, confirmed.at, returned.at, cancelled.at, p.account
         FROM payout AS p
             LEFT JOIN entry AS requested ON requested.id = 'payout_requested:' || p.id
             LEFT JOIN entry AS sent ON sent.id = 'payout_sent:' || p.id
             LEFT JOIN entry AS confirmed ON confirmed.id = 'payout_confirmed:' || p.id
             LEFT JOIN entry AS returned ON returned.id = 'payout_returned:' || p.id
             LEFT JOIN entry AS cancelled ON cancelled.id = 'payout_cancelled:' || p.id"
    };
}

/// Which payouts the operator has something to see of: those that arrived are only watched.
macro_rules! under_way {
    () => {
        "p.closed IS NULL AND (p.outcome IS NULL OR p.outcome <> 'confirmed')"
    };
}

impl Store {
    /// Stores a new payout, which the ledger does not have yet. An automatic one says when the next is
    /// due.
    ///
    /// # Errors
    /// When it could not be made durable; so with every change here.
    pub async fn add_payout(&self, payout: PayoutRow, next: Option<Moment>) -> Result<()> {
        self.change(move |sql| {
            insert(sql, &payout)?;
            if payout.automatic { postpone(sql, payout.owner, next) } else { Ok(()) }
        })
        .await
    }

    /// Removes a payout that the ledger does not have.
    pub async fn drop_payout(&self, id: PayoutId) -> Result<()> {
        self.change(move |sql| {
            sql.execute("DELETE FROM payout WHERE id = ?1", &[id.to_string().into()]).map(|_| ())
        })
        .await
    }

    /// Reads a payout that the ledger has.
    pub async fn payout(&self, id: PayoutId) -> Result<Option<PayoutRow>> {
        self.read(move |sql| {
            let query = concat!(payouts!(), " WHERE p.id = ?1 AND requested.at IS NOT NULL");
            sql.first(query, &[id.to_string().into()], read_payout)
        })
        .await
    }

    /// Reads an owner's latest payouts, at most 50, newest first.
    pub async fn payouts_of(&self, owner: PluginId) -> Result<Vec<PayoutRow>> {
        self.read(move |sql| {
            let query = concat!(
                payouts!(),
                " WHERE p.owner = ?1 AND requested.at IS NOT NULL ORDER BY p.created DESC, p.id DESC LIMIT 50"
            );
            sql.list(query, &[owner.to_string().into()], read_payout)
        })
        .await
    }

    /// Reads an owner's payouts that can still be taken back: asked for, and not handed to a rail. Newest first.
    pub async fn payouts_requested_of(&self, owner: PluginId) -> Result<Vec<PayoutRow>> {
        self.read(move |sql| {
            let query = concat!(
                payouts!(),
                " WHERE p.owner = ?1 AND p.closed IS NULL AND p.outcome IS NULL AND requested.at IS NOT NULL
                     AND sent.at IS NULL ORDER BY p.created DESC, p.id DESC"
            );
            sql.list(query, &[owner.to_string().into()], read_payout)
        })
        .await
    }

    /// Counts an owner's payouts that have not ended.
    pub async fn payouts_under_way_of(&self, owner: PluginId) -> Result<u64> {
        self.read(move |sql| {
            let query = concat!("SELECT COUNT(*) FROM payout AS p WHERE p.owner = ?1 AND ", under_way!());
            sql.number(query, &[owner.to_string().into()]).map(i64::unsigned_abs)
        })
        .await
    }

    /// Reads what the counts of payouts that have not ended are made of, of each of them: where it stands, how
    /// often it was tried in vain, and since when it is sent.
    pub async fn payouts_counted(&self) -> Result<Vec<(u32, Option<Moment>)>> {
        self.read(|sql| {
            let query = concat!(
                "SELECT p.tries, sent.at FROM payout AS p
                     JOIN entry AS requested ON requested.id = 'payout_requested:' || p.id
                     LEFT JOIN entry AS sent ON sent.id = 'payout_sent:' || p.id
                 WHERE ",
                under_way!()
            );
            sql.list(query, &[], |row| {
                Ok((u32::try_from(row.count(0)?).unwrap_or(u32::MAX), moment(row, 1)?))
            })
        })
        .await
    }

    /// Sums up what has gone or goes to an owner, of all that was asked for since a moment, without that the operator
    /// was asked: what waits for his word or has it, was taken back or came back does not count.
    pub async fn payouts_unasked_of(&self, owner: PluginId, since: Moment) -> Result<Nanos> {
        self.read(move |sql| {
            // One that needs no word is free to go as it is made.
            let query = "SELECT CAST(SUM(amount) AS BIGINT) FROM payout
                         WHERE owner = ?1 AND created > ?2 AND approved = created
                             AND (outcome IS NULL OR outcome = 'confirmed')";
            sql.number(query, &[owner.to_string().into(), since.into()]).map(Nanos::new)
        })
        .await
    }

    /// Reads payouts that have not ended, at most 500: those that were tried in vain most often first, the
    /// others oldest first.
    pub async fn payouts_under_way(&self) -> Result<Vec<PayoutRow>> {
        self.read(|sql| {
            let query = concat!(
                payouts!(),
                " WHERE ",
                under_way!(),
                " AND requested.at IS NOT NULL ORDER BY p.tries DESC, p.created, p.id LIMIT 500"
            );
            sql.list(query, &[], read_payout)
        })
        .await
    }

    /// Reads the payout of a rail that is first to do something about, if there is any.
    pub async fn payout_next(&self, method: Method) -> Result<Option<PayoutRow>> {
        self.read(move |sql| {
            let query = concat!(
                payouts!(),
                " WHERE p.method = ?1 AND p.closed IS NULL AND requested.at IS NOT NULL
                     AND (p.approved IS NOT NULL OR p.outcome IS NOT NULL)
                 ORDER BY p.due, p.id LIMIT 1"
            );
            sql.first(query, &[method.to_string().into()], read_payout)
        })
        .await
    }

    /// Reads payouts of which it is decided how they end and not all of that is done, at most 100.
    pub async fn payouts_decided(&self) -> Result<Vec<PayoutRow>> {
        self.read(|sql| {
            let query = concat!(
                payouts!(),
                " WHERE p.closed IS NULL AND requested.at IS NOT NULL AND p.outcome IS NOT NULL
                     AND (p.outcome <> 'confirmed' OR confirmed.at IS NULL OR p.by_hand = 1)
                 ORDER BY p.due, p.id LIMIT 100"
            );
            sql.list(query, &[], read_payout)
        })
        .await
    }

    /// Reads the bytes of a rail's payouts that are prepared and not closed. Of those that arrived and are
    /// watched it is the latest 1,000: no chain takes back more.
    pub async fn payouts_standing(&self, method: Method) -> Result<Vec<Vec<u8>>> {
        self.read(move |sql| {
            let undecided = "SELECT prepared FROM payout
                             WHERE method = ?1 AND closed IS NULL AND outcome IS NULL AND prepared IS NOT NULL";
            let watched = "SELECT prepared FROM payout
                           WHERE method = ?1 AND closed IS NULL AND outcome = 'confirmed' AND by_hand = 0
                               AND prepared IS NOT NULL
                           ORDER BY created DESC, id DESC LIMIT 1000";
            let mut standing = Vec::new();
            for query in [undecided, watched] {
                let bytes = |row: &Row| Ok(row.bytes(0)?.to_owned());
                standing.extend(sql.list(query, &[method.to_string().into()], bytes)?);
            }
            Ok(standing)
        })
        .await
    }

    /// Keeps the bytes that are about to be sent; without any, those that were not sent are forgotten.
    pub async fn keep_prepared(&self, id: PayoutId, prepared: Option<Vec<u8>>) -> Result<()> {
        let prepared = prepared.map_or(Value::Null, Value::Bytes);
        self.update(
            id,
            "UPDATE payout SET prepared = ?2, submitted = 'no', name = NULL WHERE id = ?1",
            vec![prepared],
        )
        .await
    }

    /// Notes whether prepared bytes may have been sent, and the rail's name for what it has taken.
    pub async fn note_submitted(
        &self,
        id: PayoutId,
        submitted: Submitted,
        name: Option<String>,
    ) -> Result<()> {
        self.update(
            id,
            "UPDATE payout SET submitted = ?2, name = COALESCE(?3, name) WHERE id = ?1",
            vec![submitted.name().into(), name.into()],
        )
        .await
    }

    /// Decides how a payout ends, before that is posted. One that was closed is open until it is.
    pub async fn decide_payout(&self, id: PayoutId, end: Ending) -> Result<()> {
        self.change(move |sql| {
            let Ending { outcome, cost, reference, reason, by_hand, act } = end;
            update(
                sql,
                id,
                "UPDATE payout SET outcome = ?2, rail_cost = ?3, reference = COALESCE(?4, reference),
                     reason = ?5, tries = 0, by_hand = ?6, closed = NULL WHERE id = ?1",
                vec![
                    outcome.name().into(),
                    cost.into(),
                    reference.into(),
                    reason.into(),
                    u32::from(by_hand).into(),
                ],
            )?;
            act.map_or(Ok(()), |(now, act)| operator_log::insert(sql, now, &act))
        })
        .await
    }

    /// Notes what a payout waits for, how often it was tried in vain, and until when it rests.
    pub async fn rest_payout(
        &self,
        id: PayoutId,
        tries: u32,
        due: Moment,
        reason: Option<String>,
    ) -> Result<()> {
        self.update(
            id,
            "UPDATE payout SET tries = ?2, due = ?3, reason = ?4 WHERE id = ?1",
            vec![tries.into(), due.into(), reason.into()],
        )
        .await
    }

    /// Makes a plugin nobody's own. How it is paid is forgotten where its account has said so, and decided is that
    /// what goes where that account wanted it, and is not sent, goes back to the owner.
    pub async fn unpair(&self, owner: PluginId, now: Moment, reason: &'static str) -> Result<()> {
        self.change(move |sql| {
            let owner: Value = owner.to_string().into();
            let account = "SELECT account FROM plugin WHERE id = ?1 AND account IS NOT NULL";
            if let Some(account) =
                sql.first(account, std::slice::from_ref(&owner), |row| Ok(row.text(0)?.to_owned()))?
            {
                forget_wishes(sql, &owner, &account, now, reason)?;
            }
            let unpair = "UPDATE plugin SET account = NULL, paired = NULL WHERE id = ?1";
            sql.execute(unpair, &[owner]).map(|_| ())
        })
        .await
    }

    /// Notes that the account of a plugin has revoked its key or secret, and forgets in the same way what the plugin
    /// has said itself of how it is paid.
    pub async fn revoke_plugin(&self, owner: PluginId, now: Moment, reason: &'static str) -> Result<()> {
        self.change(move |sql| {
            let owner: Value = owner.to_string().into();
            forget_wishes(sql, &owner, NOBODY, now, reason)?;
            let revoke = "UPDATE plugin SET revoked = COALESCE(revoked, ?2) WHERE id = ?1";
            sql.execute(revoke, &[owner, now.into()]).map(|_| ())
        })
        .await
    }

    /// Tells whether a plugin is an account's own.
    pub async fn is_paired(&self, owner: PluginId, account: AccountId) -> Result<bool> {
        self.read(move |sql| {
            let query = "SELECT COUNT(*) FROM plugin WHERE id = ?1 AND account = ?2";
            Ok(sql.number(query, &[owner.to_string().into(), account.to_string().into()])? > 0)
        })
        .await
    }

    /// Tells whether a plugin's key or secret is revoked.
    pub async fn is_revoked(&self, owner: PluginId) -> Result<bool> {
        self.read(move |sql| {
            let query = "SELECT COUNT(*) FROM plugin WHERE id = ?1 AND revoked IS NOT NULL";
            Ok(sql.number(query, &[owner.to_string().into()])? > 0)
        })
        .await
    }

    /// Lets a payout go that waits for the operator, together with what his log says of it.
    pub async fn approve_payout(&self, id: PayoutId, now: Moment, act: Act) -> Result<()> {
        self.change(move |sql| {
            let approve = "UPDATE payout SET approved = COALESCE(approved, ?2) WHERE id = ?1";
            update(sql, id, approve, vec![now.into()])?;
            operator_log::insert(sql, now, &act)
        })
        .await
    }

    /// Notes that there is nothing left to do about a payout.
    pub async fn close_payout(&self, id: PayoutId, now: Moment) -> Result<()> {
        self.update(id, "UPDATE payout SET closed = ?2 WHERE id = ?1", vec![now.into()]).await
    }

    /// Tells whether the ledger has an entry.
    pub async fn has_entry(&self, id: String) -> Result<bool> {
        self.read(move |sql| entries::is_known(sql, &id)).await
    }

    async fn update(&self, id: PayoutId, statement: &'static str, values: Vec<Value>) -> Result<()> {
        self.change(move |sql| update(sql, id, statement, values)).await
    }
}

impl Unstarted {
    /// Removes payouts that the ledger never had: the process died before it moved their money.
    pub fn drop_unposted_payouts(&mut self) -> Result<u64> {
        self.sql.write(|sql| {
            sql.execute(
                "DELETE FROM payout WHERE closed IS NULL
                     AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.id = 'payout_requested:' || payout.id)",
                &[],
            )
        })
    }
}

/// Stands for the plugin itself among those who say how it is paid.
const NOBODY: &str = "";

/// Forgets how an owner is paid where an account has said so, or the plugin itself for [`NOBODY`], and decides
/// that what goes where it wanted it, and is not sent, goes back.
fn forget_wishes(
    sql: &mut Sql,
    owner: &Value,
    account: &str,
    now: Moment,
    reason: &'static str,
) -> Result<()> {
    sql.execute(
        "UPDATE payout_method SET removed = ?3, due = NULL
             WHERE owner = ?1 AND COALESCE(account, '') = ?2 AND removed IS NULL",
        &[owner.clone(), account.into(), now.into()],
    )?;
    sql.execute(
        "UPDATE payout SET outcome = 'cancelled', reason = ?3, tries = 0
             WHERE owner = ?1 AND COALESCE(account, '') = ?2 AND closed IS NULL AND outcome IS NULL
                 AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.id = 'payout_sent:' || payout.id)",
        &[owner.clone(), account.into(), reason.into()],
    )?;
    Ok(())
}

fn update(sql: &mut Sql, id: PayoutId, statement: &'static str, values: Vec<Value>) -> Result<()> {
    let mut all: Vec<Value> = vec![id.to_string().into()];
    all.extend(values);
    ensure!(sql.execute(statement, &all)? == 1, "there is no payout {id}");
    Ok(())
}

fn insert(sql: &mut Sql, payout: &PayoutRow) -> Result<()> {
    sql.execute(
        "INSERT INTO payout (id, owner, method, destination, amount, cost, automatic, created, approved,
             submitted, rail_cost, reason, tries, due, account)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        &[
            payout.id.to_string().into(),
            payout.owner.to_string().into(),
            payout.method.to_string().into(),
            payout.destination.as_str().into(),
            payout.quote.amount.into(),
            payout.quote.cost.into(),
            u32::from(payout.automatic).into(),
            payout.created.into(),
            payout.approved.into(),
            payout.submitted.name().into(),
            payout.rail_cost.into(),
            payout.reason.clone().into(),
            payout.tries.into(),
            payout.due.into(),
            payout.account.map(|account| account.to_string()).into(),
        ],
    )?;
    Ok(())
}

fn read_payout(row: &Row) -> Result<PayoutRow> {
    let submitted = match row.text(10)? {
        "no" => Submitted::No,
        "yes" => Submitted::Yes,
        // The one under which nothing is closed and nothing sent anew.
        _ => Submitted::Perhaps,
    };
    Ok(PayoutRow {
        id: row.parsed(0)?,
        owner: row.parsed(1)?,
        method: row.parsed(2)?,
        destination: row.text(3)?.to_owned(),
        quote: Quote { amount: row.nanos(4)?, cost: row.nanos(5)? },
        automatic: row.number(6)? != 0,
        created: row.moment(7)?,
        approved: moment(row, 8)?,
        prepared: if row.is_null(9)? { None } else { Some(row.bytes(9)?.to_owned()) },
        submitted,
        name: text(row, 11)?,
        outcome: if row.is_null(12)? { None } else { Some(row.parsed(12)?) },
        rail_cost: row.nanos(13)?,
        reference: text(row, 14)?,
        reason: text(row, 15)?,
        tries: u32::try_from(row.count(16)?).unwrap_or(u32::MAX),
        due: row.moment(17)?,
        closed: moment(row, 18)?,
        by_hand: row.number(19)? != 0,
        reached: [moment(row, 20)?, moment(row, 21)?, moment(row, 22)?, moment(row, 23)?, moment(row, 24)?],
        account: if row.is_null(25)? { None } else { Some(row.parsed(25)?) },
    })
}

fn text(row: &Row, at: usize) -> Result<Option<String>> {
    if row.is_null(at)? { Ok(None) } else { Ok(Some(row.text(at)?.to_owned())) }
}
