//! Corrections: an entry taken back by new ones that move its money the other way.

use rekursing_protocol::{Moment, Nanos};

use super::{
    Account, Book, BookRefusal, Cause, Entry, EntryKind, Posting, SetAside, Settle, Transfer, settle::less,
};

/// Why an entry is not taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorrectionRefusal {
    /// Something else depends on it: a hold and its void are their job's, a payout's entries are its states,
    /// a release is what its owner has waited for, what an ad brought is counted by its campaign, and a
    /// correction has put right what it is about.
    #[error(
        "only charges, grants, payments and premium are taken back; holds, payouts, releases, ads and \
         corrections are not"
    )]
    NotCorrectable,
    /// An entry that moved nothing.
    #[error("the entry has moved nothing")]
    Nothing,
    /// An account has spent what it would give back.
    #[error("{account} would have to give {needs} USD back and has {available} USD")]
    Insufficient {
        /// Whose money is missing.
        account: Account,
        /// What it would give.
        needs: Nanos,
        /// What it has.
        available: Nanos,
    },
    /// Of a charge, what the owner was paid has left, and neither what is left of it nor the platform's fees
    /// cover it.
    #[error("{owner} has {has} USD of the {needs} USD that it earned, and the platform has {platform} USD")]
    Uncovered {
        /// Who earned.
        owner: Account,
        /// What was earned and is to go back.
        needs: Nanos,
        /// What the owner has, with what is held back.
        has: Nanos,
        /// What the platform has.
        platform: Nanos,
    },
    /// Whoever paid disputes it, and nobody has decided yet.
    #[error("this charge is disputed; uphold or reject that")]
    Disputed,
    /// The book's own reason, such as that it was done before.
    #[error(transparent)]
    Book(#[from] BookRefusal),
}

/// Returns the id of the `n`th entry that takes another one back.
pub fn correction_id(entry: &str, n: usize) -> String {
    format!("correction:{entry}:{n}")
}

impl Entry {
    /// Returns what takes the entry back: its postings the other way around, for a settled job see
    /// [`give_back`].
    fn reversed(&self, now: Moment, has: Has<'_>) -> Result<Vec<Posting>, CorrectionRefusal> {
        let back: Vec<Posting> = match &self.kind {
            EntryKind::Hold { .. } | EntryKind::Void { .. } => return Err(CorrectionRefusal::NotCorrectable),
            EntryKind::Settle(settle) => give_back(now, settle, has)?,
            EntryKind::Transfer(transfer) if transfer.cause.is_correctable() || is_loss(transfer) => {
                let turn =
                    |Posting { debit, credit, amount }| Posting { debit: credit, credit: debit, amount };
                self.postings().map(turn).collect()
            }
            EntryKind::Transfer(_) => return Err(CorrectionRefusal::NotCorrectable),
        };
        if back.is_empty() { Err(CorrectionRefusal::Nothing) } else { Ok(back) }
    }
}

/// Tells whether the platform, or nobody, paid for a payment that went back. A dispute that is won brings it
/// again.
fn is_loss(transfer: &Transfer) -> bool {
    let Transfer { cause, from, to, .. } = transfer;
    *cause == Cause::Correction
        && matches!(from, Account::Platform | Account::Shortfall)
        && *to == Account::Outside
}

/// Tells what an account has.
type Has<'a> = &'a dyn Fn(Account) -> Nanos;

impl Book {
    /// Takes an entry back for a reason: all of it, or nothing where an account would go below zero.
    ///
    /// The book knows of the latest corrections; whoever may repeat an older one must ask the store.
    pub fn correct(
        &mut self,
        now: Moment,
        entry: &Entry,
        reason: &str,
    ) -> Result<Vec<Entry>, CorrectionRefusal> {
        let back = self.way_back(now, entry, &|account| self.balance(account))?;
        self.take_back(now, entry, reason, &back)
    }

