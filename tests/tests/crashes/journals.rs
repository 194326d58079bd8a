//! What whoever is not the relay wrote down, and how the book is held against it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use anyhow::{Context, Result};
use rekursing_protocol::{Nanos, earnings::Earnings};
use rekursing_tests::database::{Ledger, Settlement, Transfer};
use serde_json::Value;

use super::cast::{ADVERTISED, BALANCE, PAYOUT_COST, PREMIUM_BALANCE};

/// What a page was told at the end of its answer.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) cost: Nanos,
    pub(super) who: Who,
}

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// The page with its own key.
    Page,
    /// A key with a budget.
    Limited,
    /// An account that has paid for premium.
    Premium,
    /// Somebody without a key.
    Visitor,
}

/// Everybody's journals.
#[derive(Debug, Default)]
pub(super) struct Journals {
    /// What pages were told, by job.
    pub(super) heard: HashMap<String, Heard>,
    /// Whole answers that the owner's plugin has sent.
    pub(super) delivered: HashSet<String>,
    /// What the owner was told that he has earned, by job.
    pub(super) earned: HashMap<String, Nanos>,
    /// Ads of which visitors said that they were seen, and of which the relay said that they count.
    pub(super) seen: (u64, u64),
    /// Accounts that asked for premium, with whether they were told that they have it.
    pub(super) premium: BTreeMap<String, bool>,
    /// How often the owner asked for a payout.
    pub(super) payouts_asked: u64,
    /// Payouts that he was told of, with what leaves his balance.
    pub(super) payouts: HashMap<String, Nanos>,
}

/// What the relay says of how everybody stands.
pub(super) struct Told {
    pub(super) account: Value,
    pub(super) campaign: Value,
    pub(super) earnings: Earnings,
    /// The latest key with a budget.
    pub(super) key: Option<Value>,
}

impl Journals {
    /// Each answer whose end was heard is charged once and exactly so, to whoever asked; nothing is charged
    /// that was not delivered.
    pub(super) fn jobs_agree(&self, ledger: &Ledger) -> Result<()> {
        let charges = ledger.settlements()?;
        let by_job: HashMap<&str, &Settlement> =
            charges.iter().map(|charge| (charge.job.as_str(), charge)).collect();
        assert_eq!(by_job.len(), charges.len(), "no job is charged twice");
        for (job, Heard { cost, who }) in &self.heard {
            let charge = by_job.get(job.as_str()).with_context(|| format!("{job} ended without a charge"))?;
            assert_eq!(charge.charge, *cost, "{job} is charged what its page was told");
            assert_eq!(charge.payer == "free", *who == Who::Visitor, "{job} is paid by whoever asked");
            assert!(
                *who != Who::Premium || charge.fee == Nanos::ZERO,
                "{job} of a premium account has no fee"
            );
        }
        for (job, earned) in &self.earned {
            let charge =
                by_job.get(job.as_str()).with_context(|| format!("{job} was earned and not charged"))?;
            let left = charge.charge.checked_sub(charge.fee);
            assert_eq!(left, Some(*earned), "{job} earns what its owner was told");
        }
        for job in by_job.keys() {
            assert!(self.delivered.contains(*job), "{job} is charged and was never delivered");
        }
        let held: HashSet<String> = ledger.jobs("hold")?.into_iter().collect();
        let voided = ledger.jobs("void")?;
        assert!(voided.iter().all(|job| held.contains(job) && !by_job.contains_key(job.as_str())));
        Ok(())
    }

    /// Every purse has what began in it, less what left and more what came, and the relay says the same.
    pub(super) fn purses_agree(&self, ledger: &Ledger, told: &Told) -> Result<()> {
        let charges = ledger.settlements()?;
        let sum = |part: &dyn Fn(&Settlement) -> i64| -> i64 { charges.iter().map(part).sum() };
        let charged = |is_free: bool| {
            sum(&|charge| if (charge.payer == "free") == is_free { charge.charge.get() } else { 0 })
        };
        let (fees, earned) =
            (sum(&|charge| charge.fee.get()), sum(&|charge| charge.charge.get() - charge.fee.get()));
        let premiums = ledger.transfers("premium")?;
        self.premiums_agree(&premiums);
        let impressions = ledger.transfers("impression")?;
        let (said, counted) = self.seen;
        assert!((counted..=said).contains(&(impressions.len() as u64)), "an ad counts once, if it was seen");

        let granted =
            dollars(BALANCE)? + dollars(PREMIUM_BALANCE)? * ledger.accounts("page:")?.saturating_sub(1);
        assert_eq!(ledger.balance("page:")?.get(), granted - charged(false) - total(&premiums));
        let budget = dollars("5.00")?;
        assert_eq!(ledger.balance("free")?.get(), budget - charged(true) + total(&impressions));
        assert_eq!(ledger.balance("advertiser:")?.get(), dollars(ADVERTISED)? - total(&impressions));
        assert_eq!(ledger.balance("platform")?.get(), fees + total(&premiums));
        let owned = ledger.balance("owner:")?.get() + ledger.balance("held:")?.get();
        assert_eq!(owned, earned - total(&ledger.transfers("payout_requested")?));

        assert_eq!(amount(&told.campaign["spent"])?, total(&impressions));
        let account = format!("page:{}", told.account["account"].as_str().context("an account")?);
        assert_eq!(amount(&told.account["balance"])?, ledger.balance(&account)?.get());
        let Earnings { total, available, held, in_payout, paid, payout_costs, .. } = &told.earnings;
        let parts = [available, held, in_payout, paid, payout_costs].map(|part| part.get());
        assert_eq!((total.get(), parts.iter().sum()), (earned, earned), "all that was earned is somewhere");
        assert_eq!(available.get() + held.get(), owned);
        if let Some(key) = &told.key {
            let (budget, spent) = (amount(&key["budgetTotal"])?, amount(&key["spent"])?);
            assert!(spent <= budget, "{key}");
            assert_eq!(amount(&key["leftTotal"])?, budget - spent, "nothing of it stays set aside: {key}");
        }
        Ok(())
    }

