//! Payments: money that pages pay in, and that goes back the way it came.

use rekursing_protocol::{Moment, Nanos};

use super::{Account, Book, BookRefusal, Cause, Entry, Transfer};

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
    /// What nobody had: neither the account nor the platform.
    pub uncovered: Nanos,
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
    /// goes, and what was spent since out of the platform's fees.
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
        if self.has_transfer(&loss) || self.has_transfer(&format!("correction:{loss}")) {
            return Err(BookRefusal::Exists);
        }
        let (mut entries, mut uncovered) = (Vec::new(), amount);
        let legs = [(Cause::Refund, from, id), (Cause::Correction, Account::Platform, loss.as_str())];
        for (cause, from, id) in legs {
            let part = self.balance(from).min(uncovered);
            if part > Nanos::ZERO {
                entries.push(self.transfer(now, id, leg(cause, from, Account::Outside, part, note))?);
                uncovered = Nanos::new(uncovered.get() - part.get());
            }
        }
        Ok(Reclaimed { entries, uncovered })
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
        for (platform, uncovered, expected) in [(50, 0, [0, 43, -43]), (3, 4, [0, 0, 0])] {
            let mut book = Book::default();
            book.pay_in(NOW, "cs_1", PAGE, Nanos::new(93), Nanos::ZERO, "").unwrap();
            let fee = Transfer {
                cause: Cause::Correction,
                from: Account::Outside,
                to: Account::Platform,
                amount: Nanos::new(platform),
                note: String::new(),
            };
            book.transfer(NOW, "fees", fee).unwrap();
            let back = book.pay_back(NOW, "dp_1", PAGE, Nanos::new(100), "fraudulent").unwrap();
            assert_eq!(back.uncovered, Nanos::new(uncovered));
            let ids: Vec<&str> = back.entries.iter().map(|entry| entry.id.as_str()).collect();
            assert_eq!(ids, ["refund:dp_1", "correction:refund:dp_1"]);
            assert_eq!(nanos(&book), expected);
            let again = book.pay_back(NOW, "dp_1", PAGE, Nanos::new(100), "fraudulent");
            assert_eq!(again, Err(BookRefusal::Exists));
            assert_eq!(book.audit(), Ok(()));
        }
    }
}