    /// Takes the charge of a job back that was disputed, for a reason, out of what was set aside first: all of it,
    /// or nothing. The first entries give that to its owner again.
    pub fn uphold(
        &mut self,
        now: Moment,
        charge: &Entry,
        aside: SetAside,
        reason: &str,
    ) -> Result<Vec<Entry>, CorrectionRefusal> {
        let EntryKind::Settle(settle) = &charge.kind else { return Err(CorrectionRefusal::NotCorrectable) };
        let given = aside.goes_back(now, settle);
        let has = |account| {
            let more = given.iter().filter(|(to, _)| *to == account).map(|(_, amount)| amount.get());
            Nanos::new(self.balance(account).get() + more.sum::<i64>())
        };
        let back = self.way_back(now, charge, &has)?;
        let mut made = self.end_dispute(now, settle, aside)?;
        made.extend(self.take_back(now, charge, reason, &back)?);
        Ok(made)
    }

    /// Returns what takes an entry back, if that was not done before and every account has what it takes.
    fn way_back(&self, now: Moment, entry: &Entry, has: Has<'_>) -> Result<Vec<Posting>, CorrectionRefusal> {
        if self.has_transfer(&correction_id(&entry.id, 0)) {
            return Err(BookRefusal::Exists.into());
        }
        let back = entry.reversed(now, has)?;
        for Posting { debit: account, amount: needs, .. } in &back {
            let available = has(*account);
            if !account.may_be_negative() && available < *needs {
                return Err(CorrectionRefusal::Insufficient { account: *account, needs: *needs, available });
            }
        }
        Ok(back)
    }

    fn take_back(
        &mut self,
        now: Moment,
        entry: &Entry,
        reason: &str,
        back: &[Posting],
    ) -> Result<Vec<Entry>, CorrectionRefusal> {
        // From here on only money from outside can be refused, as too much, and an entry that comes from
        // outside has one posting.
        let made = back.iter().enumerate().map(|(n, Posting { debit, credit, amount })| {
            let (from, to, note) = (*debit, *credit, reason.to_owned());
            let transfer = Transfer { cause: Cause::Correction, from, to, amount: *amount, note };
            self.transfer(now, &format!("{}:{n}", entry.id), transfer)
        });
        Ok(made.collect::<Result<_, _>>()?)
    }
}

