//! What the market remembers over a restart beside balances and holds.

use anyhow::Result;
use rekursing_market::{History, Standing, ledger::Account};
use rekursing_protocol::{Moment, Nanos, PluginId, Span};

use super::{Sql, earnings, premiums};

/// Reads it as of `now`.
pub(super) fn read(sql: &mut Sql, now: Moment) -> Result<History> {
    let mut volumes = earned_volumes(sql, now)?;
    volumes.extend(spent_volumes(sql, now)?);
    Ok(History {
        volumes,
        standings: standings(sql)?,
        held_back: held_back(sql)?,
        premiums: premiums::read(sql, now)?,
    })
}

fn earned_volumes(sql: &mut Sql, now: Moment) -> Result<Vec<(Account, Nanos)>> {
    sql.list(
        "SELECT owner, CAST(SUM(charge) AS BIGINT) FROM earned WHERE day >= ?1 GROUP BY owner",
        &[now.month().day().into()],
        |row| Ok((Account::Owner(row.parsed(0)?), row.nanos(1)?)),
    )
}

fn spent_volumes(sql: &mut Sql, now: Moment) -> Result<Vec<(Account, Nanos)>> {
    sql.list(
        "SELECT account, CAST(SUM(charge) AS BIGINT) FROM spent WHERE day >= ?1 GROUP BY account",
        &[now.month().day().into()],
        |row| Ok((row.parsed(0)?, row.nanos(1)?)),
    )
}

fn standings(sql: &mut Sql) -> Result<Vec<(PluginId, Standing)>> {
    sql.list("SELECT owner, MIN(day), CAST(SUM(jobs) AS BIGINT) FROM earned GROUP BY owner", &[], |row| {
        // Days are all that is kept; at most a day is forgiven.
        let since = Moment(row.count(1)? * Span::DAY.0);
        Ok((row.parsed(0)?, Standing { since, jobs: row.count(2)? }))
    })
}

/// Reads what is held back, and until when: the balances by the ledger, however what was released or taken
/// was called.
fn held_back(sql: &mut Sql) -> Result<Vec<(PluginId, Moment, Nanos)>> {
    let held: Vec<(PluginId, Nanos)> = sql.list(
        "SELECT substr(account, 6), CAST(SUM(credit - debit) AS BIGINT) FROM posted
         WHERE account LIKE 'held:%' GROUP BY account HAVING SUM(credit) > SUM(debit) ORDER BY account",
        &[],
        |row| Ok((row.parsed(0)?, row.nanos(1)?)),
    )?;
    let mut due = Vec::new();
    for (owner, held) in held {
        let releases = earnings::releases(sql, &owner.to_string(), held)?;
        due.extend(releases.into_iter().map(|release| (owner, release.at, release.amount)));
    }
    Ok(due)
}

#[cfg(test)]
mod tests {
    use rekursing_market::{
        Tier,
        ledger::{Book, Quote, Settlement},
    };
    use rekursing_protocol::{AccountId, JobId, Price};

    use super::*;
    use crate::store::{Location, Store};

    #[test]
    fn volumes_standings_and_what_is_held_back_outlive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().to_owned());
        let (page, owner) = (Account::Page(AccountId::from_bits(1)), PluginId::from_bits(2));
        let (now, release_at) = (Moment(Span::DAY.0 * 100), Moment(Span::DAY.0 * 108));
        let (mut book, price) = (Book::default(), Price::new(0, 1_000));
        let mut entries = vec![book.grant(now, "x", page, Nanos::new(100_000)).unwrap()];
        for bits in 1..=2 {
            let job = JobId::from_bits(bits);
            entries.push(book.hold(now, job, page, Quote::new(price, 0, 2_000).unwrap()).unwrap());
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
                fee_permille: 0,
                discount_permille: 0,
                holdback_permille: 500,
                release_at,
            };
            entries.push(book.settle(now, settlement).unwrap());
        }
        let mut unstarted = Store::open(&location).unwrap();
        let last = unstarted.opening().unwrap().last;
        let store = unstarted.start(last, Box::new(|_| true)).unwrap();
        entries.into_iter().for_each(|entry| store.append(vec![entry]));
        store.stop();
        let mut unstarted = Store::open(&location).unwrap();
        let history = unstarted.history(now).unwrap();
        let spent = Nanos::new(2_000);
        assert_eq!(history.volumes, [(Account::Owner(owner), spent), (page, spent)]);
        assert_eq!(history.standings, [(owner, Standing { since: now, jobs: 2 })]);
        assert_eq!(history.held_back, [(owner, release_at, Nanos::new(1_000))]);
        let next_month = unstarted.history(Moment(Span::DAY.0 * 140)).unwrap();
        assert_eq!(next_month.volumes, []);

        let mut market = rekursing_market::Market::new(rekursing_market::Terms::default(), book, 1);
        market.recall(now, history);
        market.tick(release_at);
        let store = unstarted.start(last, Box::new(|_| true)).unwrap();
        for effect in market.drain_effects() {
            let rekursing_market::Effect::Record(entry) = effect else { panic!("{effect:?}") };
            store.append(vec![entry]);
        }
        store.stop();
        let history = Store::open(&location).unwrap().history(release_at).unwrap();
        assert_eq!(history.held_back, []);
    }
}
