//! Money at the desk that is no job's: what comes in, goes back or is put right, and what there is.

use rekursing_market::{
    Charged, Market, Premium, PremiumRefusal, Taken,
    ledger::{
        Account, Book, BookRefusal, CorrectionRefusal, Entry, EntryKind, Transfer, correction_id,
        uncovered_id,
    },
};
use rekursing_protocol::{AccountId, KeyId, Moment, Nanos};

use super::Desk;
use crate::store::{Act, Debt, Missing, Note};

/// A payment that came in.
#[derive(Debug, Clone, Copy)]
pub struct PaidIn<'a> {
    /// What the ids of its entries end with.
    pub id: &'a str,
    /// Whose balance grows.
    pub to: Account,
    /// What was paid.
    pub amount: Nanos,
    /// What of it the payment cost.
    pub cost: Nanos,
    /// What a reader of the book should know.
    pub note: &'a str,
}

impl Desk {
    /// Adds a grant that is stored already, by this process or another one.
    pub fn granted(&self, grant: &Entry) {
        match self.shared.market.lock().book_mut().apply_foreign(grant) {
            // What this relay has stored itself is told again with what another process has.
            Ok(()) | Err(BookRefusal::Exists) => {}
            Err(refusal) => tracing::error!(id = %grant.id, %refusal, "could not take a grant into the book"),
        }
    }

    /// Moves money that is no job's: the entries that `change` makes in the book are stored in the order of
    /// all others.
    pub fn post<T>(&self, change: impl FnOnce(&mut Book, Moment) -> (T, Vec<Entry>)) -> T {
        let mut market = self.shared.market.lock();
        let (changed, entries) = change(market.book_mut(), self.now());
        self.shared.store.append(entries);
        changed
    }

