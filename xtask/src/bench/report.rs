//! The tables of `docs/performance.md`.

use std::fmt::Write;

use anyhow::Result;
use serde_json::Value;

use super::{
    Figures, LOADS, Way, aim,
    load::{FIFTY, FIVE_HUNDRED, FULL_SPEED, ONE, SETTLED, SHORT},
};
use crate::extension;

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) figures: Figures,
    pub(crate) calls: Option<f64>,
    pub(crate) store_share: f64,
    pub(crate) idle: Value,
    pub(crate) browser: Value,
    pub(crate) rounds: usize,
}

/// Printed before the tables.
const PREFACE: &str = "# Performance

`cargo xtask bench --write` measures what stands here and writes it. All figures are of one run on one \
machine, where pages, relay, agent and model server share the processors; each is the median of its rounds. \
The model server is a mock that costs almost nothing, so that what is seen is the way and not the model. \
*Floor* is a relay of a hundred lines on the same libraries, without rules, limits or money. Ratios are to \
the model server reached directly.

";

impl Report {
    /// Prints the report as Markdown.
    pub(crate) fn print(&self) -> Result<String> {
        let mut text = PREFACE.to_owned();
        writeln!(text, "Machine: {}. Rounds: {}.\n", machine(), self.rounds)?;
        self.latencies(&mut text)?;
        self.rates(&mut text)?;
        self.settled(&mut text)?;
        self.costs(&mut text)?;
        self.browser(&mut text)?;
        aim::print(self, &mut text)?;
        self.whereabouts(&mut text)?;
        Ok(text)
    }

    fn latencies(&self, text: &mut String) -> Result<()> {
        writeln!(text, "## Added time\n")?;
        writeln!(
            text,
            "Microseconds from the request to its first token, and from a token's making to its arrival; p50 / p99.\n"
        )?;
        writeln!(
            text,
            "| load | way | first token | ratio | per token | ratio | lost | errors |\n|---|---|---|---|---|---|---|---|"
        )?;
        for load in LOADS.iter().filter(|load| load.is_paced()) {
            for way in load.ways {
                let (run, direct) = (self.run(load.name, *way), self.run(load.name, Way::Direct));
                writeln!(
                    text,
                    "| {} | {} | {} | {} | {} | {} | {} | {} |",
                    load.name,
                    way.name(),
                    pair(&run["first_us"]),
                    ratio(&run["first_us"]["p50"], &direct["first_us"]["p50"]),
                    pair(&run["token_us"]),
                    ratio(&run["token_us"]["p50"], &direct["token_us"]["p50"]),
                    whole(&run["lost"]),
                    errors(run),
                )?;
            }
        }
        Ok(writeln!(text)?)
    }

    fn rates(&self, text: &mut String) -> Result<()> {
        writeln!(text, "## Rates\n\n| load | way | tokens/s | requests/s | ratio |\n|---|---|---|---|---|")?;
        for (name, field) in [(FULL_SPEED, "tokens_per_s"), (SHORT, "requests_per_s")] {
            for load in LOADS.iter().filter(|load| load.name == name) {
                for way in load.ways {
                    let run = self.run(name, *way);
                    writeln!(
                        text,
                        "| {name} | {} | {} | {} | {} |",
                        way.name(),
                        whole(&run["tokens_per_s"]),
                        whole(&run["requests_per_s"]),
                        ratio(&run[field], &self.run(name, Way::Direct)[field]),
                    )?;
                }
            }
        }
        Ok(writeln!(text)?)
    }

    /// Jobs whose charge is durable before their page sees the end.
    fn settled(&self, text: &mut String) -> Result<()> {
        writeln!(
            text,
            "## Settled jobs\n\n48 pages ask for whole answers of one token, one after the other. Each answer is held, \
             charged, and both are synced to the disk before the page sees its end.\n\n\
             | money on | jobs/s | request to durable end, p50 / p99, ms |\n|---|---|---|"
        )?;
        for (database, way) in [("SQLite", Way::Relay), ("PostgreSQL", Way::Postgres)] {
            let run = self.run(SETTLED, way);
            let ms = |quantile: &str| run["total_us"][quantile].as_f64().unwrap_or(0.0) / 1e3;
            let (rate, p50, p99) = (whole(&run["requests_per_s"]), ms("p50"), ms("p99"));
            writeln!(text, "| {database} | {rate} | {p50:.1} / {p99:.1} |")?;
        }
        Ok(writeln!(text)?)
    }

