//! What makes prices and fees wrong.

use anyhow::{Result, ensure};
use rekursing_protocol::Price;

use super::{Money, Step};

impl Money {
    /// Checks that no price is higher than the ledger takes, that no part is more than the whole, and that no
    /// amount is below zero.
    pub(super) fn check(&self) -> Result<()> {
        for (name, price) in [
            ("default_input", self.default_input),
            ("default_output", self.default_output),
            ("unnamed_input_max", self.unnamed_input_max),
            ("unnamed_output_max", self.unnamed_output_max),
        ] {
            ensure!(price <= Price::MAX, "money.{name} must not be above {}", Price::MAX);
        }
        let rates = |steps: &[Step]| steps.iter().map(|step| step.permille).max().unwrap_or_default();
        for (name, permille) in [
            ("fee_permille", self.fee_permille),
            ("fee_steps", rates(&self.fee_steps)),
            ("discount_steps", rates(&self.discount_steps)),
            ("holdback_permille", self.holdback_permille),
        ] {
            ensure!(permille <= 1_000, "money.{name} must not be above 1000 thousandths");
        }
        for (name, amount) in [
            ("premium_price", self.premium_price),
            ("trusted_charge_min", self.trusted_charge_min),
            ("verified_from", self.verified_from),
        ] {
            ensure!(!amount.is_negative(), "money.{name} must not be below zero");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_the_ledger_could_not_hold_is_refused_at_the_start() {
        for wrong in [
            "default_input = 9223372036854775807",
            "default_output = 10000000001",
            "unnamed_input_max = 9223372036854775807",
            "fee_permille = 1001",
            "fee_steps = [{ volume = \"1\", permille = 2000 }]",
            "discount_steps = [{ volume = \"1\", permille = 1001 }]",
            "holdback_permille = 1001",
            "premium_price = \"-1\"",
            "trusted_charge_min = \"-1\"",
            "verified_from = \"-1\"",
        ] {
            let name = wrong.split(' ').next().unwrap();
            let refused = Config::parse(&format!("[money]\n{wrong}")).expect_err(wrong);
            assert!(format!("{refused:#}").contains(name), "{wrong}: {refused:#}");
        }
    }
}
