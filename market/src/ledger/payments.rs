//! Payments: money that pages pay in, and that goes back the way it came.

use rekursing_protocol::{Moment, Nanos};

use super::{Account, Book, BookRefusal, Cause, Entry, Posting, Transfer, settle::less};

/// What paying in costs whoever pays in: the payment service's own price, passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentCost {
    /// For each payment.
    pub fixed: Nanos,
    /// On top, in thousandths of what is paid, rounded down.
    pub permille: u64,
}

/// What came of a payment that goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reclaimed {
    /// What moved, in order.
    pub entries: Vec<Entry>,
    /// What of it nobody had, neither the account nor the platform: it is missing in [`Account::Shortfall`].
    pub uncovered: Nanos,
}

/// Returns the id of the entry that says what of a payment that went back, by this id, nobody had.
pub fn uncovered_id(id: &str) -> String {
    format!("correction:refund:{id}:shortfall")
}

/// Returns the id of the `n`th entry that gives a payment, or a part of it, again that had gone back by this id.
pub fn returned_id(id: &str, n: usize) -> String {
    format!("correction:refund:{id}:returned:{n}")
}

/// Returns the id of the `n`th entry by which an account pays again what others have borne for a payment of it.
pub fn repaid_id(id: &str, n: usize) -> String {
    format!("correction:refund:{id}:repaid:{n}")
}

/// Who has borne what of a payment that went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Borne {
    /// What the account that it was paid to has given.
    pub account: Nanos,
    /// What the platform's fees were taken for.
    pub platform: Nanos,
    /// What nobody had.
    pub shortfall: Nanos,
}

impl Borne {
    /// Adds what an entry about the payment takes from its account, the platform or nobody, and takes off what
    /// it gives them.
    pub fn count(&mut self, to: Account, entry: &Entry) {
        for Posting { debit, credit, amount } in entry.postings() {
            for (account, amount) in [(debit, amount.get()), (credit, -amount.get())] {
                let part = if account == Account::Platform {
                    &mut self.platform
                } else if account == Account::Shortfall {
                    &mut self.shortfall
                } else if account == to {
                    &mut self.account
                } else {
                    continue;
                };
                *part = Nanos::new(part.get() + amount);
            }
        }
    }

    /// Returns all of it: what has left.
    pub fn sum(self) -> Nanos {
        Nanos::new(self.account.get() + self.platform.get() + self.shortfall.get())
    }
}

impl PaymentCost {
    /// Returns what a payment of so much costs; never more than it.
    pub fn of(self, amount: Nanos) -> Nanos {
        let share = amount.checked_share(self.permille, 1_000);
        let cost = share.and_then(|share| share.checked_add(self.fixed));
        cost.map_or(amount, |cost| cost.clamp(Nanos::ZERO, amount))
    }
}

impl Book {
    /// Credits a payment and takes from it what paying in has cost; both, or neither.
    pub fn pay_in(
        &mut self,
        now: Moment,
        id: &str,
        to: Account,
        amount: Nanos,
        cost: Nanos,
        note: &str,
    ) -> Result<Vec<Entry>, BookRefusal> {
        if cost.is_negative() || cost > amount {
            return Err(BookRefusal::Negative);
        }
        let paid = leg(Cause::TopUp, Account::Outside, to, amount, note);
        let mut entries = vec![self.transfer(now, id, paid)?];
        if cost > Nanos::ZERO {
            let passed_on = leg(Cause::TopUpCost, to, Account::Outside, cost, note);
            entries.push(self.transfer(now, id, passed_on).expect("it is a part of what was just credited"));
        }
        Ok(entries)
    }

    /// Gives a payment back that the payment service has taken already: out of the account as far as it
    /// goes, and what was spent since out of the platform's fees. What those do not cover either has left all
    /// the same, and is missing.
    pub fn pay_back(
        &mut self,
        now: Moment,
        id: &str,
        from: Account,
        amount: Nanos,
        note: &str,
    ) -> Result<Reclaimed, BookRefusal> {
        if amount.is_negative() {
            return Err(BookRefusal::Negative);
        }
        let loss = format!("refund:{id}");
        let known = [loss.clone(), format!("correction:{loss}"), uncovered_id(id)];
        if known.iter().any(|known| self.has_transfer(known)) {
            return Err(BookRefusal::Exists);
        }
        let part = self.balance(from).clamp(Nanos::ZERO, amount);
        let mut entries = Vec::new();
        if part > Nanos::ZERO {
            entries.push(self.transfer(now, id, leg(Cause::Refund, from, Account::Outside, part, note))?);
        }
        let rest = leg(Cause::Correction, Account::Platform, Account::Outside, less(amount, part), note);
        let borne = self.bear(now, &loss, rest)?;
        let missing = borne.iter().flat_map(Entry::postings);
        let missing = missing.filter(|posting| posting.debit == Account::Shortfall);
        let uncovered = Nanos::new(missing.map(|posting| posting.amount.get()).sum());
        entries.extend(borne);
        Ok(Reclaimed { entries, uncovered })
    }

