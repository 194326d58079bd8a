//! Recorded states of the agent and answers of the relay, and a page of the extension shown with them.
//!
//! States are the agent's own type, and what a test changes in one is read back as that type before
//! it is shown; answers are held against `relay/openapi.json` by a test. So neither can drift.

use anyhow::{Context, Result, ensure};
use rekursing_extension_core::{
    agent::{
        Connection, DoneView, EarningsView, JobView, MarketView, ModelView, Phase, ServerView, State, Why,
    },
    bridge::server::Kind,
};
use rekursing_protocol::{Gpu, Moment, Nanos, OfferKind, Price, Pricing, gpu::GpuClass, outlook::Range};
use serde_json::{Value, json};

use crate::{
    browser::{Browser, Tab},
    built,
};

/// When everything was recorded, in milliseconds: 20 November 2025, 08:00 UTC. The pages' clock stands still.
pub const NOW: u64 = 1_763_625_600_000;

/// The time zone of the pages.
const ZONE: &str = "Europe/Berlin";

/// What an agent before a recorded relay knows and says.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The agent's state.
    pub state: Value,
    /// The relay's answers by what a page wants: `[status, body]`. What is not in it is never answered.
    pub answers: Value,
    /// What the extension's storage holds.
    pub stored: Value,
    /// Which way the page is written.
    pub reads: Reads,
}

/// Which way a language is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// From left to right.
    LeftToRight,
    /// From right to left.
    RightToLeft,
}

impl Recorded {
    /// An owner who has said yes and is ready, with one job running.
    pub fn ready() -> Recorded {
        let answers = json!({
            "earnings": [200, earnings()], "group": [200, {"group": null}], "payouts": [200, payouts()],
            "disputes": [200, {"disputes": []}],
            "payout": [200, {"quote": {
                "method": "paypal", "destination": "ada@example.com", "amount": "3.1", "cost": "0.25",
                "arrives": "2.85", "heldUntil": null, "ready": true,
            }}],
            "receipt": [200, receipt()],
            "keys": [200, {"keys": [{
                "id": "fe812c12f3ab4ce6", "algorithm": "Ed25519",
                "key": "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c", "since": 1,
            }]}],
        });
        let stored = json!({"consent": {"given": true, "at": NOW - 86_400_000}});
        Recorded { state: value(&state()), answers, stored, reads: Reads::LeftToRight }
    }

    /// An owner who has just installed the extension.
    pub fn undecided() -> Recorded {
        let reason = Some(Why::NoConsent.reason());
        let state = State {
            consent: false,
            connection: Connection { phase: Phase::Off, reason: reason.clone() },
            server: ServerView { reason, ..ServerView::default() },
            servers: Vec::new(),
            models: Vec::new(),
            withheld: Vec::new(),
            jobs: Vec::new(),
            plugin: None,
            earnings: None,
            ..state()
        };
        Recorded { state: value(&state), stored: json!({}), ..Recorded::ready() }
    }