    /// Moves money for a cause that is no job, and waits until that is durable. What this process has
    /// moved before under the same id does not move again. Of what was moved before it started only the
    /// store knows: whoever may repeat that asks it first.
    ///
    /// # Errors
    /// When the book refuses. Nothing moved.
    pub async fn transfer(&self, id: &str, transfer: Transfer) -> Result<(), BookRefusal> {
        let posted = self.run(|market, now| {
            let entry = market.book_mut().transfer(now, id, transfer)?;
            self.shared.store.append(vec![entry]);
            Ok(())
        });
        match posted {
            Ok(()) | Err(BookRefusal::Exists) => {
                self.shared.store.flushed().await;
                Ok(())
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Moves money that has left already and is the platform's to bear, see [`Book::bear`], unless that was
    /// done before, and waits until that is durable. Returns what nobody had.
    ///
    /// # Errors
    /// When the book refuses. Nothing moved.
    pub async fn bear(&self, id: &str, loss: Transfer) -> Result<Nanos, BookRefusal> {
        let borne = self.post(|book, now| match book.bear(now, id, loss) {
            Ok(entries) => {
                let missing = entries.iter().flat_map(Entry::postings);
                let missing = missing.filter(|posting| posting.debit == Account::Shortfall);
                let missing = missing.map(|posting| posting.amount.get()).sum();
                (Ok(Nanos::new(missing)), entries)
            }
            Err(BookRefusal::Exists) => (Ok(Nanos::ZERO), Vec::new()),
            Err(refusal) => (Err(refusal), Vec::new()),
        })?;
        self.shared.store.flushed().await;
        Ok(borne)
    }

    /// Credits a payment, less what it cost, unless that was done before, and takes what of it went back
    /// meanwhile: nobody can spend that in between.
    ///
    /// # Errors
    /// When the book refuses.
    pub fn pay_in(&self, paid: &PaidIn<'_>, back: &[Missing]) -> Result<(), BookRefusal> {
        self.run_noted(|market, now, notes| {
            let PaidIn { id, to, amount, cost, note } = *paid;
            match market.pay_in(now, id, to, amount, cost, note) {
                Ok(()) | Err(BookRefusal::Exists) => {}
                Err(refusal) => return Err(refusal),
            }
            back.iter().try_for_each(|back| even_out(market, now, to, back, notes))
        })
    }

    /// Makes the book follow what is reported of a payment to an account: more of it is gone, or some is here
    /// again. What nobody has of it goes into the operator's log.
    ///
    /// # Errors
    /// When the book refuses.
    pub fn even_out(&self, to: Account, missing: &[Missing]) -> Result<(), BookRefusal> {
        self.run_noted(|market, now, notes| {
            missing.iter().try_for_each(|missing| even_out(market, now, to, missing, notes))
        })
    }

    /// Takes an entry back, and says so in the operator's log, together with it. Of a charge, whoever paid it
    /// pays at once out of what it has again what others have borne for its payments.
    ///
    /// # Errors
    /// When the book refuses.
    pub fn correct(
        &self,
        entry: &Entry,
        charged: Option<&Charged>,
        reason: &str,
        debts: &[Debt],
        act: Act,
    ) -> Result<(), CorrectionRefusal> {
        self.run_noted(|market, at, notes| {
            let mut given = market.correct(at, entry, charged, reason)?;
            notes.push(Note { at, entry: correction_id(&entry.id, 0), act });
            if let EntryKind::Settle(settle) = &entry.kind {
                for Debt { id, borne, note } in debts {
                    let repaid = market.repay(at, id, settle.payer, given, *borne, note)?;
                    given = given.checked_sub(repaid).unwrap_or_default();
                }
            }
            Ok(())
        })
    }

    /// Makes an account premium or lets it go on, see [`rekursing_market::Market::subscribe`], and waits until that is durable.
    ///
    /// # Errors
    /// When none is sold, or the account has or agreed to less than it costs. Nothing moved.
    pub async fn subscribe(&self, account: AccountId, price_max: Nanos) -> Result<Premium, PremiumRefusal> {
        let premium = self.run(|market, now| market.subscribe(now, account, price_max))?;
        self.shared.store.flushed().await;
        Ok(premium)
    }

    /// Lets an account's premium end with its period, and waits until that is durable. Returns what is left
    /// of it, if anything is.
    pub async fn unsubscribe(&self, account: AccountId) -> Option<Premium> {
        let premium = self.run(|market, now| market.unsubscribe(now, account));
        self.shared.store.flushed().await;
        premium
    }

    /// Returns an account's premium while it lasts.
    pub fn premium(&self, account: AccountId) -> Option<Premium> {
        self.shared.market.lock().premium(self.now(), account)
    }

    /// Returns an account's balance.
    pub fn balance(&self, account: Account) -> Nanos {
        self.shared.market.lock().book().balance(account)
    }

    /// Returns what is set aside for an account's jobs, in time that grows with all that run.
    pub fn held(&self, account: Account) -> Nanos {
        let market = self.shared.market.lock();
        let held = market.book().open_holds().filter(|(_, payer, _)| *payer == account);
        Nanos::new(held.map(|(_, _, amount)| amount.get()).sum())
    }

    /// Returns what a key with a budget, and those made with it, have taken.
    pub fn taken(&self, key: KeyId) -> Taken {
        self.shared.market.lock().taken(self.now(), key)
    }
}

/// Books a part of a payment that is gone or here again, unless that was done before. What nobody has for it, the
/// operator's log tells.
fn even_out(
    market: &mut Market,
    at: Moment,
    to: Account,
    missing: &Missing,
    notes: &mut Vec<Note>,
) -> Result<(), BookRefusal> {
    let (id, note, uncovered) = match missing {
        Missing::Gone { id, amount, note } => (id, note, market.pay_back(at, id, to, *amount, note)),
        Missing::Back { id, amount, borne, note } => {
            let back = market.bring_back(at, id, to, *amount, *borne, note);
            (id, note, back.map(|()| Nanos::ZERO))
        }
    };
    let uncovered = match uncovered {
        Ok(uncovered) => uncovered,
        Err(BookRefusal::Exists) => return Ok(()),
        Err(refusal) => return Err(refusal),
    };
    if uncovered > Nanos::ZERO {
        tracing::error!(id, account = %to, %uncovered, "money went back that nobody has any more");
        let act = Act::uncovered("stripe", to, uncovered, format!("{id}: {note}"));
        notes.push(Note { at, entry: uncovered_id(id), act });
    }
    Ok(())
}
