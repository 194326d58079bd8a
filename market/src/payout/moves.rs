//! What each state of a payout moves.

use rekursing_protocol::{Nanos, PayoutId, PluginId};

use super::Quote;
use crate::ledger::{Account, Cause, Transfer};

/// A payout as the ledger sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moves {
    /// The payout.
    pub payout: PayoutId,
    /// Whose money.
    pub owner: PluginId,
    /// How much.
    pub quote: Quote,
}

/// One entry to make: a transfer and the caller's part of its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What follows the cause's name in the entry's id.
    pub id: String,
    /// What moves.
    pub transfer: Transfer,
}

impl Step {
    /// Returns the entry's id.
    pub fn entry_id(&self) -> String {
        format!("{}:{}", self.transfer.cause, self.id)
    }
}

impl Moves {
    /// The owner asked to be paid.
    pub fn requested(&self) -> Step {
        let owner = Account::Owner(self.owner);
        self.step(Cause::PayoutRequested, owner, Account::PayoutRequested, self.quote.amount, "")
    }

    /// It is about to be handed to its rail.
    pub fn sent(&self) -> Step {
        let (from, to) = (Account::PayoutRequested, Account::PayoutSent);
        self.step(Cause::PayoutSent, from, to, self.quote.amount, "")
    }

    /// It was not sent, for a reason.
    pub fn cancelled(&self, reason: &str) -> Step {
        let owner = Account::Owner(self.owner);
        self.step(Cause::PayoutCancelled, Account::PayoutRequested, owner, self.quote.amount, reason)
    }

    /// It arrived, and the rail took `cost`. The owner bears of it what the quote says and gets back what
    /// the rail did not take; what it took beyond is the platform's. The step that makes the state comes
    /// last, so that nothing is left to do once it is there.
    pub fn confirmed(&self, cost: Nanos, reference: &str) -> Vec<Step> {
        let owner = Account::Owner(self.owner);
        let borne = self.borne(cost);
        let unspent = self.quote.cost.checked_sub(borne).unwrap_or_default();
        let beyond = cost.checked_sub(borne).unwrap_or_default();
        let (sent, outside) = (Account::PayoutSent, Account::Outside);
        let mut steps = vec![
            self.step(Cause::PayoutCost, sent, outside, borne, ""),
            Step {
                id: format!("{}:unspent", self.payout),
                ..self.step(Cause::PayoutReturned, sent, owner, unspent, "the rail took less than was quoted")
            },
            Step {
                id: format!("{}:beyond", self.payout),
                ..self.step(Cause::PayoutCost, Account::Platform, outside, beyond, "")
            },
            self.step(Cause::PayoutConfirmed, sent, outside, self.quote.arrives(), reference),
        ];
        steps.retain(|step| step.transfer.amount > Nanos::ZERO);
        steps
    }

    /// It came back before it had arrived, and the rail took `cost` all the same.
    pub fn returned(&self, cost: Nanos, reason: &str) -> Vec<Step> {
        let borne = self.borne(cost);
        let beyond = cost.checked_sub(borne).unwrap_or_default();
        let rest = self.quote.amount.checked_sub(borne).unwrap_or_default();
        let (sent, outside) = (Account::PayoutSent, Account::Outside);
        let mut steps = vec![
            self.step(Cause::PayoutCost, sent, outside, borne, ""),
            Step {
                id: format!("{}:beyond", self.payout),
                ..self.step(Cause::PayoutCost, Account::Platform, outside, beyond, "")
            },
            self.step(Cause::PayoutReturned, sent, Account::Owner(self.owner), rest, reason),
        ];
        steps.retain(|step| step.transfer.amount > Nanos::ZERO);
        steps
    }

    /// It came back although it had arrived. Its cost is spent.
    pub fn taken_back(&self, reason: &str) -> Step {
        let owner = Account::Owner(self.owner);
        self.step(Cause::PayoutReturned, Account::Outside, owner, self.quote.arrives(), reason)
    }

    /// The part of a cost that is the owner's.
    fn borne(&self, cost: Nanos) -> Nanos {
        cost.clamp(Nanos::ZERO, self.quote.cost)
    }

    fn step(&self, cause: Cause, from: Account, to: Account, amount: Nanos, note: &str) -> Step {
        let transfer = Transfer { cause, from, to, amount, note: note.to_owned() };
        Step { id: self.payout.to_string(), transfer }
    }
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::Moment;

    use super::*;
    use crate::ledger::Book;

    const OWNER: PluginId = PluginId::from_bits(2);

    fn usd(text: &str) -> Nanos {
        text.parse().unwrap()
    }

    fn moves() -> Moves {
        let quote = Quote { amount: usd("12.34"), cost: usd("0.25") };
        Moves { payout: PayoutId::from_bits(7), owner: OWNER, quote }
    }

    /// An owner with 20 USD and a platform with 1 USD.
    fn book() -> Book {
        let accounts = [
            (Account::Owner(OWNER), usd("20")),
            (Account::Platform, usd("1")),
            (Account::Outside, usd("-21")),
        ];
        Book::restore(accounts, [])
    }

