//! Who works on a relay that is killed: pages, visitors, an advertiser, an owner, and the rail that pays him.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use rekursing_tests::{
    database::Engine,
    http::Page,
    link::Plugin,
    relay::{FREE, Program, Relay, operator_file},
    within,
};
use rekursing_tests_rails::stripe;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::journals::{Journals, Told};

/// What the page's account begins with.
pub(super) const BALANCE: &str = "1000.00";

/// What an account that becomes premium begins with.
pub(super) const PREMIUM_BALANCE: &str = "2.00";

/// What the advertiser begins with.
pub(super) const ADVERTISED: &str = "5.00";

/// What each payout costs, which is what the rail takes.
pub(super) const PAYOUT_COST: &str = "0.02";

/// How long the last payouts may take: where a reply was lost, the worker looks again after a pause.
const PAID_WITHIN: Duration = Duration::from_secs(180);

/// Everybody.
pub(super) struct Cast {
    pub(super) relay: Relay,
    pub(super) plugin: Plugin,
    /// A page with money for answers and for ads.
    pub(super) page: Page,
    /// The path of its campaign.
    pub(super) campaign: String,
    /// The key of an account that has not bought premium yet.
    pub(super) fresh: String,
    /// A key with a budget, once there is one.
    pub(super) limited: Option<Page>,
    rail: stripe::Server,
    journals: Arc<Mutex<Journals>>,
    _keys: TempDir,
}

impl Cast {
    /// Starts a relay that is paid by card, pays out, sells premium and shows ads, and an owner on it.
    pub(super) async fn meet(engine: Engine) -> Result<Cast> {
        let rail = stripe::Server::start().await;
        let keys = tempfile::tempdir()?;
        let program = Program::new(engine, &config(&rail, &keys)?)?;
        let key = program.key(BALANCE).await?;
        let fresh = program.key(PREMIUM_BALANCE).await?;
        program.advertise(&key, ADVERTISED).await?;
        let relay = Relay::serving(program).await?;
        let plugin = Plugin::register(&relay).await?;
        let owner = relay.customer(&plugin.secret);
        let method = json!({"method": "stripe", "destination": "acct_1MTfjCQ9PRzxEwkZ"});
        owner.put(&format!("/api/plugin/payouts/{}/method", plugin.id), &method).await?.expect(200)?;
        let page = relay.customer(&key);
        let made = page.post("/api/ads/campaigns", &terms()).await?.expect(201)?;
        let campaign = format!("/api/ads/campaigns/{}", made["id"].as_str().context("a campaign")?);
        let (limited, journals) = (None, Arc::default());
        Ok(Cast { relay, plugin, page, campaign, fresh, limited, rail, journals, _keys: keys })
    }

    /// Gives whoever works something to write into.
    pub(super) fn journal(&self) -> Arc<Mutex<Journals>> {
        Arc::clone(&self.journals)
    }

    pub(super) fn journals(&self) -> MutexGuard<'_, Journals> {
        open(&self.journals)
    }

    /// Tells whether the book has a payout that is with its rail and has not ended.
    pub(super) fn has_payouts_under_way(&self) -> Result<bool> {
        let ledger = self.relay.ledger()?;
        Ok(ledger.entries("payout_sent")? > ledger.entries("payout_confirmed")?)
    }

    /// Holds the book, and what the relay says of it, against everybody's journals and the rail's.
    pub(super) async fn agree(&self) -> Result<()> {
        let told = self.told().await?;
        let ledger = self.relay.ledger()?;
        let journals = self.journals();
        journals.jobs_agree(&ledger)?;
        journals.purses_agree(&ledger, &told)?;
        // Whatever the rail had paid by then the book must have, and whatever the book says is confirmed the
        // rail must have paid by then.
        let before = self.rail.payouts();
        journals.payouts_agree(&ledger, &before, || self.rail.payouts())
    }

    /// Asks the relay how everybody stands.
    async fn told(&self) -> Result<Told> {
        let account = self.page.get("/api/account").await?.expect(200)?;
        let campaign = self.page.get(&self.campaign).await?.expect(200)?;
        let earnings = self.plugin.earnings(&self.relay).await?;
        let key = match &self.limited {
            Some(limited) => Some(limited.get("/api/account").await?.expect(200)?["key"].clone()),
            None => None,
        };
        Ok(Told { account, campaign, earnings, key })
    }

    /// Waits until every payout that was asked for has arrived.
    pub(super) async fn all_is_paid_out(&self) -> Result<()> {
        let ledger = self.relay.ledger()?;
        let look = || async {
            let open = ledger.entries("payout_requested")? - ledger.entries("payout_confirmed")?;
            Ok((open == 0).then_some(()))
        };
        within(PAID_WITHIN, "every payout arrives", look).await?;
        assert_eq!(
            self.rail.payouts().len() as u64,
            ledger.entries("payout_requested")?,
            "each of them once"
        );
        Ok(())
    }
}

pub(super) fn open(journals: &Mutex<Journals>) -> MutexGuard<'_, Journals> {
    journals.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config(rail: &stripe::Server, keys: &TempDir) -> Result<String> {
    let key = operator_file(keys.path(), "stripe", stripe::KEY)?;
    Ok(format!(
        "behind_proxy = true\n{FREE}keys_per_account = 100000\nkeys_per_minute = 100000\n\
         [ads]\nseen_after_ms = 0\n[money]\npremium_price = \"1\"\n[payouts]\nwatch_days = 0\n\
         [payouts.stripe]\nurl = \"{}\"\nkey_file = {key:?}\nminimum = \"0.05\"\ncost = \"{PAYOUT_COST}\"\n",
        rail.url
    ))
}

fn terms() -> Value {
    json!({
        "title": "Laptops that last", "text": "Five years of spare parts.",
        "link": "https://shop.example.com/laptops", "categories": ["technology"],
        "bidPerThousand": "2", "budget": ADVERTISED, "ends": 9_000_000_000_000_u64,
    })
}