    fn premiums_agree(&self, premiums: &[Transfer]) {
        let mut paid: HashMap<&str, u64> = HashMap::new();
        for premium in premiums {
            *paid.entry(premium.from.as_str()).or_default() += 1;
        }
        for (account, has_heard) in &self.premium {
            let times = paid.remove(account.as_str()).unwrap_or_default();
            assert!(times <= 1 && (times == 1 || !has_heard), "{account} paid {times} times for premium");
        }
        assert!(paid.is_empty(), "{paid:?} paid for premium and never asked");
    }

    /// Each payout leaves the balance once, is in the book before the rail hears of it, and is paid at most
    /// once there, with what was shown.
    pub(super) fn payouts_agree(
        &self,
        ledger: &Ledger,
        before: &[(String, i64)],
        after: impl FnOnce() -> Vec<(String, i64)>,
    ) -> Result<()> {
        let of = |kind: &str| -> Result<HashMap<String, i64>> {
            let transfers = ledger.transfers(kind)?;
            Ok(transfers.into_iter().map(|transfer| (transfer.id, transfer.amount.get())).collect())
        };
        let (requested, sent, confirmed) =
            (of("payout_requested")?, of("payout_sent")?, of("payout_confirmed")?);
        assert!(requested.len() as u64 <= self.payouts_asked);
        for (id, amount) in &self.payouts {
            assert_eq!(requested.get(id), Some(&amount.get()), "{id} leaves the balance as it was told");
        }
        let cost = dollars(PAYOUT_COST)?;
        for (id, cents) in before {
            let amount = sent.get(id).with_context(|| format!("the rail has {id}, which was never sent"))?;
            assert_eq!(cents * 10_000_000, amount - cost, "{id} arrives as it was shown");
        }
        let paid: Vec<(String, i64)> = after();
        let once: HashMap<&str, i64> = paid.iter().map(|(id, cents)| (id.as_str(), *cents)).collect();
        assert_eq!(once.len(), paid.len(), "the rail pays each of them once");
        for (id, amount) in &confirmed {
            assert_eq!(
                once.get(id.as_str()).map(|cents| cents * 10_000_000),
                Some(*amount),
                "{id} has arrived"
            );
        }
        Ok(())
    }

    /// Counts what everybody has had.
    pub(super) fn did(&self) -> Did {
        let of = |who| self.heard.values().filter(|heard| heard.who == who).count() as u64;
        Did {
            paid: of(Who::Page),
            limited: of(Who::Limited),
            premium: of(Who::Premium),
            free: of(Who::Visitor),
            impressions: self.seen.1,
            payouts: self.payouts.len() as u64,
        }
    }
}

/// How much of each there was, as those heard it who had it.
pub(super) struct Did {
    paid: u64,
    limited: u64,
    premium: u64,
    free: u64,
    impressions: u64,
    payouts: u64,
}

impl Did {
    /// Tells whether there was something of each.
    pub(super) fn is_everything(&self) -> bool {
        let Did { paid, limited, premium, free, impressions, payouts } = self;
        [paid, limited, premium, free, impressions, payouts].iter().all(|count| **count > 0)
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Did { paid, limited, premium, free, impressions, payouts } = self;
        write!(
            f,
            "{paid} paid answers, {limited} of keys with a budget, {premium} of premium accounts, {free} free \
             ones, {impressions} ads seen, {payouts} payouts"
        )
    }
}

fn total(transfers: &[Transfer]) -> i64 {
    transfers.iter().map(|transfer| transfer.amount.get()).sum()
}

fn dollars(text: &str) -> Result<i64> {
    Ok(text.parse::<Nanos>()?.get())
}

fn amount(value: &Value) -> Result<i64> {
    dollars(value.as_str().with_context(|| format!("{value} is no amount"))?)
}