    /// Takes over that a payment, or a part of it, is here again after it had gone back. Who bore it last has it
    /// first: what was missing is filled, then the platform has what it gave, and the rest is the account's.
    pub fn bring_back(
        &mut self,
        now: Moment,
        id: &str,
        to: Account,
        amount: Nanos,
        borne: Borne,
        note: &str,
    ) -> Result<Vec<Entry>, BookRefusal> {
        if (0..RETURNED_MAX).any(|n| self.has_transfer(&returned_id(id, n))) {
            return Err(BookRefusal::Exists);
        }
        let [missing, lost] = parts(amount, borne);
        let rest = less(less(amount, missing), lost);
        let parts = [(Account::Shortfall, missing), (Account::Platform, lost), (to, rest)];
        self.share(now, &format!("refund:{id}:returned"), Account::Outside, &parts, note)
    }

    /// Lets an account pay again what others have borne for a payment of it, out of what it was just given:
    /// first what is missing, then what the platform gave.
    pub fn repay(
        &mut self,
        now: Moment,
        id: &str,
        from: Account,
        most: Nanos,
        borne: Borne,
        note: &str,
    ) -> Result<Vec<Entry>, BookRefusal> {
        let [missing, lost] = parts(most.min(self.balance(from)), borne);
        let parts = [(Account::Shortfall, missing), (Account::Platform, lost)];
        self.share(now, &format!("refund:{id}:repaid"), from, &parts, note)
    }

    /// Moves each part that is something to its account, in entries whose ids end with their number.
    fn share(
        &mut self,
        now: Moment,
        id: &str,
        from: Account,
        parts: &[(Account, Nanos)],
        note: &str,
    ) -> Result<Vec<Entry>, BookRefusal> {
        let parts = parts.iter().filter(|(_, amount)| *amount > Nanos::ZERO).enumerate();
        let moved = parts.map(|(n, (to, amount))| {
            self.transfer(now, &format!("{id}:{n}"), leg(Cause::Correction, from, *to, *amount, note))
        });
        moved.collect()
    }

    /// Moves money that has left already and is the platform's to bear: out of its fees as far as they go, and
    /// the rest out of [`Account::Shortfall`], in an entry whose id ends with `:shortfall`.
    pub fn bear(&mut self, now: Moment, id: &str, loss: Transfer) -> Result<Vec<Entry>, BookRefusal> {
        let Transfer { cause, to, amount, ref note, .. } = loss;
        let missing = format!("{id}:shortfall");
        if [id, &missing].iter().any(|id| self.has_transfer(&format!("{cause}:{id}"))) {
            return Err(BookRefusal::Exists);
        }
        let part = self.balance(Account::Platform).clamp(Nanos::ZERO, amount);
        let legs = [(id, Account::Platform, part), (&missing, Account::Shortfall, less(amount, part))];
        let legs = legs.into_iter().filter(|(_, _, amount)| *amount > Nanos::ZERO);
        legs.map(|(id, from, amount)| self.transfer(now, id, leg(cause, from, to, amount, note))).collect()
    }
}

/// Most entries by which a payment is here again.
const RETURNED_MAX: usize = 3;

/// Returns what of an amount is to fill what is missing, and what of the rest the platform is to have again.
fn parts(amount: Nanos, borne: Borne) -> [Nanos; 2] {
    let missing = amount.clamp(Nanos::ZERO, borne.shortfall.max(Nanos::ZERO));
    [missing, less(amount, missing).clamp(Nanos::ZERO, borne.platform.max(Nanos::ZERO))]
}