    fn costs(&self, text: &mut String) -> Result<()> {
        writeln!(text, "## Cost\n\n| what | figure |\n|---|---|")?;
        for way in [Way::Floor, Way::Node, Way::Relay] {
            let seconds = &self.run(FIVE_HUNDRED, way)["processes"]["relay"]["cpu_s_per_million"];
            let name = if way == Way::Floor { "floor" } else { "relay" };
            let of = way.name();
            let seconds = seconds.as_f64().unwrap_or(0.0);
            writeln!(
                text,
                "| processor seconds of the {name} per million tokens, 500 streams, {of} | {seconds:.1} |"
            )?;
        }
        if let Some(calls) = self.calls {
            writeln!(
                text,
                "| system calls of the relay per million tokens, 32 streams at full speed under strace | {calls:.0} |"
            )?;
        }
        let (sessions, bytes) = (whole(&self.idle["sessions"]), whole(&self.idle["bytes_per_session"]));
        writeln!(text, "| bytes of the relay's memory per idle session, at {sessions} | {bytes} |")?;
        Ok(writeln!(text)?)
    }

    fn browser(&self, text: &mut String) -> Result<()> {
        let (wasm, packed) = wasm()?;
        writeln!(text, "## The extension\n\n| what | figure |\n|---|---|")?;
        writeln!(text, "| wasm, bytes / gzipped | {wasm} / {packed} |")?;
        for (name, field) in [
            ("worker's cold start: a message to a stopped worker, to its answer, ms", "worker_ms"),
            ("an empty page of the extension: first paint, ms", "empty_paint_ms"),
            ("popup's first paint, ms", "popup_paint_ms"),
            ("popup painted with the agent's state, ms", "popup_ready_ms"),
            ("first token, model server directly, ms", "direct_first_ms"),
            ("first token, through relay and extension, ms", "extension_first_ms"),
        ] {
            writeln!(text, "| {name} | {:.2} |", self.browser[field].as_f64().unwrap_or(0.0))?;
        }
        let to_empty = ratio(&self.browser["popup_paint_ms"], &self.browser["empty_paint_ms"]);
        writeln!(text, "| popup's first paint to that of the empty page | {to_empty} |")?;
        writeln!(
            text,
            "\nThe popup and a page with one word are opened in turn, 41 times each; what is left between them is \
             the popup's own. It loads no wasm: the agent runs already, in a document of its own, and tells its \
             state over a port. Where the popup is painted with that state no later than its first paint, the first \
             thing to be seen is how things stand."
        )?;
        Ok(())
    }

    /// Takes the ways apart: what one adds to the next is where the time goes.
    fn whereabouts(&self, text: &mut String) -> Result<()> {
        writeln!(text, "\n## Where the time goes\n")?;
        for (what, load, field) in [
            ("the first token", ONE, "first_us"),
            ("the first token", FIFTY, "first_us"),
            ("a token", FIFTY, "token_us"),
        ] {
            let p50 = |way| self.run(load, way)[field]["p50"].as_f64().unwrap_or(0.0);
            let (direct, relay, all) = (p50(Way::Direct), p50(Way::Relay), p50(Way::Node));
            writeln!(
                text,
                "- Of the {all:.0} µs to {what} with {load}, {relay:.0} are page, relay and link (the floor takes \
                 {:.0} for the same), {direct:.0} are the model server's own exchange, and {:.0} are the agent: \
                 two more processes to wake, one more HTTP exchange.",
                p50(Way::Floor),
                all - relay - direct,
            )?;
        }
        writeln!(
            text,
            "- At full speed and in short requests, the processors are full: pages, relay, agent and model server \
             share them. Of the relay's own time in short requests, {:.0} % is the thread that makes two ledger \
             entries per request durable; the floor keeps no money.",
            self.store_share * 100.0
        )?;
        Ok(())
    }

    pub(crate) fn run(&self, load: &'static str, way: Way) -> &Value {
        self.figures.get(&(load, way)).unwrap_or(&Value::Null)
    }
}

/// Returns the agent's size as it is and gzipped, in bytes.
pub(crate) fn wasm() -> Result<(usize, usize)> {
    let wasm = std::fs::read(extension::root().join("dist/extension/pkg/agent_bg.wasm"))?;
    Ok((wasm.len(), extension::gzipped(&wasm)?))
}

fn pair(distribution: &Value) -> String {
    format!("{} / {}", whole(&distribution["p50"]), whole(&distribution["p99"]))
}

fn whole(value: &Value) -> String {
    value.as_f64().map_or_else(|| "–".to_owned(), |number| format!("{number:.0}"))
}

fn ratio(figure: &Value, base: &Value) -> String {
    match (figure.as_f64(), base.as_f64()) {
        (Some(figure), Some(base)) if base > 0.0 => format!("{:.2}", figure / base),
        _ => "–".to_owned(),
    }
}

fn errors(run: &Value) -> String {
    let counts = run["errors"].as_object().into_iter().flat_map(serde_json::Map::values);
    let sum = counts.filter_map(Value::as_f64).fold(0.0, |sum, count| sum + count);
    format!("{sum:.0}")
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, name)| name);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{threads} threads of {model}, Linux {}", kernel.trim())
}
