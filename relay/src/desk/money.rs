//! Money at the desk that is no job's: what comes in, goes back or is put right, and what there is.

use rekursing_market::{
    Charged, Premium, PremiumRefusal, Taken,
    ledger::{Account, Book, BookRefusal, CorrectionRefusal, Entry, Transfer},
};
use rekursing_protocol::{AccountId, KeyId, Moment, Nanos};
use tokio::sync::oneshot;

use super::Desk;
use crate::store::Act;

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

    /// Credits a payment, less what it cost, unless that was done before.
    pub fn pay_in(
        &self,
        id: &str,
        to: Account,
        amount: Nanos,
        cost: Nanos,
        note: &str,
    ) -> Result<(), BookRefusal> {
        match self.run(|market, now| market.pay_in(now, id, to, amount, cost, note)) {
            Ok(()) | Err(BookRefusal::Exists) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Gives a payment back that is gone already, unless that was done before. What nobody has for it goes
    /// into the operator's log.
    pub fn pay_back(
        &self,
        id: &str,
        from: Account,
        amount: Nanos,
        note: &str,
        act: impl FnOnce(Nanos) -> Act,
    ) -> Result<(), BookRefusal> {
        let back = self.run(|market, now| {
            let uncovered = market.pay_back(now, id, from, amount, note)?;
            if uncovered > Nanos::ZERO {
                tracing::error!(id, account = %from, %uncovered, "money went back that nobody has any more");
                // Nobody waits for it: it is stored with the entries.
                drop(self.shared.store.log(now, act(uncovered)));
            }
            Ok(())
        });
        match back {
            Ok(()) | Err(BookRefusal::Exists) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Takes an entry back, and says so in the operator's log, at the latest together with it. Who waits for
    /// what is returned hears when the log has it.
    pub fn correct(
        &self,
        entry: &Entry,
        charged: Option<&Charged>,
        reason: &str,
        act: Act,
    ) -> Result<oneshot::Receiver<anyhow::Result<()>>, CorrectionRefusal> {
        self.run(|market, now| {
            market.correct(now, entry, charged, reason)?;
            // In front of the entries, which are queued when this is over.
            Ok(self.shared.store.log(now, act))
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
