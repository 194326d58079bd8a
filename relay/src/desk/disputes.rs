//! Disputes at the desk: what one sets aside or gives back is stored together with its row.

use rekursing_market::{
    Charged, Market,
    dispute::State,
    ledger::{BookRefusal, CorrectionRefusal, Entry, Settle},
};
use rekursing_protocol::{JobId, Moment};

use super::Desk;
use crate::store::{Act, Debt, Dispute, Disputed};

impl Desk {
    /// Opens a dispute: what its job has earned is set aside, as far as its owner has it.
    ///
    /// # Errors
    /// When the book refuses. Nothing moved, and nothing is stored.
    pub fn open_dispute(&self, settle: &Settle, row: Dispute) -> Result<Dispute, BookRefusal> {
        self.run_disputed(|market, now| {
            let aside = market.dispute(now, settle)?;
            Ok(Disputed { row: Dispute { aside, opened: now, ..row }, act: None })
        })
    }

    /// Notes that the operator has looked at a dispute.
    pub fn review_dispute(&self, row: Dispute, told: &str, act: Act) -> Dispute {
        let reviewed = self.run_disputed(|_, now| {
            let row = Dispute { state: State::Reviewed, reviewed: Some(now), told: told.to_owned(), ..row };
            Ok::<_, std::convert::Infallible>(Disputed { row, act: Some(act) })
        });
        match reviewed {
            Ok(row) => row,
            Err(never) => match never {},
        }
    }

    /// Rejects a dispute: what was set aside is its owner's again.
    ///
    /// # Errors
    /// When the book refuses. Nothing moved, and nothing is stored.
    pub fn reject_dispute(
        &self,
        settle: &Settle,
        row: Dispute,
        told: &str,
        act: Act,
    ) -> Result<Dispute, BookRefusal> {
        self.run_disputed(|market, now| {
            market.reject(now, settle, row.aside)?;
            Ok(decided(row, State::Rejected, now, told, act))
        })
    }

    /// Upholds a dispute: the charge is taken back like by [`Desk::correct`].
    ///
    /// # Errors
    /// When the book refuses. Nothing moved, and nothing is stored.
    pub fn uphold_dispute(
        &self,
        charge: (&Entry, &Settle),
        charged: Option<&Charged>,
        debts: &[Debt],
        row: Dispute,
        told: &str,
        act: Act,
    ) -> Result<Dispute, CorrectionRefusal> {
        let (entry, settle) = charge;
        self.run_disputed(|market, now| {
            let mut given = market.uphold(now, entry, settle, row.aside, charged, told)?;
            for Debt { id, borne, note } in debts {
                match market.repay(now, id, settle.payer, given, *borne, note) {
                    Ok(repaid) => given = given.checked_sub(repaid).unwrap_or_default(),
                    // The charge is given back all the same.
                    Err(refusal) => tracing::error!(id, %refusal, "could not pay again what others bore"),
                }
            }
            Ok(decided(row, State::Upheld, now, told, act))
        })
    }

    /// Tells whether a job is disputed, and nobody has decided.
    pub fn is_disputed(&self, job: JobId) -> bool {
        self.shared.market.lock().is_disputed(job)
    }

    /// Changes the market and stores the entries that follow together with a dispute's row.
    fn run_disputed<E>(
        &self,
        change: impl FnOnce(&mut Market, Moment) -> Result<Disputed, E>,
    ) -> Result<Dispute, E> {
        let mut market = self.shared.market.lock();
        let now = self.now();
        let disputed = change(&mut market, now)?;
        let (row, mut entries) = (disputed.row.clone(), Vec::new());
        let effects: Vec<_> = market.drain_effects().collect();
        effects.into_iter().for_each(|effect| self.execute(effect, &mut entries, &mut market, now));
        self.shared.store.append_disputed(entries, disputed);
        Ok(row)
    }
}

fn decided(row: Dispute, state: State, now: Moment, told: &str, act: Act) -> Disputed {
    let (prompt, answer) = Default::default();
    let row = Dispute { state, decided: Some(now), told: told.to_owned(), prompt, answer, ..row };
    Disputed { row, act: Some(act) }
}