    /// Makes entries of steps and returns owner, requested, sent, platform and outside.
    fn after(book: &mut Book, steps: impl IntoIterator<Item = Step>) -> [String; 5] {
        for step in steps {
            book.transfer(Moment(1), &step.id, step.transfer).unwrap();
        }
        book.audit().unwrap();
        let accounts = [
            Account::Owner(OWNER),
            Account::PayoutRequested,
            Account::PayoutSent,
            Account::Platform,
            Account::Outside,
        ];
        accounts.map(|account| book.balance(account).to_string())
    }

    /// The examples of `docs/ledger.md`.
    #[test]
    fn a_payout_that_arrives_takes_its_cost_and_nothing_else() {
        let (mut book, moves) = (book(), moves());
        assert_eq!(after(&mut book, [moves.requested()]), ["7.66", "12.34", "0", "1", "-21"]);
        assert_eq!(after(&mut book, [moves.sent()]), ["7.66", "0", "12.34", "1", "-21"]);
        let confirmed = moves.confirmed(usd("0.25"), "TX1");
        assert_eq!(confirmed.len(), 2);
        assert_eq!(after(&mut book, confirmed), ["7.66", "0", "0", "1", "-8.66"]);
        assert_eq!(after(&mut book, [moves.taken_back("refunded")]), ["19.75", "0", "0", "1", "-20.75"]);
    }

    #[test]
    fn what_the_rail_did_not_take_goes_back_and_what_it_took_beyond_is_the_platforms() {
        for (cost, end) in [
            ("0", ["7.91", "0", "0", "1", "-8.91"]),
            ("0.04", ["7.87", "0", "0", "1", "-8.87"]),
            ("0.25", ["7.66", "0", "0", "1", "-8.66"]),
            ("0.55", ["7.66", "0", "0", "0.7", "-8.36"]),
        ] {
            let (mut book, moves) = (book(), moves());
            after(&mut book, [moves.requested(), moves.sent()]);
            assert_eq!(after(&mut book, moves.confirmed(usd(cost), "TX1")), end, "{cost}");
        }
    }

    #[test]
    fn a_payout_that_does_not_arrive_goes_back_less_what_the_rail_took() {
        for (cost, end) in [
            ("0", ["20", "0", "0", "1", "-21"]),
            ("0.04", ["19.96", "0", "0", "1", "-20.96"]),
            ("0.55", ["19.75", "0", "0", "0.7", "-20.45"]),
        ] {
            let (mut book, moves) = (book(), moves());
            after(&mut book, [moves.requested(), moves.sent()]);
            assert_eq!(after(&mut book, moves.returned(usd(cost), "blocked")), end, "{cost}");
        }
        let (mut book, moves) = (book(), moves());
        let end = after(&mut book, [moves.requested(), moves.cancelled("the owner changed his mind")]);
        assert_eq!(end, ["20", "0", "0", "1", "-21"]);
    }

    #[test]
    fn the_document_shows_the_numbers_that_the_tests_assert() {
        let document = include_str!("../../../docs/ledger.md");
        for row in [
            "| requested | 7.66 | 12.34 | 0 | 1 | −21 | 0 |",
            "| sent | 7.66 | 0 | 12.34 | 1 | −21 | 0 |",
            "| confirmed, the rail took 0.25 | 7.66 | 0 | 0 | 1 | −8.66 | 0 |",
            "| or confirmed, it took 0.04 | 7.87 | 0 | 0 | 1 | −8.87 | 0 |",
            "| or confirmed, it took 0.55 | 7.66 | 0 | 0 | 0.7 | −8.36 | 0 |",
            "| or returned, it took 0.04 | 19.96 | 0 | 0 | 1 | −20.96 | 0 |",
            "| confirmed at 0.25, and taken back later | 19.75 | 0 | 0 | 1 | −20.75 | 0 |",
        ] {
            assert!(document.contains(row), "{row}");
        }
    }

    #[test]
    fn ids_name_the_payout_and_the_state_comes_last() {
        let moves = moves();
        let id = moves.payout;
        let ids = |steps: Vec<Step>| steps.iter().map(Step::entry_id).collect::<Vec<_>>();
        assert_eq!(moves.requested().entry_id(), format!("payout_requested:{id}"));
        assert_eq!(
            ids(moves.confirmed(usd("0.1"), "")),
            [
                format!("payout_cost:{id}"),
                format!("payout_returned:{id}:unspent"),
                format!("payout_confirmed:{id}")
            ]
        );
        assert_eq!(
            ids(moves.confirmed(usd("0.3"), "")),
            [
                format!("payout_cost:{id}"),
                format!("payout_cost:{id}:beyond"),
                format!("payout_confirmed:{id}")
            ]
        );
        assert_eq!(ids(moves.returned(Nanos::ZERO, "")), [format!("payout_returned:{id}")]);
    }
}
