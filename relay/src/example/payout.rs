//! A payout, and everything that can become of it.

use anyhow::Result;
use rekursing_market::{
    Account, Book,
    payout::{Moves, Step, Tariff},
};
use rekursing_protocol::{Nanos, PayoutId};
use rekursing_rails::Method;

use super::{BEGIN, Example, OWNER, Table};
use crate::{config::Config, payouts::Rules};

pub(super) fn example() -> Result<Example> {
    let columns = vec![
        ("owner", Account::Owner(OWNER)),
        ("requested", Account::PayoutRequested),
        ("sent", Account::PayoutSent),
        ("platform", Account::Platform),
        ("outside", Account::Outside),
    ];
    let mut table = Table::new("after", columns);
    let (balance, wish) = (Nanos::new(20_000_000_000), Nanos::new(12_345_000_000));
    let tariff: Tariff = Rules::of(&Config::default()).tariff(Method::Paypal);
    let quote = tariff.quote(Some(wish), balance)?;
    let moves = Moves { payout: PayoutId::from_bits(7), owner: OWNER, quote };
    let whole = quote.cost;
    let [little, much] = [40_000_000, 550_000_000].map(Nanos::new);
    let after = |steps: Vec<Vec<Step>>| -> Result<Book> {
        let outside = Nanos::new(-balance.get() - Nanos::DOLLAR.get());
        let accounts = [
            (Account::Owner(OWNER), balance),
            (Account::Platform, Nanos::DOLLAR),
            (Account::Outside, outside),
        ];
        let mut book = Book::restore(accounts, []);
        for step in steps.into_iter().flatten() {
            book.transfer(BEGIN, &step.id, step.transfer)?;
        }
        Ok(book)
    };
    let sent = || vec![vec![moves.requested(), moves.sent()]];
    let ended = |end: Vec<Step>| after([sent(), vec![end]].concat());
    table.row("before", &after(Vec::new())?);
    table.row("requested", &after(vec![vec![moves.requested()]])?);
    table.row("sent", &after(sent())?);
    table.row(&format!("confirmed, the rail took {whole}"), &ended(moves.confirmed(whole, ""))?);
    for cost in [little, much] {
        table.row(&format!("or confirmed, it took {cost}"), &ended(moves.confirmed(cost, ""))?);
    }
    table.row("or returned, it took nothing", &ended(moves.returned(Nanos::ZERO, ""))?);
    table.row(&format!("or returned, it took {little}"), &ended(moves.returned(little, ""))?);
    let taken_back = [moves.confirmed(whole, ""), vec![moves.taken_back("")]].concat();
    table.row(&format!("confirmed at {whole}, and taken back later"), &ended(taken_back)?);
    let lines = [
        format!(
            "Asked for: {wish} USD. Cost: {whole} USD. Arrives, in whole cents: {} USD.",
            quote.arrives()
        ),
        format!("Leaves the balance: {} + {whole} = {} USD.", quote.arrives(), quote.amount),
    ];
    Ok(Example { heading: "A payout", figures: table.behind(&lines) })
}
