//! What the market remembers over a restart beside balances and holds.

use anyhow::Result;
use rekursing_market::{History, Patronage, ledger::Account};
use rekursing_protocol::{JobId, Moment, Nanos, PluginId};

use super::{Sql, earnings, groups, premiums};

/// Reads it as of `now`. Jobs that were charged less than `trusted_charge_min` count for no trust.
pub(super) fn read(sql: &mut Sql, now: Moment, trusted_charge_min: Nanos) -> Result<History> {
    let mut volumes = earned_volumes(sql, now)?;
    volumes.extend(spent_volumes(sql, now)?);
    Ok(History {
        volumes,
        patronage: patronage(sql, trusted_charge_min)?,
        held_back: held_back(sql)?,
        disputed: disputed(sql)?,
        premiums: premiums::read(sql, now)?,
        groups: groups::read(sql)?,
    })
}

fn earned_volumes(sql: &mut Sql, now: Moment) -> Result<Vec<(Account, Nanos)>> {
    sql.list(
        "SELECT owner, CAST(SUM(charge) AS BIGINT) FROM net_earned WHERE day >= ?1 GROUP BY owner",
        &[now.month().day().into()],
        |row| Ok((Account::Owner(row.parsed(0)?), row.nanos(1)?)),
    )
}

fn spent_volumes(sql: &mut Sql, now: Moment) -> Result<Vec<(Account, Nanos)>> {
    sql.list(
        "SELECT account, CAST(SUM(charge) AS BIGINT) FROM net_spent WHERE day >= ?1 GROUP BY account",
        &[now.month().day().into()],
        |row| Ok((row.parsed(0)?, row.nanos(1)?)),
    )
}

fn patronage(sql: &mut Sql, charge_min: Nanos) -> Result<Vec<Patronage>> {
    let rows = sql.list(
        "SELECT owner, account, MIN(at), COUNT(*) FROM entry
         WHERE kind = 'settle' AND owner IS NOT NULL AND charge >= ?1 AND account LIKE 'page:%'
             AND NOT EXISTS
                 (SELECT 1 FROM entry AS back WHERE back.id = 'correction:' || entry.id || ':0')
         GROUP BY owner, account",
        &[charge_min.max(Nanos::new(1)).into()],
        |row| Ok((row.parsed(0)?, row.parsed(1)?, row.moment(2)?, row.count(3)?)),
    )?;
    let of_page = |(owner, account, since, jobs)| {
        let Account::Page(page) = account else { return None };
        Some(Patronage { owner, page, since, jobs })
    };
    Ok(rows.into_iter().filter_map(of_page).collect())
}

/// Reads which jobs are disputed, and nobody has decided.
fn disputed(sql: &mut Sql) -> Result<Vec<JobId>> {
    sql.list("SELECT job FROM dispute WHERE decided IS NULL ORDER BY opened", &[], |row| row.parsed(0))
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
    use rekursing_protocol::{AccountId, Price, Span};

    use super::*;
    use crate::store::{Location, Store};

    /// A thousand answer tokens at `price`, half of which is held back.
    fn settlement(job: JobId, owner: PluginId, price: Price, release_at: Moment) -> Settlement {
        Settlement {
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
            release_at,
        }
    }

    #[test]
    fn only_what_pages_paid_well_enough_counts_for_trust() {
        let place = tempfile::tempdir().unwrap();
        let location = Location::Folder(place.path().to_owned());
        let (one, other) = (AccountId::from_bits(1), AccountId::from_bits(2));
        let (owner, mut book, mut entries) = (PluginId::from_bits(2), Book::default(), Vec::new());
        for account in [Account::Page(one), Account::Page(other), Account::Free] {
            entries.push(book.grant(Moment(1), &account.to_string(), account, Nanos::DOLLAR).unwrap());
        }
        // Thousand tokens at so many nano-dollars each.
        for (at, payer, nanos) in [
            (5, Account::Free, 1_000),
            (6, Account::Page(one), 0),
            (7, Account::Page(one), 9),
            (8, Account::Page(one), 10),
            (9, Account::Page(other), 11),
            (10, Account::Page(one), 12),
        ] {
            let (job, price) = (JobId::from_bits(u128::from(at)), Price::new(0, nanos * 1_000));
            let (at, quote) = (Moment(at), Quote::new(price, 0, 1_000).unwrap());
            entries.push(book.hold(at, job, payer, quote).unwrap());
            entries.push(book.settle(at, settlement(job, owner, price, Moment(100))).unwrap());
        }
        let mut unstarted = Store::open(&location).unwrap();
        let last = unstarted.opening().unwrap().last;
        let store = unstarted.start(last, Box::new(|_| true)).unwrap();
        store.append(entries);
        store.stop();
        let told = |charge_min| {
            let history =
                Store::open(&location).unwrap().history(Moment(20), Nanos::new(charge_min)).unwrap();
            let mut paid = history.patronage;
            paid.sort_by_key(|paid| paid.page);
            paid.iter().map(|paid| (paid.page, paid.since.0, paid.jobs)).collect::<Vec<_>>()
        };
        assert_eq!(told(10_000), [(one, 8, 2), (other, 9, 1)]);
        assert_eq!(told(0), [(one, 7, 3), (other, 9, 1)], "nothing is nothing");
    }

    #[test]
    fn volumes_standings_and_what_is_held_back_outlive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().to_owned());
        let (who, owner) = (AccountId::from_bits(1), PluginId::from_bits(2));
        let page = Account::Page(who);
        let (now, release_at) = (Moment(Span::DAY.0 * 100), Moment(Span::DAY.0 * 108));
        let (mut book, price) = (Book::default(), Price::new(0, 1_000));
        let mut entries = vec![book.grant(now, "x", page, Nanos::new(100_000)).unwrap()];
        for bits in 1..=2 {
            let job = JobId::from_bits(bits);
            entries.push(book.hold(now, job, page, Quote::new(price, 0, 2_000).unwrap()).unwrap());
            let settlement = settlement(job, owner, price, release_at);
            entries.push(book.settle(now, settlement).unwrap());
        }
        let mut unstarted = Store::open(&location).unwrap();
        let last = unstarted.opening().unwrap().last;
        let store = unstarted.start(last, Box::new(|_| true)).unwrap();
        entries.into_iter().for_each(|entry| store.append(vec![entry]));
        store.stop();
        let mut unstarted = Store::open(&location).unwrap();
        let history = unstarted.history(now, Nanos::ZERO).unwrap();
        let spent = Nanos::new(2_000);
        assert_eq!(history.volumes, [(Account::Owner(owner), spent), (page, spent)]);
        assert_eq!(history.patronage, [Patronage { owner, page: who, since: now, jobs: 2 }]);
        assert_eq!(history.held_back, [(owner, release_at, Nanos::new(1_000))]);
        let next_month = unstarted.history(Moment(Span::DAY.0 * 140), Nanos::ZERO).unwrap();
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
        let history = Store::open(&location).unwrap().history(release_at, Nanos::ZERO).unwrap();
        assert_eq!(history.held_back, []);
    }
}
