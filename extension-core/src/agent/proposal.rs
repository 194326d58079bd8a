//! A price to begin with: what others ask, or never less than the power costs at the measured speed.

use rekursing_protocol::{Nanos, Price, Pricing, gpu::GpuClass};

use super::{Agent, Basis, Command, Proposal};
use crate::choices::{Currency, Power};

/// Dollars per kilowatt-hour that are taken where the owner has set none.
const USUAL_KWH: Nanos = Nanos::new(300_000_000);

impl Agent {
    /// Returns a price that would do for a model: the median of what others ask, where the relay has told of
    /// one, else the market's with what the power costs as the least.
    pub(super) fn proposal(&self, model: &str) -> Option<Proposal> {
        let speed = self.memory.speeds.get(model).copied();
        if let Some(range) = self.market(model).and_then(|market| market.range) {
            let pricing = Pricing::Fixed(range.median);
            let raise = |power: Power| Power { floor: true, ..power }.raise(pricing, speed);
            let pricing = self.config.power.map_or(pricing, raise);
            return Some(Proposal { pricing, basis: Basis::Market, watts: None, per_kwh: None });
        }
        let (power, basis) = match self.config.power {
            Some(power) => (power, Basis::Power),
            None => (usual(self.gpu.class), Basis::UsualPower),
        };
        let cost = power.million_tokens(speed?)?;
        Some(Proposal {
            // Reading a prompt is several times as fast as writing an answer: a quarter, as is usual.
            pricing: Pricing::Market { floor: Price::new(cost / 4, cost) },
            basis,
            watts: Some(power.watts),
            per_kwh: Some(power.kwh()),
        })
    }

    /// Takes the price that is proposed for a model as the owner's own.
    pub(super) fn take_price(&mut self, model: &str) {
        let Some(proposal) = self.proposal(model) else { return };
        self.config.prices.insert(model.to_owned(), proposal.pricing);
        self.commands.push(Command::Configure(Box::new(self.config.clone())));
        self.changed = true;
        self.tell_inventory();
    }
}

/// Returns what a computer with such a GPU usually draws while it answers.
fn usual(class: GpuClass) -> Power {
    let watts = match class {
        GpuClass::Unknown | GpuClass::Mid => 250,
        GpuClass::Software | GpuClass::Integrated => 60,
        GpuClass::Low => 150,
        GpuClass::High => 450,
        GpuClass::Datacenter => 700,
    };
    Power { watts, per_kwh: USUAL_KWH, currency: Currency::default(), floor: false }
}