fn leg(cause: Cause, from: Account, to: Account, amount: Nanos, note: &str) -> Transfer {
    Transfer { cause, from, to, amount, note: note.to_owned() }
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::AccountId;

    use super::*;

    const PAGE: Account = Account::Page(AccountId::from_bits(1));
    const NOW: Moment = Moment(1);

    fn nanos(book: &Book) -> [i64; 3] {
        [PAGE, Account::Platform, Account::Outside].map(|account| book.balance(account).get())
    }

    fn fees(book: &mut Book, amount: i64) {
        let (from, to) = (Account::Outside, Account::Platform);
        book.transfer(NOW, "fees", leg(Cause::Correction, from, to, Nanos::new(amount), "")).unwrap();
    }

    #[test]
    fn a_cost_is_rounded_down_and_never_more_than_what_is_paid() {
        let cost = PaymentCost { fixed: Nanos::new(300_000_000), permille: 29 };
        for (paid, expected) in [
            (20_000_000_000, 880_000_000),
            (1, 1),
            (0, 0),
            (300_000_001, 300_000_001),
            (400_000_033, 311_600_000),
        ] {
            assert_eq!(cost.of(Nanos::new(paid)).get(), expected, "{paid}");
        }
    }

    #[test]
    fn a_payment_is_credited_once_less_what_it_cost() {
        let mut book = Book::default();
        let pay =
            |book: &mut Book, cost| book.pay_in(NOW, "cs_1", PAGE, Nanos::new(100), Nanos::new(cost), "pi_1");
        let ids: Vec<String> = pay(&mut book, 7).unwrap().into_iter().map(|entry| entry.id).collect();
        assert_eq!(ids, ["top_up:cs_1", "top_up_cost:cs_1"]);
        assert_eq!(nanos(&book), [93, 0, -93]);
        assert_eq!(pay(&mut book, 7), Err(BookRefusal::Exists));
        assert_eq!(pay(&mut book, 101), Err(BookRefusal::Negative));
        assert_eq!(nanos(&book), [93, 0, -93]);
    }

    #[test]
    fn what_goes_back_is_taken_from_the_account_then_from_the_platform_and_never_from_others() {
        for (platform, uncovered, expected) in [(50, 0, [0, 43, -43]), (3, 4, [0, 0, 4])] {
            let mut book = Book::default();
            book.pay_in(NOW, "cs_1", PAGE, Nanos::new(93), Nanos::ZERO, "").unwrap();
            fees(&mut book, platform);
            let back = book.pay_back(NOW, "dp_1", PAGE, Nanos::new(100), "fraudulent").unwrap();
            assert_eq!(back.uncovered, Nanos::new(uncovered));
            let ids: Vec<&str> = back.entries.iter().map(|entry| entry.id.as_str()).collect();
            assert_eq!(ids[..2], ["refund:dp_1", "correction:refund:dp_1"]);
            assert_eq!(ids.get(2).copied(), (uncovered > 0).then_some(uncovered_id("dp_1").as_str()));
            assert_eq!(nanos(&book), expected, "as much has left as the payment service has taken");
            assert_eq!(book.balance(Account::Shortfall).get(), -uncovered);
            let again = book.pay_back(NOW, "dp_1", PAGE, Nanos::new(100), "fraudulent");
            assert_eq!(again, Err(BookRefusal::Exists));
            assert_eq!(book.audit(), Ok(()));
        }
    }

    #[test]
    fn a_loss_that_comes_back_fills_what_was_missing_then_what_the_platform_gave() {
        // What comes back, and what the account, the platform and nobody bear of a hundred after it.
        for (amount, left) in [(4, [90, 6, 0]), (7, [90, 3, 0]), (30, [70, 0, 0]), (100, [0, 0, 0])] {
            let mut book = Book::default();
            book.pay_in(NOW, "cs_1", PAGE, Nanos::new(90), Nanos::ZERO, "").unwrap();
            fees(&mut book, 6);
            let mut borne = Borne::default();
            let gone = book.pay_back(NOW, "dp_1", PAGE, Nanos::new(100), "fraudulent").unwrap();
            gone.entries.iter().for_each(|entry| borne.count(PAGE, entry));
            assert_eq!(borne.sum(), Nanos::new(100));
            let bring =
                |book: &mut Book| book.bring_back(NOW, "dp_1", PAGE, Nanos::new(amount), borne, "won");
            let made = bring(&mut book).unwrap();
            assert_eq!(bring(&mut book), Err(BookRefusal::Exists));
            made.iter().for_each(|entry| borne.count(PAGE, entry));
            assert_eq!([borne.account, borne.platform, borne.shortfall].map(Nanos::get), left, "{amount}");
            assert_eq!(book.balance(Account::Shortfall).get(), -left[2]);
            assert_eq!(nanos(&book), [90 - left[0], 6 - left[1], 4 - amount]);
            assert_eq!(book.audit(), Ok(()));
        }
    }

    #[test]
    fn what_the_platform_has_to_bear_is_missing_as_far_as_it_has_nothing() {
        let cost =
            |amount| leg(Cause::PayoutCost, Account::Platform, Account::Outside, Nanos::new(amount), "");
        for (has, parts) in [(9, [9, 0]), (4, [4, 5]), (0, [0, 9])] {
            let mut book = Book::default();
            if has > 0 {
                fees(&mut book, has);
            }
            let made = book.bear(NOW, "pay_1:beyond", cost(9)).unwrap();
            let moved = |account| {
                let of = made.iter().flat_map(Entry::postings).filter(|posting| posting.debit == account);
                of.map(|posting| posting.amount.get()).sum::<i64>()
            };
            assert_eq!([moved(Account::Platform), moved(Account::Shortfall)], parts);
            assert_eq!(book.bear(NOW, "pay_1:beyond", cost(9)), Err(BookRefusal::Exists));
            assert_eq!(book.audit(), Ok(()));
        }
    }
}
