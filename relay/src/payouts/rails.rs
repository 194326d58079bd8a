//! The rails that the operator has set up.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use rekursing_rails::{Method, Paypal, PaypalSetup, Rail, Secret, Stripe, StripeSetup, Usdc, UsdcSetup};

use crate::config::{self, Config};

/// The rails that the operator has set up.
#[derive(Debug, Clone, Default)]
pub struct Rails(BTreeMap<Method, Arc<dyn Rail>>);

impl Rails {
    /// Sets up the rails of a config. Nothing is asked of them yet.
    ///
    /// # Errors
    /// When a setting or a secret is missing or does not hold.
    pub fn of(config: &Config) -> Result<Rails> {
        let payouts = &config.payouts;
        let patience = Duration::from_millis(payouts.request_ms);
        let mut rails = Rails::default();
        if let Some(set) = &payouts.paypal {
            rails.add(Arc::new(paypal(set, patience).context("payouts.paypal")?));
        }
        if let Some(set) = &payouts.stripe {
            rails.add(Arc::new(stripe(set, patience).context("payouts.stripe")?));
        }
        if let Some(set) = &payouts.usdc {
            rails.add(Arc::new(usdc(set, patience).context("payouts.usdc")?));
        }
        Ok(rails)
    }

    /// Adds a rail, in place of another of the same method.
    pub fn add(&mut self, rail: Arc<dyn Rail>) {
        self.0.insert(rail.method(), rail);
    }

    /// Returns a method's rail.
    pub fn rail(&self, method: Method) -> Option<&Arc<dyn Rail>> {
        self.0.get(&method)
    }

    /// Returns the methods that have one.
    pub fn methods(&self) -> impl Iterator<Item = Method> {
        self.0.keys().copied()
    }
}

fn paypal(set: &config::Paypal, patience: Duration) -> Result<Paypal> {
    if set.client.is_empty() {
        bail!("`client` is the client id of your PayPal application");
    }
    let setup = PaypalSetup {
        url: set.url.clone(),
        client: set.client.clone(),
        secret: secret("secret_file", set.secret_file.as_deref(), "REKURSING_PAYPAL_SECRET")?,
        patience,
        // Owners are told the least that leaves a balance; what arrives of it is less by the cost.
        minimum: Method::Paypal.unit(),
    };
    Ok(Paypal::new(setup)?)
}

fn stripe(set: &config::Stripe, patience: Duration) -> Result<Stripe> {
    let setup = StripeSetup {
        url: set.url.clone(),
        key: secret("key_file", set.key_file.as_deref(), "REKURSING_STRIPE_PAYOUT_KEY")?,
        patience,
        minimum: Method::Stripe.unit(),
    };
    Ok(Stripe::new(setup)?)
}

fn usdc(set: &config::Usdc, patience: Duration) -> Result<Usdc> {
    if set.chain == 0 {
        bail!("`chain` is the number of the chain, such as 8453 for Base");
    }
    let setup = UsdcSetup {
        url: secret("url_file", set.url_file.as_deref(), "REKURSING_USDC_URL")?,
        chain: set.chain,
        token: set.token.parse().context("`token` is the address of USDC on the chain")?,
        key: secret("key_file", set.key_file.as_deref(), "REKURSING_USDC_KEY")?,
        confirmations: set.confirmations(),
        coin_price: set.coin_price,
        cost_max: set.cost(),
        patience,
        minimum: Method::Usdc.unit(),
    };
    Ok(Usdc::new(setup)?)
}

/// Reads a secret out of its file or else out of the environment.
fn secret(key: &str, file: Option<&Path>, variable: &str) -> Result<Secret> {
    if let Some(file) = file {
        return Secret::read(file).with_context(|| format!("could not read `{key}` {}", file.display()));
    }
    match std::env::var(variable) {
        Ok(text) if !text.trim().is_empty() => Ok(Secret::new(text.trim())),
        _ => bail!("name a file as `{key}`, or set {variable}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_table_there_is_no_rail_and_with_one_its_secret_must_be_there() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        assert_eq!(Rails::of(&Config::default()).unwrap().methods().count(), 0);
        for (text, wrong) in [
            ("[payouts.paypal]", "payouts.paypal: `client` is the client id of your PayPal application"),
            (
                "[payouts.paypal]\nclient = \"c\"",
                "payouts.paypal: name a file as `secret_file`, or set REKURSING_PAYPAL_SECRET",
            ),
            (
                "[payouts.stripe]",
                "payouts.stripe: name a file as `key_file`, or set REKURSING_STRIPE_PAYOUT_KEY",
            ),
            ("[payouts.usdc]", "payouts.usdc: `chain` is the number of the chain, such as 8453 for Base"),
        ] {
            let refused = Rails::of(&Config::parse(text).unwrap()).unwrap_err();
            assert_eq!(format!("{refused:#}"), wrong);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_rail_is_set_up_with_a_secret_from_a_file_that_only_its_owner_can_read() {
        use std::os::unix::fs::PermissionsExt;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "sk_test_1").unwrap();
        let text = format!("[payouts.stripe]\nkey_file = {:?}", path.to_str().unwrap());
        let config = Config::parse(&text).unwrap();
        for (mode, is_set_up) in [(0o600, true), (0o644, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let rails = Rails::of(&config);
            assert_eq!(rails.is_ok_and(|rails| rails.rail(Method::Stripe).is_some()), is_set_up, "{mode:o}");
        }
    }
}