/// Returns what gives a charge back, straight to its payer and not through escrow. The owner gives what
/// was earned, wherever it is now: what was held back may have been released since. What the owner does
/// not have any more, because it was paid out, is the platform's to give, beside its fee; what the platform does
/// not have of its fee is missing in [`Account::Shortfall`].
fn give_back(now: Moment, settle: &Settle, has: Has<'_>) -> Result<Vec<Posting>, CorrectionRefusal> {
    let (owner, held) = (Account::Owner(settle.owner), Account::Held(settle.owner));
    let [available, withheld] = [owner, held].map(has);
    let is_held = settle.release_at > now;
    let mut from_held = if is_held { settle.held_back.min(withheld) } else { Nanos::ZERO };
    let from_owner = less(settle.earned(), from_held).min(available);
    let missing = less(less(settle.earned(), from_held), from_owner);
    // What is held back of other charges is there to cover this too.
    let more = missing.min(less(withheld, from_held));
    from_held = Nanos::new(from_held.get() + more.get());
    let cover = less(missing, more);
    let platform = has(Account::Platform);
    if platform < cover {
        let (needs, has) = (settle.earned(), less(settle.earned(), cover));
        return Err(CorrectionRefusal::Uncovered { owner, needs, has, platform });
    }
    // Its fee is the platform's to give also where that has gone since, for what nobody had.
    let needs = settle.fee.checked_add(cover).ok_or(BookRefusal::Overflow)?;
    let from_platform = needs.min(platform);
    let missing = less(needs, from_platform);
    let legs = [
        (owner, from_owner),
        (held, from_held),
        (Account::Platform, from_platform),
        (Account::Shortfall, missing),
    ];
    let legs = legs.into_iter().filter(|(_, amount)| *amount > Nanos::ZERO);
    Ok(legs.map(|(debit, amount)| Posting { debit, credit: settle.payer, amount }).collect())
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::{AccountId, JobId, KeyId, PluginId, Price};

    use super::*;
    use crate::{
        ledger::{Borne, Quote, Settlement, repaid_id},
        tier::Tier,
    };

    const PAGE: Account = Account::Page(AccountId::from_bits(1));
    const OWNER: PluginId = PluginId::from_bits(2);
    const JOB: JobId = JobId::from_bits(3);
    const NOW: Moment = Moment(1_000);

    /// A book with a grant of 5,000, a hold of 2,000 and its charge of 1,000, half of whose earning is held.
    fn charged() -> (Book, [Entry; 3]) {
        let mut book = Book::default();
        let grant = book.grant(NOW, "x", PAGE, Nanos::new(5_000)).unwrap();
        let price = Price::new(0, 1_000);
        let hold = book.hold(NOW, JOB, PAGE, Quote::new(price, 0, 2_000).unwrap()).unwrap();
        let settlement = Settlement {
            job: JOB,
            lease: 1,
            owner: OWNER,
            api_key: Some(KeyId::from_bits(4)),
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
            release_at: Moment(9),
        };
        let settle = book.settle(NOW, settlement).unwrap();
        (book, [grant, hold, settle])
    }

    #[test]
    fn a_charge_goes_back_from_whoever_was_paid_to_the_payer_once() {
        let (mut book, [_, _, settle]) = charged();
        let made = book.correct(NOW, &settle, "the answer was empty").unwrap();
        let ids: Vec<&str> = made.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids, [0, 1, 2].map(|n| correction_id(&settle.id, n)));
        let accounts =
            [PAGE, Account::Owner(OWNER), Account::Held(OWNER), Account::Platform, Account::Escrow];
        assert_eq!(accounts.map(|account| book.balance(account).get()), [5_000, 0, 0, 0, 0]);
        assert_eq!(book.audit(), Ok(()));
        for reason in ["the answer was empty", "another"] {
            let again = book.correct(NOW, &settle, reason);
            assert_eq!(again, Err(CorrectionRefusal::Book(BookRefusal::Exists)));
        }
    }

    #[test]
    fn nothing_is_taken_back_that_was_spent_since() {
        let (mut book, [grant, hold, settle]) = charged();
        let payout = Transfer {
            cause: Cause::PayoutRequested,
            from: Account::Owner(OWNER),
            to: Account::PayoutRequested,
            amount: Nanos::new(51),
            note: String::new(),
        };
        book.transfer(NOW, "1", payout).unwrap();
        let (owner, needs) = (Account::Owner(OWNER), Nanos::new(950));
        let (has, platform) = (Nanos::new(899), Nanos::new(50));
        let short = CorrectionRefusal::Uncovered { owner, needs, has, platform };
        assert_eq!(book.correct(NOW, &settle, "x"), Err(short));
        assert_eq!(book.balance(Account::Platform), Nanos::new(50), "nothing or all of it");
        let short = CorrectionRefusal::Insufficient {
            account: PAGE,
            needs: Nanos::new(5_000),
            available: Nanos::new(4_000),
        };
        assert_eq!(book.correct(NOW, &grant, "x"), Err(short));
        assert_eq!(book.correct(NOW, &hold, "x"), Err(CorrectionRefusal::NotCorrectable));
        assert_eq!(book.audit(), Ok(()));
    }

    /// Moves money at will.
    fn moved(book: &mut Book, cause: Cause, from: Account, to: Account, amount: i64) {
        let (amount, note) = (Nanos::new(amount), String::new());
        let id = format!("{from}-{to}-{amount}");
        book.transfer(NOW, &id, Transfer { cause, from, to, amount, note }).unwrap();
    }

    #[test]
    fn a_charge_goes_back_wherever_what_was_earned_is_now() {
        let (owner, held) = (Account::Owner(OWNER), Account::Held(OWNER));
        // What is released, what is paid out, what else is held back, what else the platform has; and what
        // the owner, what is held back and the platform are left with.
        for (released, paid_out, withheld, fees, left) in [
            (475, 0, 0, 0, [0, 0, 0]),
            (200, 0, 0, 0, [0, 0, 0]),
            (475, 300, 0, 300, [0, 0, 0]),
            (475, 300, 0, 310, [0, 0, 10]),
            (0, 475, 475, 0, [0, 0, 0]),
            (475, 950, 100, 850, [0, 0, 0]),
            (475, 0, 100, 0, [0, 100, 0]),
            (475, 40, 0, 0, [0, 0, -40]),
        ] {
            let (mut book, [_, _, settle]) = charged();
            if released > 0 {
                moved(&mut book, Cause::Release, held, owner, released);
            }
            if paid_out > 0 {
                moved(&mut book, Cause::PayoutRequested, owner, Account::PayoutRequested, paid_out);
            }
            if withheld > 0 {
                moved(&mut book, Cause::Correction, Account::Outside, held, withheld);
            }
            if fees > 0 {
                moved(&mut book, Cause::Correction, Account::Outside, Account::Platform, fees);
            }
            book.correct(NOW, &settle, "it was empty").unwrap();
            assert_eq!(book.balance(PAGE), Nanos::new(5_000), "the payer has all of it");
            let platform = book.balance(Account::Platform).get() + book.balance(Account::Shortfall).get();
            let has = [book.balance(owner).get(), book.balance(held).get(), platform];
            assert_eq!(has, left, "{released} {paid_out} {withheld} {fees}");
            assert_eq!(book.audit(), Ok(()));
        }
    }

    /// The example of `docs/ledger.md`, with a nano-dollar for a thousandth of a dollar.
    #[test]
    fn a_charge_whose_fee_is_gone_is_given_back_and_fills_what_its_payment_left_missing() {
        let (mut book, [_, _, settle]) = charged();
        let document = include_str!("../../../docs/ledger.md");
        let told = |book: &Book, after: &str| {
            let has = |account| book.balance(account).get();
            let owner = has(Account::Owner(OWNER)) + has(Account::Held(OWNER));
            let accounts =
                [has(PAGE), owner, has(Account::Platform), has(Account::Shortfall), has(Account::Outside), 0];
            let dollars = accounts.map(|nanos| Nanos::new(nanos * 1_000_000).to_string().replace('-', "−"));
            let row = format!("| {after} | {} |", dollars.join(" | "));
            assert!(document.contains(&row), "{row}");
        };
        told(&book, "the top-up and the charge");
        let lost = book.pay_back(NOW, "dp_1", PAGE, Nanos::new(5_000), "disputed").unwrap();
        told(&book, "the dispute");
        book.correct(NOW, &settle, "a stolen card").unwrap();
        told(&book, "the charge is taken back");
        let mut borne = Borne::default();
        lost.entries.iter().for_each(|entry| borne.count(PAGE, entry));
        assert_eq!([borne.account, borne.platform, borne.shortfall].map(Nanos::get), [4_000, 50, 950]);
        let made = book.repay(NOW, "dp_1:1", PAGE, Nanos::new(1_000), borne, "disputed").unwrap();
        let ids: Vec<&str> = made.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids, [0, 1].map(|n| repaid_id("dp_1:1", n)));
        told(&book, "and pays what others bore");
        made.iter().for_each(|entry| borne.count(PAGE, entry));
        assert_eq!([borne.account, borne.platform, borne.shortfall].map(Nanos::get), [5_000, 0, 0]);
        moved(&mut book, Cause::Cover, Account::Platform, Account::Shortfall, 50);
        told(&book, "midnight: `cover:{moment}`");
        assert_eq!(book.audit(), Ok(()));
    }

    #[test]
    fn what_something_else_depends_on_is_not_taken_back() {
        let (mut book, [_, _, settle]) = charged();
        let made = book.correct(NOW, &settle, "x").unwrap();
        assert_eq!(book.correct(NOW, &made[0], "it was right"), Err(CorrectionRefusal::NotCorrectable));
        let (mut book, _) = charged();
        let payout = Transfer {
            cause: Cause::PayoutRequested,
            from: Account::Owner(OWNER),
            to: Account::PayoutRequested,
            amount: Nanos::new(1),
            note: String::new(),
        };
        let asked = book.transfer(NOW, "1", payout).unwrap();
        assert_eq!(book.correct(NOW, &asked, "x"), Err(CorrectionRefusal::NotCorrectable));
    }
}