    /// The same with another value in the state.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Recorded {
        self.state[field] = value;
        self
    }

    /// The same with the server of no use for this reason.
    #[must_use]
    pub fn without_server(self, why: Why) -> Recorded {
        let server = ServerView {
            address: Some("http://127.0.0.1:1234".to_owned()),
            reason: Some(why.reason()),
            ..ServerView::default()
        };
        let servers = json!([server]);
        let server = json!(ServerView { address: None, ..server });
        self.with("server", server).with("servers", servers).with("models", json!([])).with("jobs", json!([]))
    }

    /// The same with the link in this phase for this reason.
    #[must_use]
    pub fn without_link(self, phase: Phase, why: Why) -> Recorded {
        let connection = Connection { phase, reason: Some(why.reason()) };
        self.with("connection", json!(connection)).with("jobs", json!([]))
    }

    /// The same with no new jobs taken for this reason.
    #[must_use]
    pub fn closed(self, reason: &Value, until: Option<u64>) -> Recorded {
        let paused = reason["code"] == "paused";
        let state = self.with("closed", json!({"reason": reason, "until": until})).with("jobs", json!([]));
        let state = state.with("connection", json!({"phase": "ready", "reason": reason}));
        let until = if paused { json!(until) } else { Value::Null };
        state.with("paused", json!(paused)).with("pausedUntil", until)
    }

    /// The same with something else in storage.
    #[must_use]
    pub fn storing(mut self, key: &str, value: Value) -> Recorded {
        self.stored[key] = value;
        self
    }

    /// The same, written from right to left.
    #[must_use]
    pub fn mirrored(self) -> Recorded {
        Recorded { reads: Reads::RightToLeft, ..self }
    }

    /// The same with another answer of the relay.
    #[must_use]
    pub fn answering(mut self, what: &str, status: u16, body: &Value) -> Recorded {
        self.answers[what] = json!([status, body]);
        self
    }

    /// Shows a page of the extension with this, and waits until it is painted.
    ///
    /// # Errors
    /// Fails when it is not, and when the state is none of the agent's.
    pub async fn show(&self, browser: &Browser, extension: &str, page: &str) -> Result<Tab> {
        let tab = browser.open("about:blank").await?;
        self.show_in(&tab, extension, page).await?;
        Ok(tab)
    }

    /// Shows it in a tab that is there.
    ///
    /// # Errors
    /// Fails when it is not painted, and when the state is none of the agent's.
    pub async fn show_in(&self, tab: &Tab, extension: &str, page: &str) -> Result<()> {
        is_a_state(&self.state)?;
        let agent = std::fs::read_to_string(built::root().join("tests/recorded/agent.js"))
            .context("no stand-in for the agent")?;
        let recorded = json!({
            "state": self.state, "answers": self.answers, "stored": self.stored, "now": NOW,
            "mirrored": self.reads == Reads::RightToLeft,
        });
        tab.zone(ZONE).await?;
        tab.before_all(&format!("const RECORDED = {recorded};\n{agent}")).await?;
        tab.go(&format!("chrome-extension://{extension}/{page}")).await?;
        tab.until("document.body.dataset.painted").await
    }
}

/// Tells whether a value is a state of the agent's and nothing more.
///
/// # Errors
/// Fails with what is odd about it.
pub fn is_a_state(told: &Value) -> Result<()> {
    let state: State = serde_json::from_value(told.clone()).context("no state of the agent")?;
    let again = value(&state);
    let told = told.as_object().context("no state of the agent")?;
    for (field, value) in told {
        ensure!(again[field] == *value, "the agent would say {} of {field}, not {value}", again[field]);
    }
    Ok(())
}

/// Returns every reason that the agent has, as its reader lists them for whoever names another.
///
/// # Panics
/// Panics when it lists none.
pub fn whys() -> Vec<Why> {
    let error = serde_json::from_value::<Why>(json!("")).expect_err("there is no such reason").to_string();
    let named = error.split('`').filter_map(|name| serde_json::from_value(json!(name)).ok());
    let whys: Vec<Why> = named.collect();
    assert!(whys.len() > 20, "{error}");
    whys
}

fn value(state: &State) -> Value {
    serde_json::to_value(state).expect("a state always prints")
}

fn usd(text: &str) -> Nanos {
    text.parse().expect("an amount")
}

