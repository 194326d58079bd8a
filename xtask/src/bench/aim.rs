//! What we want to reach, beside what was measured.

use std::fmt::Write;

use anyhow::Result;
use serde_json::Value;

use super::{
    Way,
    load::{FIFTY, FIVE_HUNDRED, FULL_SPEED, ONE, SETTLED, SHORT, TWO_THOUSAND},
    report::{self, Report},
};

/// One aim. A figure is met when it is on the good side of the aim.
struct Aim {
    what: &'static str,
    aim: f64,
    /// Whether more is better.
    is_rate: bool,
    here: Option<f64>,
    /// What the floor reaches in the same run, which tells a slow machine from a slow relay.
    floor: Option<f64>,
}

/// Prints every aim, whether it is met, and by how much it is missed.
pub(super) fn print(report: &Report, text: &mut String) -> Result<()> {
    writeln!(
        text,
        "\n## Aims\n\nThe aims were set on a quicker machine; the floor's column shows what this one lets a relay \
         without any rule reach, and for the popup an empty page of the extension.\n\n| what | aim | here | here to aim | floor here | |\n|---|---|---|---|---|---|"
    )?;
    for Aim { what, aim, is_rate, here, floor } in aims(report)? {
        let Some(here) = here else { continue };
        let met = if is_rate { here >= aim } else { here <= aim };
        let ratio = if aim > 0.0 { format!("{:.2}", here / aim) } else { "–".to_owned() };
        let floor = floor.map_or_else(|| "–".to_owned(), number);
        let verdict = if met { "met" } else { "missed" };
        writeln!(text, "| {what} | {} | {} | {ratio} | {floor} | {verdict} |", number(aim), number(here))?;
    }
    Ok(())
}

fn aims(report: &Report) -> Result<Vec<Aim>> {
    let figure = |load, way, path: &str| report.run(load, way).pointer(path).and_then(Value::as_f64);
    let both = |what, aim, is_rate, load, way, path| Aim {
        what,
        aim,
        is_rate,
        here: figure(load, way, path),
        floor: figure(load, Way::Floor, path),
    };
    let alone = |what, aim, here| Aim { what, aim, is_rate: false, here, floor: None };
    let durable_us = |way| figure(SETTLED, way, "/total_us/p99");
    let at_most = |what, aim, load, path| both(what, aim, false, load, Way::Node, path);
    let at_least = |what, aim, load, way, path| both(what, aim, true, load, way, path);
    let browser = |name: &str| report.browser[name].as_f64();
    let added =
        browser("extension_first_ms").zip(browser("direct_first_ms")).map(|(all, direct)| all - direct);
    let packed = f64::from(u32::try_from(report::wasm()?.1)?);
    const CPU: &str = "/processes/relay/cpu_s_per_million";
    Ok(vec![
        at_most("first token, 1 stream, p50, µs", 250.0, ONE, "/first_us/p50"),
        at_most("first token, 1 stream, p99, µs", 500.0, ONE, "/first_us/p99"),
        at_most("first token, 50 streams, p50, µs", 300.0, FIFTY, "/first_us/p50"),
        at_most("first token, 50 streams, p99, µs", 1_000.0, FIFTY, "/first_us/p99"),
        at_most("per token, 50 streams, p50, µs", 100.0, FIFTY, "/token_us/p50"),
        at_most("per token, 50 streams, p99, µs", 250.0, FIFTY, "/token_us/p99"),
        at_most("relay's processor seconds per million tokens, 500 streams", 27.0, FIVE_HUNDRED, CPU),
        at_least(
            "tokens per second, 32 streams at full speed",
            215_000.0,
            FULL_SPEED,
            Way::Node,
            "/tokens_per_s",
        ),
        at_least("short requests per second, 1,000 sessions", 25_000.0, SHORT, Way::Crowd, "/requests_per_s"),
        at_least("settled jobs per second, SQLite", 1_000.0, SETTLED, Way::Relay, "/requests_per_s"),
        at_least("settled jobs per second, PostgreSQL", 1_000.0, SETTLED, Way::Postgres, "/requests_per_s"),
        alone("request to durable end, SQLite, p99, µs", 50_000.0, durable_us(Way::Relay)),
        alone("request to durable end, PostgreSQL, p99, µs", 50_000.0, durable_us(Way::Postgres)),
        alone("tokens lost, 2,000 streams", 0.0, figure(TWO_THOUSAND, Way::Node, "/lost")),
        alone("bytes per idle session, 10,000 sessions", 4_096.0, report.idle["bytes_per_session"].as_f64()),
        Aim {
            floor: browser("empty_paint_ms"),
            ..alone("popup's first paint, ms", 50.0, browser("popup_paint_ms"))
        },
        alone("added to the first token by relay and extension, ms", 3.0, added),
        alone("wasm, bytes gzipped", 262_144.0, Some(packed)),
    ])
}

/// Prints a figure with as many digits as mean something.
fn number(value: f64) -> String {
    if value < 100.0 && value.fract() != 0.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
