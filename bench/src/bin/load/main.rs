//! Pages: concurrent requests against any OpenAI-compatible server. Prints one line of JSON.

mod request;
mod tally;

use std::{cell::RefCell, rc::Rc, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Parser;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use rekursing_bench::{now_ns, process, spec::Spec, timer};
use serde_json::json;
use tokio::{task::LocalSet, time::timeout};

use crate::{request::Request, tally::Tally};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Pages that ask all at once and measure what they get.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to ask.
    #[arg(long)]
    url: String,
    /// Which route.
    #[arg(long, default_value = "/v1/chat/completions")]
    path: String,
    /// Which model.
    #[arg(long, default_value = "mock")]
    model: String,
    /// An API key.
    #[arg(long)]
    key: Option<String>,
    /// Pages at once.
    #[arg(long, default_value_t = 1)]
    pages: u32,
    /// Tokens of each answer.
    #[arg(long, default_value_t = 20)]
    tokens: u32,
    /// Microseconds between tokens; 0 is flat out.
    #[arg(long, default_value_t = 0)]
    interval_us: u64,
    /// Requests of each page, one after the other; without it, `--seconds` counts.
    #[arg(long)]
    requests: Option<u64>,
    /// Seconds in which new requests begin.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Milliseconds over which the first requests are spread.
    #[arg(long, default_value_t = 0)]
    ramp_ms: u64,
    /// Asks for whole answers.
    #[arg(long)]
    whole: bool,
    /// Names a process to watch: `name=pid`.
    #[arg(long = "pid")]
    pids: Vec<String>,
}

/// Bytes of prompt beside the spec, as an ordinary question has.
const PADDING_BYTES: usize = 200;

/// Seconds after which a request is given up.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the result goes to standard output")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    println!("{}", LocalSet::new().run_until(run(&arguments)).await?);
    Ok(())
}

async fn run(arguments: &Arguments) -> Result<serde_json::Value> {
    tokio::task::spawn_local(timer::drive());
    let watched = watched(&arguments.pids)?;
    let cpu = |watched: &[(String, u32)]| -> Vec<f64> {
        watched.iter().map(|(_, pid)| process::cpu_seconds(*pid)).collect()
    };
    let cpu_before = cpu(&watched);
    let request = Rc::new(request(arguments));
    let tally = Rc::new(RefCell::new(Tally::new()?));
    let begin_ns = now_ns();
    let end_ns = match arguments.requests {
        Some(_) => u64::MAX,
        None => begin_ns + u64::try_from(Duration::from_secs_f64(arguments.seconds).as_nanos())?,
    };
    let mut pages = Vec::new();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..arguments.pages {
        let at_ns = begin_ns + random.below(arguments.ramp_ms * 1_000_000 + 1);
        let requests = arguments.requests.unwrap_or(u64::MAX);
        let page = page(Rc::clone(&request), Rc::clone(&tally), at_ns, end_ns, requests);
        pages.push(tokio::task::spawn_local(page));
    }
    for page in pages {
        page.await?;
    }
    let tally = tally.borrow();
    let mut result = tally.report();
    result["pages"] = json!(arguments.pages);
    for ((name, pid), before) in watched.iter().zip(cpu_before) {
        let seconds = process::cpu_seconds(*pid) - before;
        result["processes"][name] = json!({
            "cpu_s": seconds, "cpu_s_per_million": tally.per_million(seconds), "resident_kib": process::resident_kib(*pid),
        });
    }
    Ok(result)
}

fn watched(pids: &[String]) -> Result<Vec<(String, u32)>> {
    let read = |text: &String| {
        let (name, pid) = text.split_once('=').context("--pid wants name=pid")?;
        Ok((name.to_owned(), pid.parse().context("a process id is a number")?))
    };
    pids.iter().map(read).collect()
}

fn request(arguments: &Arguments) -> Request {
    let spec = Spec { tokens: arguments.tokens, interval_us: arguments.interval_us, delay_us: 0 };
    let padding: String = "lorem ipsum ".chars().cycle().take(PADDING_BYTES).collect();
    let body = json!({
        "model": arguments.model, "stream": !arguments.whole, "max_tokens": arguments.tokens.max(1) * 4,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": format!("{spec} {padding}")},
        ],
    });
    Request {
        address: arguments.url.trim_start_matches("http://").trim_end_matches('/').to_owned(),
        path: arguments.path.clone(),
        key: arguments.key.clone(),
        body: Bytes::from(body.to_string()),
        tokens: if arguments.whole { 1 } else { arguments.tokens },
    }
}

/// One page: request after request over one connection, which is made anew when it breaks.
async fn page(request: Rc<Request>, tally: Rc<RefCell<Tally>>, at_ns: u64, end_ns: u64, requests: u64) {
    timer::sleep_until(at_ns).await;
    let mut connection: Option<SendRequest<Full<Bytes>>> = None;
    let mut done = 0;
    while done < requests && now_ns() < end_ns {
        done += 1;
        let exchange = async {
            let mut sender = match connection.take() {
                Some(sender) if !sender.is_closed() => sender,
                Some(_) | None => request.connect().await?,
            };
            sender.ready().await?;
            request.send(&mut sender, &tally).await?;
            anyhow::Ok(sender)
        };
        match timeout(PATIENCE, exchange).await {
            Ok(Ok(sender)) => connection = Some(sender),
            Ok(Err(error)) => {
                tally.borrow_mut().error(&format!("{error:#}"));
                // A server that refuses is not asked again at full speed.
                timer::sleep_until(now_ns() + 20_000_000).await;
            }
            Err(_) => tally.borrow_mut().error("too slow"),
        }
    }
}

/// A linear congruential generator: the same spread in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) % limit
    }
}