/// The state of an owner who is ready, with one job running.
fn state() -> State {
    let name = "qwen2.5-7b-instruct";
    let price = Price::new(150_000, 600_000);
    let model = ModelView {
        model: name.to_owned(),
        kind: OfferKind::Text,
        quantization: "Q4_K_M".to_owned(),
        context: 32_768,
        slots: 2,
        price: Some(price),
        pricing: Some(Pricing::Fixed(price)),
        cost: Some(500_000),
        below_cost: false,
        market: Some(MarketView {
            ask: price,
            others: 3,
            range: Some(Range {
                lowest: Price::new(100_000, 400_000),
                median: Price::new(140_000, 500_000),
                highest: Price::new(300_000, 1_200_000),
            }),
            requests: 214,
            hourly: Some(usd("0.1234")),
        }),
        proposal: None,
        loaded: true,
        tokens_per_second: Some(62),
        first_token_ms: Some(210),
        done: 12,
    };
    let long = ModelView {
        model: "a-model-whose-name-is-longer-than-any-popup-is-wide-in-pixels-70b".to_owned(),
        quantization: "Q8_0".to_owned(),
        context: 8_192,
        slots: 1,
        price: None,
        pricing: None,
        cost: None,
        market: None,
        tokens_per_second: None,
        first_token_ms: None,
        done: 0,
        ..model.clone()
    };
    let server = ServerView {
        kind: Some(Kind::LmStudio),
        address: Some("http://127.0.0.1:1234".to_owned()),
        models: vec![model.model.clone(), long.model.clone()],
        running: 1,
        slots: 3,
        looked_at: Some(Moment(NOW)),
        ..ServerView::default()
    };
    State {
        connection: Connection { phase: Phase::Ready, reason: None },
        plugin: Some("plg_01KA5Z0Q7N3J5R8T2V6Y4H9GKM".parse().expect("an id")),
        relay: "wss://rekursing.com".to_owned(),
        gpu: Gpu {
            vendor: "NVIDIA".to_owned(),
            model: "GeForce RTX 4090".to_owned(),
            class: GpuClass::High,
            raw: "ANGLE (NVIDIA)".to_owned(),
        },
        servers: vec![server.clone()],
        server,
        browser: None,
        models: vec![model, long],
        withheld: vec!["gemma-3-4b".to_owned()],
        jobs: vec![JobView {
            id: "job_01KA5ZK3T8Q4M7W2X9C1B6D0EF".parse().expect("an id"),
            model: name.to_owned(),
            age_ms: 4_200,
            tokens: 180,
            tokens_per_second: 58,
        }],
        earnings: Some(EarningsView {
            today: usd("0.182340015"),
            week: usd("1.293840015"),
            days: ["0.2", "0.31", "0", "0.1", "0.25", "0.2515", "0.182340015"].map(usd),
            total: usd("12.293840015"),
            available: usd("3.1"),
            held: usd("0.643920007"),
            held_until: Some(Moment(1_764_230_400_000)),
            paid: usd("8.5"),
            payouts_held_until: None,
            jobs: 37_773,
        }),
        outlook: Vec::new(),
        trial: None,
        slots: 4,
        paused: false,
        paused_until: None,
        closed: None,
        done: DoneView { hour_tokens: 1_234, day_tokens: 23_456, month_bytes: 345_678_901 },
        steered: None,
        steering: true,
        consent: true,
    }
}

/// What a relay says of an owner who has earned on most of the last ninety days up to today. Jobs and tokens of a day
/// and of a model are as many as what they earned takes, so that all figures agree.
fn earnings() -> Value {
    let today = NOW / 86_400_000;
    let day = |back: u64| rekursing_protocol::Day(today - back);
    let jobs_of = |nanos: u64| nanos.div_ceil(325_470);
    let row = |nanos: u64| {
        json!({
            "jobs": jobs_of(nanos), "promptTokens": 1_005 * jobs_of(nanos), "answerTokens": 321 * jobs_of(nanos),
            "earned": Nanos::new(i64::try_from(nanos).expect("a small amount")).to_string(),
        })
    };
    let with = |mut row: Value, name: &str, value: Value| {
        row[name] = value;
        row
    };
    let worked = |back: &u64| back % 9 != 4;
    // The last week as the popup has it; the weeks before earned eleven dollars, with what is left on the oldest day.
    let week = [182_340_015, 251_500_000, 250_000_000, 100_000_000, 0, 310_000_000, 200_000_000];
    let usual = |back: u64| (56_000 + back * 7_919 % 180_000) * 1_000;
    let oldest = 11_000_000_000 - (7..89).filter(worked).map(usual).sum::<u64>();
    let earned = |back: u64| match back {
        0..7 => week[usize::try_from(back).expect("a day of the week")],
        89 => oldest,
        _ => usual(back),
    };
    let days = (0..90).rev().filter(worked).map(|back| with(row(earned(back)), "day", json!(day(back))));
    let month = (0..30).filter(worked).map(earned).sum::<u64>();
    let total = (0..90).filter(worked).map(earned).sum::<u64>();
    let model = |name: &str, nanos: u64| with(row(nanos), "model", json!(name));
    let recent = (0..12_u64).map(|back| {
        json!({
            "jobId": "job_01KJKRV5G0000000000000001A", "givenBack": "0", "at": 1_763_625_600_000 - back * 900_000,
            "model": "qwen2.5-7b-instruct", "promptTokens": 1000 + back, "answerTokens": 321,
            "charge": "0.000339174", "fee": "0.000013704", "earned": "0.00032547", "heldBack": "0.000162735",
            "releaseAt": 1_764_230_400_000_u64,
        })
    });
    json!({
        "pluginId": "plg_01KA5Z0Q7N3J5R8T2V6Y4H9GKM", "available": "3.1", "held": "0.643920007",
        "releases": [
            {"at": 1_764_057_600_000_u64, "amount": "0.3"},
            {"at": 1_764_230_400_000_u64, "amount": "0.343920007"},
        ],
        "disputed": "0", "inPayout": "0.05", "paid": "8.5", "payoutCosts": "0.5", "payoutsHeldUntil": null, "today": "0.182340015",
        "last7Days": "1.293840015", "last30Days": row(month)["earned"], "total": row(total)["earned"], "jobs": jobs_of(total),
        "days": days.collect::<Vec<_>>(),
        "models": [
            model("qwen2.5-7b-instruct", 8_100_000_000),
            model("llama-3.1-8b-instruct", total - 8_100_000_000),
        ],
        "recent": recent.collect::<Vec<_>>(),
    })
}

