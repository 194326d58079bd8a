//! Prices and the cost of power, as the form has them.

use rekursing_protocol::{Nanos, Price, Pricing};
use serde::{Deserialize, Serialize};

use super::form::{Errors, note};
use crate::{
    choices::{Code, Currency, Power},
    said::{Blank, Said},
};

/// Most watts that the form takes.
const WATTS_MAX: u32 = 100_000;

/// Most dollars for a kilowatt-hour that the form takes.
const KWH_MAX: Nanos = Nanos::new(100_000_000_000);

/// Most dollars that one unit of a currency is.
const DOLLARS_MAX: Nanos = Nanos::new(100_000_000_000);

/// How an owner prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// As it is without a word: by the price of every model, or by the relay's own.
    #[default]
    Unset,
    /// A price per token.
    Fixed,
    /// What others ask, and never less than the price given.
    Market,
    /// A price for an hour of answering.
    Hour,
}

/// A price in dollars per million tokens, or for an hour.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PriceForm {
    /// Which of the fields count.
    pub way: Way,
    /// For prompts; of a floor, empty is nothing.
    pub input: String,
    /// For answers; of a floor, empty is nothing.
    pub output: String,
    /// For an hour.
    pub hour: String,
}

/// What the power costs, as texts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PowerForm {
    /// Watts while it answers, or empty.
    pub watts: String,
    /// What a kilowatt-hour costs in the owner's currency, or empty.
    pub per_kwh: String,
    /// The currency's code; empty for US dollars.
    pub currency: String,
    /// US dollars for one unit of it; of dollars it may be empty.
    pub dollars: String,
    /// Whether nothing is offered below cost.
    pub floor: bool,
}

impl PriceForm {
    pub(super) fn show(pricing: Pricing) -> PriceForm {
        let sides = |way, price: Price| PriceForm {
            way,
            input: dollars(price.input),
            output: dollars(price.output),
            hour: String::new(),
        };
        match pricing {
            Pricing::Fixed(price) => sides(Way::Fixed, price),
            Pricing::Market { floor } => sides(Way::Market, floor),
            Pricing::Hourly { per_hour } => {
                PriceForm { way: Way::Hour, hour: per_hour.to_string(), ..PriceForm::default() }
            }
        }
    }

    pub(super) fn read(&self) -> Result<Option<Pricing>, Said> {
        let (input, output) = (self.input.trim(), self.output.trim());
        let floor = |side: &str| if side.is_empty() { Ok(0) } else { micros(side) };
        Ok(match self.way {
            Way::Unset => None,
            Way::Fixed if input.is_empty() || output.is_empty() => {
                return Err(Said::plain("form_price_sides", "Set a price for prompts and one for answers."));
            }
            Way::Fixed => Some(Pricing::Fixed(Price::new(micros(input)?, micros(output)?))),
            Way::Market => Some(Pricing::Market { floor: Price::new(floor(input)?, floor(output)?) }),
            Way::Hour => Some(Pricing::Hourly { per_hour: hourly(&self.hour)? }),
        })
    }
}

impl PowerForm {
    pub(super) fn show(power: Power) -> PowerForm {
        let Currency { code, dollars } = power.currency;
        PowerForm {
            watts: power.watts.to_string(),
            per_kwh: power.per_kwh.to_string(),
            currency: code.into(),
            dollars: dollars.to_string(),
            floor: power.floor,
        }
    }

    pub(super) fn read(&self, errors: &mut Errors) -> Option<Power> {
        let (watts, per_kwh) = (self.watts.trim(), self.per_kwh.trim());
        if watts.is_empty() && per_kwh.is_empty() && !self.floor {
            return None;
        }
        let watts = watts.parse().ok().filter(|watts| (1..=WATTS_MAX).contains(watts));
        let watts = watts.ok_or_else(|| {
            let text = format!("Write a whole number of watts from 1 to {WATTS_MAX}.");
            Said::new("form_watts", [Blank::Number(WATTS_MAX.into())], text)
        });
        let per_kwh = per_kwh.parse().ok().filter(|price| (Nanos::ZERO..=KWH_MAX).contains(price));
        let per_kwh = per_kwh.ok_or_else(|| {
            Said::plain("form_kwh", "Write the price of a kilowatt-hour, such as 0.30, at most 100.")
        });
        let (watts, per_kwh) = (note(errors, "watts", watts), note(errors, "kwh", per_kwh));
        let currency = self.currency(errors);
        Some(Power { watts: watts?, per_kwh: per_kwh?, currency: currency?, floor: self.floor })
    }

    fn currency(&self, errors: &mut Errors) -> Option<Currency> {
        let usual = Currency::default();
        let code = if self.currency.trim().is_empty() { Ok(usual.code) } else { self.currency.parse() };
        let code: Option<Code> = note(
            errors,
            "currency",
            code.map_err(|_| Said::plain("form_currency", "Write a code of three letters, such as EUR.")),
        );
        let is_usual = code.is_none_or(|code| code == usual.code);
        let dollars = if is_usual { Some(usual.dollars) } else { self.dollars.trim().parse().ok() };
        let dollars = dollars.filter(|dollars| (Nanos::new(1_000)..=DOLLARS_MAX).contains(dollars));
        let sentence = || {
            Said::plain(
                "form_dollars",
                "Write how many dollars one is, such as 1.08. Nobody looks this up for you.",
            )
        };
        let dollars = note(errors, "dollars", dollars.ok_or_else(sentence));
        Some(Currency { code: code?, dollars: dollars? })
    }
}

fn hourly(text: &str) -> Result<Nanos, Said> {
    let amount: Option<Nanos> = text.trim().parse().ok();
    amount.filter(|amount| Pricing::Hourly { per_hour: *amount }.is_sane()).ok_or_else(|| {
        Said::plain("form_price_hour", "Write dollars for an hour, such as 0.25, at most 1000.")
    })
}

/// Prints micro-dollars as dollars.
fn dollars(micros: u64) -> String {
    let nanos = i64::try_from(micros).ok().and_then(|micros| micros.checked_mul(1_000));
    Nanos::new(nanos.unwrap_or(i64::MAX)).to_string()
}

/// Reads dollars as micro-dollars, exactly.
///
/// # Errors
/// The sentence for the owner when it is no price.
pub fn micros(text: &str) -> Result<u64, Said> {
    let amount: Nanos = text.parse().map_err(|_| {
        Said::plain("form_price_number", "A price is a decimal number of dollars, such as 0.25.")
    })?;
    let nanos = u64::try_from(amount.get())
        .map_err(|_| Said::plain("form_price_negative", "A price is not negative."))?;
    if nanos % 1_000 != 0 {
        return Err(Said::plain("form_price_decimals", "A price has at most six decimals."));
    }
    if nanos / 1_000 > Price::MAX {
        let most = Price::MAX / 1_000_000;
        let text = format!("A price is at most {most} dollars per million tokens.");
        return Err(Said::new("form_price_high", [Blank::Number(most)], text));
    }
    Ok(nanos / 1_000)
}
