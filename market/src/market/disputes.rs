//! Disputes: what a job has earned is set aside until somebody has decided.

use rekursing_protocol::{JobId, Moment, Nanos};

use super::Market;
use crate::{
    ledger::{Account, BookRefusal, CorrectionRefusal, Entry, SetAside, Settle},
    purse::Charged,
};

impl Market {
    /// Sets aside what a job has earned, see [`Book::dispute`](crate::Book::dispute): each entry that does so is to
    /// be stored. Until it is decided, the charge is not taken back otherwise.
    ///
    /// # Errors
    /// When it was done before, or the charge was taken back, as far as the book remembers.
    pub fn dispute(&mut self, now: Moment, settle: &Settle) -> Result<SetAside, BookRefusal> {
        let (aside, made) = self.book.dispute(now, settle)?;
        self.disputed.insert(settle.job);
        self.held_back.take_at(settle.release_at, settle.owner, aside.held_back);
        made.into_iter().for_each(|entry| self.record(entry));
        Ok(aside)
    }

    /// Tells whether a job is disputed, and nobody has decided.
    pub fn is_disputed(&self, job: JobId) -> bool {
        self.disputed.contains(&job)
    }

    /// Rejects a dispute: what was set aside is its owner's again. Each entry that does so is to be stored.
    pub fn reject(&mut self, now: Moment, settle: &Settle, aside: SetAside) -> Result<(), BookRefusal> {
        let made = self.book.end_dispute(now, settle, aside)?;
        self.disputed.remove(&settle.job);
        self.held_back.add(settle.release_at, settle.owner, aside.held_on(now, settle));
        made.into_iter().for_each(|entry| self.record(entry));
        Ok(())
    }

    /// Upholds a dispute: the charge is taken back like by [`Market::correct`], out of what was set aside first.
    /// Each entry that does so is to be stored. Returns what whoever paid has again.
    pub fn uphold(
        &mut self,
        now: Moment,
        charge: &Entry,
        settle: &Settle,
        aside: SetAside,
        charged: Option<&Charged>,
        reason: &str,
    ) -> Result<Nanos, CorrectionRefusal> {
        let made = self.book.uphold(now, charge, aside, reason)?;
        self.disputed.remove(&settle.job);
        self.held_back.add(settle.release_at, settle.owner, aside.held_on(now, settle));
        let (ended, back): (Vec<_>, Vec<_>) = made
            .into_iter()
            .partition(|entry| entry.postings().any(|moved| moved.debit == Account::Disputed));
        ended.into_iter().for_each(|entry| self.record(entry));
        Ok(self.corrected(now, charge, charged, back))
    }
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::{AccountId, PluginId, Price, Span};

    use super::*;
    use crate::{
        Book, Effect, History, Terms,
        ledger::{Cause, EntryKind, Quote, Settlement},
        tier::Tier,
    };

    #[test]
    fn what_is_set_aside_is_released_only_once_the_dispute_is_rejected() {
        let (owner, page) = (PluginId::from_bits(2), Account::Page(AccountId::from_bits(1)));
        let (now, due, price) = (Moment(1_000), Moment(Span::DAY.0 * 8), Price::new(0, 1_000));
        let mut book = Book::default();
        book.grant(now, "x", page, Nanos::new(5_000)).unwrap();
        let charge = |book: &mut Book, bits| {
            let job = JobId::from_bits(bits);
            book.hold(now, job, page, Quote::new(price, 0, 1_000).unwrap()).unwrap();
            let settlement = Settlement {
                job,
                lease: 1,
                owner,
                api_key: None,
                model: "m".to_owned(),
                tier_asked: Tier::Standard,
                tier: Tier::Standard,
                ask: price,
                price,
                prompt_tokens: 0,
                answer_tokens: 1_000,
                tier_permille: 1_000,
                fee_permille: 0,
                discount_permille: 0,
                holdback_permille: 500,
                release_at: due,
            };
            book.settle(now, settlement).unwrap()
        };
        let (one, _) = (charge(&mut book, 1), charge(&mut book, 2));
        let EntryKind::Settle(settle) = &one.kind else { panic!() };
        let mut market = Market::new(Terms::default(), book, 1);
        market
            .recall(now, History { held_back: vec![(owner, due, Nanos::new(1_000))], ..History::default() });
        let aside = market.dispute(now, settle).unwrap();
        assert_eq!(market.correct(due, &one, None, "x"), Err(CorrectionRefusal::Disputed));
        market.tick(due);
        let has = |market: &Market| {
            let accounts = [Account::Owner(owner), Account::Held(owner), Account::Disputed];
            accounts.map(|account| market.book().balance(account).get())
        };
        assert_eq!(has(&market), [1_000, 0, 1_000], "the other job's are released");
        market.reject(due, settle, aside).unwrap();
        market.tick(due + Span::DAY);
        assert_eq!(has(&market), [2_000, 0, 0]);
        let causes: Vec<Cause> = market
            .drain_effects()
            .map(|effect| {
                let Effect::Record(Entry { kind: EntryKind::Transfer(transfer), .. }) = effect else {
                    panic!("{effect:?}");
                };
                transfer.cause
            })
            .collect();
        assert_eq!(causes, [Cause::Dispute, Cause::Dispute, Cause::Release, Cause::DisputeEnded]);
        assert_eq!(market.book().audit(), Ok(()));
    }
}
