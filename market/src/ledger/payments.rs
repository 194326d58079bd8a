//! Payments: money that pages pay in, and that goes back the way it came.

use rekursing_protocol::{Moment, Nanos};

use super::{Account, Book, BookRefusal, Cause, Entry, Transfer, settle::less};

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
    fn a_loss_that_comes_back_fills_what_was_missing() {
        let mut book = Book::default();
        book.pay_in(NOW, "cs_1", PAGE, Nanos::new(90), Nanos::ZERO, "").unwrap();
        let back = book.pay_back(NOW, "dp_1", PAGE, Nanos::new(100), "fraudulent").unwrap();
        assert_eq!(book.balance(Account::Shortfall), Nanos::new(-10));
        for entry in &back.entries {
            book.correct(NOW, entry, "the dispute was won").unwrap();
        }
        assert_eq!(book.balance(Account::Shortfall), Nanos::ZERO);
        assert_eq!(nanos(&book), [90, 0, -90]);
        assert_eq!(book.audit(), Ok(()));
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
