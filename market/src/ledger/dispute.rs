//! What is set aside of an earning while its job is disputed, and where it goes once that is decided.

use rekursing_protocol::{JobId, Moment, Nanos};

use super::{
    Account, Book, BookRefusal, Cause, Entry, Settle, Transfer, correction::correction_id, settle::less,
};

/// What of a disputed job's earning is set aside, by where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetAside {
    /// What could have been paid out.
    pub available: Nanos,
    /// What was held back already.
    pub held_back: Nanos,
}

impl SetAside {
    /// Returns what there is to set aside of a job's earning: what is held back of it, while it is, and the rest as
    /// far as its owner has it. What has left already is not there.
    fn of(now: Moment, settle: &Settle, available: Nanos, withheld: Nanos) -> SetAside {
        let is_held = settle.release_at > now;
        let held_back = if is_held { settle.held_back.min(withheld) } else { Nanos::ZERO };
        SetAside { available: less(settle.earned(), held_back).min(available), held_back }
    }

    /// Returns all of it.
    pub fn sum(self) -> Nanos {
        Nanos::new(self.available.get() + self.held_back.get())
    }

    /// Returns what of it is held back again once the dispute is over: what was, unless it has become due.
    pub fn held_on(self, now: Moment, settle: &Settle) -> Nanos {
        if settle.release_at > now { self.held_back } else { Nanos::ZERO }
    }

    /// Returns where it goes once the dispute is over, and how much of it.
    pub(super) fn goes_back(self, now: Moment, settle: &Settle) -> [(Account, Nanos); 2] {
        let held = self.held_on(now, settle);
        [(Account::Owner(settle.owner), less(self.sum(), held)), (Account::Held(settle.owner), held)]
    }
}

impl Book {
    /// Sets aside what a job has earned, as far as its owner has it.
    ///
    /// # Errors
    /// When it was done before, or the charge was taken back, as far as the book remembers.
    pub fn dispute(&mut self, now: Moment, settle: &Settle) -> Result<(SetAside, Vec<Entry>), BookRefusal> {
        if self.has_transfer(&correction_id(&format!("settle:{}", settle.job), 0)) {
            return Err(BookRefusal::Exists);
        }
        let (owner, held) = (Account::Owner(settle.owner), Account::Held(settle.owner));
        let aside = SetAside::of(now, settle, self.balance(owner), self.balance(held));
        let mut made = Vec::new();
        for (from, amount) in [(owner, aside.available), (held, aside.held_back)] {
            made.extend(self.move_disputed(now, settle.job, [from, Account::Disputed], amount)?);
        }
        Ok((aside, made))
    }

    /// Gives back what was set aside for a dispute.
    ///
    /// # Errors
    /// When it was done before, as far as the book remembers.
    pub fn end_dispute(
        &mut self,
        now: Moment,
        settle: &Settle,
        aside: SetAside,
    ) -> Result<Vec<Entry>, BookRefusal> {
        let mut made = Vec::new();
        for (to, amount) in aside.goes_back(now, settle) {
            made.extend(self.move_disputed(now, settle.job, [Account::Disputed, to], amount)?);
        }
        Ok(made)
    }