fn payouts() -> Value {
    let payout = |state: &str, reason: Value| {
        json!({
            "payoutId": "pay_01KA60B2M4N6P8R0S2T4V6W8XY", "method": "paypal", "destination": "ada@example.com",
            "amount": "4.25", "cost": "0.25", "arrives": "4", "automatic": false, "state": state,
            "requestedAt": NOW, "sentAt": null, "confirmedAt": null, "returnedAt": null, "cancelledAt": null,
            "reference": null, "reason": reason,
        })
    };
    json!({
        "pluginId": "plg_01KA5Z0Q7N3J5R8T2V6Y4H9GKM", "available": "3.1", "changeable": true,
        "method": {
            "method": "paypal", "destination": "ada@example.com", "threshold": "10", "schedule": "weekly",
            "nextAt": 1_763_942_400_000_u64, "heldUntil": null, "note": null, "cost": "0.25", "ready": true,
        },
        "methods": [
            {"method": "paypal", "ready": true, "minimum": "5", "cost": "0.25"},
            {"method": "stripe", "ready": false, "minimum": "25", "cost": "0"},
            {"method": "usdc", "ready": true, "minimum": "1", "cost": "0.1"},
        ],
        "payouts": [
            payout("requested", json!("The operator has not set this way up yet.")),
            payout("confirmed", Value::Null),
            payout("returned", json!("The account does not exist.")),
        ],
    })
}

/// The example of docs/ledger.md, whose signature holds.
fn receipt() -> Value {
    json!({
        "jobId": "job_01KJKRV5G0000000000000001A", "state": "settled", "paidBy": "account",
        "hold": {
            "at": 1_772_337_600_000_u64, "amount": "0.000675", "price": {"input": 225_000, "output": 900_000},
            "promptTokens": 1000, "answerTokens": 500,
        },
        "charge": "0.000339174", "endedAt": 1_772_337_605_000_u64,
        "settlement": {
            "model": "qwen2.5-7b-instruct", "provider": "prv_5020a4ba24accf78", "lease": 1,
            "tierAsked": "high", "tier": "standard", "ask": {"input": 150_000, "output": 600_000},
            "price": {"input": 150_000, "output": 600_000}, "promptTokens": 1000, "answerTokens": 321,
            "discount": "0.000003426", "fee": "0.000013704", "earned": "0.00032547",
            "heldBack": "0.000162735", "releaseAt": 1_772_942_405_000_u64, "ad": null,
        },
        "signature": {
            "key": "fe812c12f3ab4ce6",
            "value": "3f76ae6cf1ed5580cc0d4aab803315efd242af32c9b5b81f6913d294b0bf8dc93929faf57bd6943e025b4a29f94e6ed48141ca0726d358d365b242bcd44e8b07",
        },
    })
}
