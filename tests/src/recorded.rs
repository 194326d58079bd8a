//! Recorded states of the agent and answers of the relay, and a page of the extension shown with them.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    browser::{Browser, Tab},
    built,
};

/// What an agent before a recorded relay knows and says.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The agent's state.
    pub state: Value,
    /// The relay's answers by what a page wants: `[status, body]`. What is not in it is never answered.
    pub answers: Value,
}

impl Recorded {
    /// An owner who has said yes and is ready, with one job running.
    pub fn ready() -> Recorded {
        let state = json!({
            "connection": {"phase": "ready", "reason": null},
            "plugin": "plg_01KA5Z0Q7N3J5R8T2V6Y4H9GKM",
            "relay": "wss://rekursing.com",
            "gpu": {"vendor": "NVIDIA", "model": "GeForce RTX 4090", "class": "high", "raw": "ANGLE (NVIDIA)"},
            "server": {"kind": "lm_studio", "address": "http://127.0.0.1:1234", "reason": null},
            "models": [
                {
                    "model": "qwen2.5-7b-instruct", "kind": "text", "quantization": "Q4_K_M", "context": 32768,
                    "slots": 2, "price": {"input": 150_000, "output": 600_000}, "tokensPerSecond": 62,
                    "firstTokenMs": 210, "done": 12,
                },
                {
                    "model": "a-model-whose-name-is-longer-than-any-popup-is-wide-in-pixels-70b", "kind": "text",
                    "quantization": "Q8_0", "context": 8192, "slots": 1, "price": null,
                    "tokensPerSecond": null, "firstTokenMs": null, "done": 0,
                },
            ],
            "jobs": [{
                "id": "job_01KA5ZK3T8Q4M7W2X9C1B6D0EF", "model": "qwen2.5-7b-instruct", "ageMs": 4200,
                "tokens": 180, "tokensPerSecond": 58,
            }],
            "earnings": {
                "today": "0.182340015", "week": "1.293840015", "total": "12.293840015",
                "days": ["0.2", "0.31", "0", "0.1", "0.25", "0.2515", "0.182340015"],
                "available": "3.10", "held": "0.643920007", "heldUntil": 1_764_230_400_000_u64, "paid": "8.5",
                "jobs": 120,
            },
            "trial": null, "slots": 4, "paused": false, "consent": true,
        });
        let answers = json!({
            "earnings": [200, earnings()], "payouts": [200, payouts()],
            "payout": [200, {"quote": {
                "method": "paypal", "destination": "ada@example.com", "amount": "3.1", "cost": "0.25",
                "arrives": "2.85", "ready": true,
            }}],
            "receipt": [200, receipt()],
            "keys": [200, {"keys": [{
                "id": "fe812c12f3ab4ce6", "algorithm": "Ed25519",
                "key": "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c", "since": 1,
            }]}],
        });
        Recorded { state, answers }
    }

    /// An owner who has just installed the extension.
    pub fn undecided() -> Recorded {
        let reason = json!({"code": "no_consent", "text": "Nothing is offered until you agree."});
        let mut recorded = Recorded::ready();
        let state = &mut recorded.state;
        state["consent"] = json!(false);
        state["connection"] = json!({"phase": "off", "reason": reason});
        state["server"] = json!({"kind": null, "address": null, "reason": reason});
        for list in ["models", "jobs"] {
            state[list] = json!([]);
        }
        for nothing in ["plugin", "earnings"] {
            state[nothing] = Value::Null;
        }
        recorded
    }

    /// The same with another value in the state.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Recorded {
        self.state[field] = value;
        self
    }

    /// The same with the server of no use for this reason.
    #[must_use]
    pub fn without_server(self, code: &str, text: &str) -> Recorded {
        let server = json!({"kind": null, "address": null, "reason": {"code": code, "text": text}});
        self.with("server", server).with("models", json!([])).with("jobs", json!([]))
    }

    /// The same with the link in this phase for this reason.
    #[must_use]
    pub fn without_link(self, phase: &str, code: &str, text: &str) -> Recorded {
        let connection = json!({"phase": phase, "reason": {"code": code, "text": text}});
        self.with("connection", connection).with("jobs", json!([]))
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
    /// Fails when it is not.
    pub async fn show(&self, browser: &Browser, extension: &str, page: &str) -> Result<Tab> {
        let agent = std::fs::read_to_string(built::root().join("tests/recorded/agent.js"))
            .context("no stand-in for the agent")?;
        let recorded = json!({"state": self.state, "answers": self.answers});
        let tab = browser.open("about:blank").await?;
        tab.before_all(&format!("const RECORDED = {recorded};\n{agent}")).await?;
        tab.go(&format!("chrome-extension://{extension}/{page}")).await?;
        tab.until("document.body.dataset.painted").await?;
        Ok(tab)
    }
}

/// What a relay says of an owner who has earned on most of the last ninety days up to today.
fn earnings() -> Value {
    let today = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() / 86_400);
    let day = |back: u64| rekursing_protocol::Day(today - back);
    let days = (0..90).rev().filter(|back| back % 9 != 4).map(|back| {
        let micros = 40_000 + (back * 7_919 % 400_000);
        json!({
            "day": day(back), "jobs": 1 + back % 5, "promptTokens": 100 * back + 31,
            "answerTokens": 300 * back + 77, "earned": format!("0.{micros:06}"),
        })
    });
    let recent = (0..12_u64).map(|back| {
        json!({
            "jobId": "job_01KJKRV5G0000000000000001A", "at": 1_763_625_600_000 - back * 900_000,
            "model": "qwen2.5-7b-instruct", "promptTokens": 1000 + back, "answerTokens": 321,
            "charge": "0.000339174", "fee": "0.000013704", "earned": "0.00032547", "heldBack": "0.000162735",
            "releaseAt": 1_764_230_400_000_u64,
        })
    });
    let model = |name: &str, earned: &str| json!({"model": name, "jobs": 60, "promptTokens": 61_200, "answerTokens": 19_031, "earned": earned});
    json!({
        "pluginId": "plg_01KA5Z0Q7N3J5R8T2V6Y4H9GKM", "available": "3.1", "held": "0.643920007",
        "releases": [
            {"at": 1_764_057_600_000_u64, "amount": "0.3"},
            {"at": 1_764_230_400_000_u64, "amount": "0.343920007"},
        ],
        "inPayout": "0.05", "paid": "8.5", "payoutCosts": "0.5", "today": "0.182340015",
        "last7Days": "1.293840015", "last30Days": "6.1", "total": "12.293840015", "jobs": 120,
        "days": days.collect::<Vec<_>>(),
        "models": [model("qwen2.5-7b-instruct", "8.1"), model("llama-3.1-8b-instruct", "4.193840015")],
        "recent": recent.collect::<Vec<_>>(),
    })
}

fn payouts() -> Value {
    let payout = |state: &str, reason: Value| {
        json!({
            "payoutId": "pay_01KA60B2M4N6P8R0S2T4V6W8XY", "method": "paypal", "destination": "ada@example.com",
            "amount": "4.25", "cost": "0.25", "arrives": "4", "automatic": false, "state": state,
            "requestedAt": 1_763_625_600_000_u64, "reference": null, "reason": reason,
        })
    };
    json!({
        "pluginId": "plg_01KA5Z0Q7N3J5R8T2V6Y4H9GKM", "available": "3.1",
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