    fn move_disputed(
        &mut self,
        now: Moment,
        job: JobId,
        [from, to]: [Account; 2],
        amount: Nanos,
    ) -> Result<Option<Entry>, BookRefusal> {
        if amount <= Nanos::ZERO {
            return Ok(None);
        }
        let (cause, whose) =
            if to == Account::Disputed { (Cause::Dispute, from) } else { (Cause::DisputeEnded, to) };
        let place = whose.class().unwrap_or_default();
        let transfer = Transfer { cause, from, to, amount, note: String::new() };
        self.transfer(now, &format!("{job}:{place}"), transfer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rekursing_protocol::{AccountId, PluginId, Price};

    use super::*;
    use crate::{
        ledger::{CorrectionRefusal, Quote, Replay, Settlement},
        tier::Tier,
    };

    const PAGE: Account = Account::Page(AccountId::from_bits(1));
    const OWNER: PluginId = PluginId::from_bits(2);
    const NOW: Moment = Moment(1_000);
    const DUE: Moment = Moment(5_000);

    /// A book with a job that was charged 1,000, of which 950 were earned and 475 are held back.
    fn charged() -> (Book, Vec<Entry>) {
        let (mut book, job, price) = (Book::default(), JobId::from_bits(3), Price::new(0, 1_000));
        let grant = book.grant(NOW, "x", PAGE, Nanos::new(5_000)).unwrap();
        let hold = book.hold(NOW, job, PAGE, Quote::new(price, 0, 2_000).unwrap()).unwrap();
        let settlement = Settlement {
            job,
            lease: 1,
            owner: OWNER,
            api_key: None,
            model: "m".to_owned(),
            tier_asked: Tier::Standard,
            tier: Tier::Standard,
            ask: price,
            price,
            prompt_tokens: 0,
            answer_tokens: 1_000,
            tier_permille: 1_000,
            fee_permille: 50,
            discount_permille: 0,
            holdback_permille: 500,
            release_at: DUE,
        };
        let settle = book.settle(NOW, settlement).unwrap();
        (book, vec![grant, hold, settle])
    }

    fn charge(entry: &Entry) -> &Settle {
        let crate::ledger::EntryKind::Settle(settle) = &entry.kind else { panic!("{entry:?}") };
        settle
    }

    /// What the owner, what is held back, the platform, the disputes and the page have.
    fn has(book: &Book) -> [i64; 5] {
        let accounts =
            [Account::Owner(OWNER), Account::Held(OWNER), Account::Platform, Account::Disputed, PAGE];
        accounts.map(|account| book.balance(account).get())
    }

    /// Lets the owner be paid out so much.
    fn paid_out(book: &mut Book, amount: i64) -> Entry {
        let (from, to) = (Account::Owner(OWNER), Account::PayoutRequested);
        let (amount, note) = (Nanos::new(amount), String::new());
        let transfer = Transfer { cause: Cause::PayoutRequested, from, to, amount, note };
        book.transfer(NOW, &format!("pay_{amount}"), transfer).unwrap()
    }

    fn replays(entries: &[Entry]) {
        let mut replay = Replay::default();
        entries.iter().try_for_each(|entry| replay.apply(entry)).unwrap();
    }

    #[test]
    fn what_a_disputed_job_earned_can_neither_be_paid_out_nor_released_and_comes_back_where_it_was() {
        let (mut book, mut entries) = charged();
        let settle = entries[2].clone();
        let (aside, made) = book.dispute(NOW, charge(&settle)).unwrap();
        assert_eq!((aside.available.get(), aside.held_back.get()), (475, 475));
        assert_eq!(has(&book), [0, 0, 50, 950, 4_000]);
        assert_eq!(book.dispute(NOW, charge(&settle)).unwrap().0, SetAside::default(), "nothing is left");
        entries.extend(made);
        let (mut due, mut all) = (Book::restore(book.balances(), []), entries.clone());
        entries.extend(book.end_dispute(NOW, charge(&settle), aside).unwrap());
        assert_eq!(has(&book), [475, 475, 50, 0, 4_000]);
        replays(&entries);
        // What has become due meanwhile is not held back again.
        all.extend(due.end_dispute(DUE, charge(&settle), aside).unwrap());
        assert_eq!(has(&due), [950, 0, 50, 0, 4_000]);
        replays(&all);
        assert_eq!((book.audit(), due.audit()), (Ok(()), Ok(())));
    }

    /// The example of `docs/ledger.md`, with a nano-dollar for a thousandth of a dollar.
    #[test]
    fn the_example_of_the_document_is_what_the_book_does() {
        let document = include_str!("../../../docs/ledger.md");
        let told = |book: &Book, after: &str| {
            let [owner, held, platform, disputed, page] = has(book);
            let outside = book.balance(Account::Outside).get();
            let dollars = [page, owner, held, disputed, platform, outside]
                .map(|nanos| Nanos::new(nanos * 1_000_000).to_string().replace('-', "−"));
            let row = format!("| {after} | {} |", dollars.join(" | "));
            assert!(document.contains(&row), "{row}");
        };
        for is_upheld in [false, true] {
            let (mut book, entries) = charged();
            told(&book, "the charge");
            let (aside, _) = book.dispute(NOW, charge(&entries[2])).unwrap();
            told(&book, "it is disputed");
            if is_upheld {
                book.uphold(NOW, &entries[2], aside, "it was nonsense").unwrap();
                told(&book, "or upheld");
            } else {
                book.end_dispute(NOW, charge(&entries[2]), aside).unwrap();
                told(&book, "the dispute is rejected");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_an_owner_has_a_rejected_dispute_changes_nothing_and_an_upheld_one_gives_all_back(
            paid in 0_i64..=475,
            withheld in 0_i64..2_000,
            fees in 0_i64..1_000,
            is_due in any::<bool>(),
        ) {
            let (mut book, mut entries) = charged();
            let settle = entries[2].clone();
            if paid > 0 {
                entries.push(paid_out(&mut book, paid));
            }
            for (n, to, amount) in [(0, Account::Held(OWNER), withheld), (1, Account::Platform, fees)] {
                if amount > 0 {
                    let (amount, note) = (Nanos::new(amount), String::new());
                    let transfer =
                        Transfer { cause: Cause::Correction, from: Account::Outside, to, amount, note };
                    entries.push(book.transfer(NOW, &format!("more:{n}"), transfer).unwrap());
                }
            }
            let before = has(&book);
            let (aside, made) = book.dispute(NOW, charge(&settle)).unwrap();
            prop_assert!(aside.sum() <= charge(&settle).earned());
            prop_assert_eq!(aside.sum().get(), 950 - paid, "all that is there of it");
            entries.extend(made);
            let (mut other, mut all) = (Book::restore(book.balances(), []), entries.clone());
            let later = if is_due { DUE } else { NOW };
            entries.extend(book.end_dispute(later, charge(&settle), aside).unwrap());
            let due = if is_due { aside.held_back.get() } else { 0 };
            let [owner, held, platform, disputed, page] = before;
            prop_assert_eq!(has(&book), [owner + due, held - due, platform, disputed, page]);
            replays(&entries);
            let set_aside = has(&other);
            match other.uphold(later, &settle, aside, "x") {
                Ok(made) => {
                    prop_assert_eq!(other.balance(PAGE).get(), 5_000);
                    prop_assert_eq!(other.balance(Account::Disputed), Nanos::ZERO);
                    all.extend(made);
                    replays(&all);
                }
                Err(_) => prop_assert_eq!(has(&other), set_aside),
            }
            prop_assert_eq!((book.audit(), other.audit()), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn what_has_left_is_not_set_aside_and_an_upheld_dispute_is_a_correction_like_any_other() {
        // What was paid out, what the platform has besides; what is set aside, and whether it can be upheld.
        for (paid, fees, set_aside, is_covered) in
            [(0, 0, 950, true), (75, 0, 875, false), (75, 75, 875, true), (475, 475, 475, true)]
        {
            let (mut book, mut entries) = charged();
            let settle = entries[2].clone();
            if paid > 0 {
                entries.push(paid_out(&mut book, paid));
            }
            if fees > 0 {
                let (from, to) = (Account::Outside, Account::Platform);
                let (amount, note) = (Nanos::new(fees), String::new());
                let transfer = Transfer { cause: Cause::Correction, from, to, amount, note };
                entries.push(book.transfer(NOW, "fees", transfer).unwrap());
            }
            let (aside, made) = book.dispute(NOW, charge(&settle)).unwrap();
            assert_eq!(aside.sum().get(), set_aside, "{paid}");
            entries.extend(made);
            let before = has(&book);
            match book.uphold(NOW, &settle, aside, "it was nonsense") {
                Ok(made) => {
                    assert!(is_covered);
                    assert_eq!(has(&book), [0, 0, 0, 0, 5_000], "{paid} {fees}");
                    entries.extend(made);
                    replays(&entries);
                    assert_eq!(book.dispute(NOW, charge(&settle)), Err(BookRefusal::Exists));
                    let again = book.uphold(NOW, &settle, SetAside::default(), "x");
                    assert_eq!(again, Err(CorrectionRefusal::Book(BookRefusal::Exists)));
                }
                Err(refusal) => {
                    assert!(matches!(refusal, CorrectionRefusal::Uncovered { .. }) && !is_covered);
                    assert_eq!(has(&book), before, "nothing or all of it");
                }
            }
            assert_eq!(book.audit(), Ok(()));
        }
    }
}
