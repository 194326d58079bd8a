//! Numbers that pages may write as JSON numbers or as texts.

use rekursing_protocol::{Nanos, Price};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::Problem;

/// Checks that a number, if there is one, lies within its bounds.
pub(super) fn within(name: &'static str, raw: Option<&RawValue>, low: f64, high: f64) -> Result<(), Problem> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(()) };
    match raw.get().parse::<f64>() {
        Ok(number) if (low..=high).contains(&number) => Ok(()),
        _ => Err(Problem::field(name, &format!("{name} is a number from {low} to {high}"))),
    }
}

/// Reads an amount of dollars, a number or a decimal text, not below zero.
pub(crate) fn dollars(name: &'static str, raw: &RawValue) -> Result<Nanos, Problem> {
    let text = raw.get().trim_matches('"');
    let plain = match text.parse::<f64>() {
        Ok(number) if text.contains(['e', 'E']) && number.is_sign_positive() => format!("{number:.9}"),
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => text.to_owned(),
        _ => String::new(),
    };
    // Digits past the ninth decimal cannot be charged, so they are cut off and not refused.
    let cut = plain.find('.').map_or(plain.len(), |point| plain.len().min(point + 10));
    plain[..cut]
        .parse()
        .map_err(|_| Problem::field(name, &format!("{name} is an amount of US dollars such as \"0.002\"")))
}

/// Reads `maxPrice`: dollars per million tokens for both sides, or an object of two sides.
pub(crate) fn price(raw: &RawValue) -> Result<Price, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sides<'a> {
        #[serde(borrow, alias = "prompt")]
        input: Option<&'a RawValue>,
        #[serde(borrow, alias = "completion")]
        output: Option<&'a RawValue>,
    }
    if !raw.get().starts_with('{') {
        let side = side("maxPrice", raw)?;
        return Ok(Price::new(side, side));
    }
    let sides: Sides<'_> = serde_json::from_str(raw.get())
        .map_err(|_| Problem::field("maxPrice", "maxPrice has the sides input and output"))?;
    // A side that is left out is no limit, see `Request::price_max`.
    let of = |raw: Option<&RawValue>| raw.map_or(Ok(u64::MAX), |raw| side("maxPrice", raw));
    Ok(Price::new(of(sides.input)?, of(sides.output)?))
}

/// Dollars per million tokens as micro-dollars per million tokens.
pub(super) fn side(name: &'static str, raw: &RawValue) -> Result<u64, Problem> {
    let nanos = dollars(name, raw)?;
    Ok((nanos.get().unsigned_abs() / 1_000).min(Price::MAX))
}

/// Reads `minTps`, tokens per second, as thousandths.
pub(super) fn millitokens(raw: &RawValue) -> Result<u64, Problem> {
    let speed: f64 = raw.get().trim_matches('"').parse().unwrap_or(f64::NAN);
    if !(0.0..=1_000_000.0).contains(&speed) {
        return Err(Problem::field("minTps", "minTps is a number of tokens per second from 0 to 1000000"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just above")]
    Ok((speed * 1_000.0) as u64)
}
