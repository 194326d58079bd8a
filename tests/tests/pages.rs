//! The owner's pages in every state: readable by everybody, at every width, in both colours, in every
//! language, and as they looked before.
//!
//! `REKURSING_PICTURES=renew` puts the pictures of now in the place of those in `tests/pictures/`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use rekursing_extension_core::{
    agent::{Phase, Reason, ServerView, Why},
    bridge::server::Kind,
    said::{Blank, Said},
};
use rekursing_protocol::Moment;
use rekursing_tests::{
    axe::{self, faults, too_wide},
    browser::{Tab, Window},
    built, keyboard,
    owner::Owner,
    picture::Picture,
    recorded::{NOW, Recorded, is_a_state, whys},
};
use serde_json::{Value, json};

/// The earnings page has everything.
const FULL: &str = "document.querySelector('#made').children.length > 0";

/// Everything on a page that has an id, and whether it is to be seen. Rows have numbers and count as one; every line
/// below a field looks like the other; and that no model runs in the browser is said by a build that is not tried.
const PARTS: &str = "[...document.querySelectorAll('main [id]:not(.error, #missing)')].map(e => \
                     [e.id.replace(/-\\d+$/, ''), \
                     e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().height > 0])";

/// A state by its name, with what is done on the page before it is looked at.
struct Case {
    name: &'static str,
    recorded: Recorded,
    steps: &'static [&'static str],
}

fn case(name: &'static str, recorded: Recorded) -> Case {
    Case { name, recorded, steps: &[] }
}

/// Looks at each case of a page at 360 and 800 pixels, light and dark, with axe and beside the picture
/// that was kept.
async fn look(page: &str, cases: Vec<Case>) -> Result<()> {
    let owner = Owner::undecided(Window::Headless).await?;
    let axe = axe::source()?;
    let made = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&made)?;
    let mut wrong = Vec::new();
    let mut parts: BTreeMap<String, bool> = BTreeMap::new();
    for Case { name, recorded, steps } in cases {
        let tab = recorded.show(owner.browser(), owner.extension(), &format!("{page}.html")).await?;
        for step in steps {
            tab.until(step).await.with_context(|| format!("{page}, {name}"))?;
        }
        for (part, seen) in serde_json::from_value::<Vec<(String, bool)>>(tab.eval(PARTS).await?)? {
            *parts.entry(part).or_default() |= seen;
        }
        tab.eval(&axe).await?;
        for width in [360, 800] {
            for scheme in ["light", "dark"] {
                tab.prefer(scheme).await?;
                fit(&tab, width).await?;
                let file = format!("{page}-{name}-{width}-{scheme}.png");
                tab.eval("scrollTo(0, 0)").await?;
                if page == "options" {
                    // What sticks to an edge is where it was before until the page was drawn once.
                    tab.screenshot().await?;
                }
                let screenshot = tab.screenshot().await?;
                std::fs::write(made.join(&file), &screenshot)?;
                let mut found = faults(&tab).await?;
                found.extend(compare(&Picture::of(&screenshot)?, &file)?);
                wrong.extend(found.iter().map(|found| format!("{file}: {found}")));
            }
        }
        tab.close().await?;
    }
    let unseen = parts.into_iter().filter(|(_, seen)| !seen);
    wrong.extend(unseen.map(|(part, _)| format!("{page}: there is no picture of #{part}")));
    ensure!(wrong.is_empty(), "pictures of now in {}:\n{}", made.display(), wrong.join("\n"));
    Ok(())
}

/// Makes the window as wide as said and as high as what is in it.
async fn fit(tab: &Tab, width: u32) -> Result<()> {
    tab.resize(width, 4_000).await?;
    let height = tab.eval("document.documentElement.offsetHeight").await?;
    let height = height.as_u64().and_then(|height| height.try_into().ok());
    tab.resize(width, height.context("a page without a height")?).await
}

/// Says how a page looks unlike the picture of it that is kept, or keeps it.
fn compare(picture: &Picture, file: &str) -> Result<Option<String>> {
    let folder = built::root().join("tests/pictures");
    let path: &Path = &folder.join(file);
    if std::env::var_os("REKURSING_PICTURES").is_some_and(|wish| wish == "renew") {
        std::fs::create_dir_all(&folder)?;
        // One that looks the same stays as it is, byte for byte.
        let same = Picture::kept(path).is_ok_and(|kept| kept.difference(picture).is_none());
        return if same { Ok(None) } else { picture.keep(path).map(|()| None) };
    }
    if !path.exists() {
        return Ok(Some(
            "there is no picture of it in tests/pictures: make one with REKURSING_PICTURES=renew".to_owned(),
        ));
    }
    Ok(Picture::kept(path)?.difference(picture))
}

/// Why no new jobs are taken, with the moment at which they come again.
fn closed(why: Why, key: &'static str, values: Vec<Blank>) -> Value {
    json!(Reason::new(why, Said::new(key, values, why.sentence())))
}

/// Three servers: one that works, one where somebody waits, and one that Chrome keeps from the extension.
fn places() -> Value {
    let at = |address: &str| ServerView { address: Some(address.to_owned()), ..ServerView::default() };
    json!([
        ServerView {
            kind: Some(Kind::LmStudio),
            loads: true,
            models: vec!["qwen2.5-7b-instruct".to_owned()],
            asleep: vec![
                "gemma-3-4b".to_owned(),
                "a-model-with-a-name-that-is-longer-than-most-70b".to_owned()
            ],
            running: 1,
            slots: 2,
            ..at("http://127.0.0.1:1234")
        },
        ServerView {
            kind: Some(Kind::LlamaCpp),
            models: vec!["llama-3.1-8b".to_owned()],
            slots: 4,
            waiting: Some(3),
            foreign: Some(1),
            ..at("http://192.168.1.20:1234")
        },
        ServerView {
            reason: Some(Why::NotAllowed.reason()),
            origin: Some("http://192.168.1.21/*".to_owned()),
            ..at("http://192.168.1.21:1234")
        },
    ])
}

/// An owner whose only model is the one in the browser, of no use for this reason.
fn in_browser(why: Why) -> Recorded {
    let view = ServerView {
        kind: Some(Kind::Browser),
        address: Some("http://in-browser.invalid".to_owned()),
        reason: Some(why.reason()),
        ..ServerView::default()
    };
    Recorded::ready().without_server(why).with("servers", json!([])).with("browser", json!(view))
}

/// Everything that can keep jobs away though all is well.
fn hints() -> Value {
    let model = || Blank::Text("qwen2.5-7b-instruct".to_owned());
    let hint = |(code, key, values): (&str, &'static str, Vec<Blank>)| {
        let mut hint = json!(Said::new(key, values, key));
        hint["code"] = json!(code);
        hint
    };
    let hints = [
        ("parked", "hint_parked", vec![]),
        ("untrusted", "hint_untrusted", vec![Blank::Number(82)]),
        ("thumbs", "hint_thumbs", vec![Blank::Number(41)]),
        ("no_demand", "hint_no_demand", vec![]),
        ("not_wanted", "hint_not_wanted", vec![model(), model(), Blank::Count(1)]),
        ("dear", "hint_dear", vec![model(), Blank::Number(40)]),
        ("too_short", "hint_too_short", vec![model(), Blank::Number(4_096), Blank::Number(31)]),
        ("no_group", "hint_no_group", vec![]),
        ("empty_group", "hint_empty_group", vec![]),
        ("verified_only", "hint_verified_only", vec![Blank::Number(64)]),
        ("topic_refused", "hint_topic_refused", vec![Blank::Number(12)]),
        ("outranked", "hint_outranked", vec![model(), Blank::Count(3)]),
        ("new", "hint_new", vec![]),
        ("new", "hint_new_jobs", vec![Blank::Number(7)]),
        ("new", "hint_new_pages", vec![Blank::Number(2)]),
        ("new", "hint_new_both", vec![Blank::Number(7), Blank::Number(2)]),
    ];
    hints.map(hint).into_iter().collect()
}

fn popups() -> Vec<Case> {
    let ready = Recorded::ready;
    let name = "qwen2.5-7b-instruct";
    let outlook = json!([
        {"code": "dear", "key": "hint_dear", "values": [{"text": name}, {"number": 40}], "text": "dear",
         "model": name},
        {"code": "not_wanted", "key": "hint_not_wanted", "text": "not wanted",
         "values": [{"text": name}, {"text": "llama-3.1-8b"}, {"count": 214}], "model": name},
    ]);
    let later = NOW + 3_600_000;
    let until = |why, key| closed(why, key, vec![Blank::At(Moment(later))]);
    let spent = vec![Blank::Number(20_000), Blank::At(Moment(NOW + 86_400_000))];
    vec![
        case("undecided", Recorded::undecided()),
        case("working", ready()),
        case("idle", ready().with("jobs", json!([])).with("outlook", outlook)),
        case("new", ready().with("jobs", json!([])).with("earnings", Value::Null)),
        case(
            "paused",
            ready()
                .closed(&json!(Why::Paused.reason()), None)
                .with("steered", json!({"at": NOW, "what": "paused"})),
        ),
        case("paused-until", ready().closed(&until(Why::Paused, "why_paused_until"), Some(later))),
        case("out-of-hours", ready().closed(&until(Why::OutOfHours, "why_out_of_hours_until"), Some(later))),
        case("in-use", ready().closed(&closed(Why::InUse, "why_in_use_for", vec![Blank::Count(10)]), None)),
        case("on-battery", ready().closed(&json!(Why::OnBattery.reason()), None)),
        case("own-use", ready().closed(&json!(Why::OwnUse.reason()), Some(later))),
        case("hour-spent", ready().closed(&closed(Why::HourSpent, "why_hour_spent_until", spent), None)),
        case(
            "day-spent",
            ready().closed(&closed(Why::DaySpent, "why_day_spent_of", vec![Blank::Number(20_000)]), None),
        ),
        case(
            "connecting",
            ready()
                .with("connection", json!({"phase": "connecting", "reason": null}))
                .with("jobs", json!([])),
        ),
        case("looking", ready().without_server(Why::Looking)),
        case("no-server", ready().without_server(Why::NoServer).with("servers", json!([]))),
        case("servers", ready().with("servers", places())),
        case("forbidden", ready().without_server(Why::NotAllowed)),
        case("refused", ready().without_server(Why::OriginRefused)),
        case("cloud", ready().without_server(Why::OnlyCloud)),
        case("clock", ready().without_link(Phase::Waiting, Why::ClockWrong)),
        case("month-spent", ready().closed(&json!(Why::MonthSpent.reason()), None)),
        case("full", ready().without_link(Phase::Waiting, Why::Overloaded)),
        case("no-relay", ready().without_link(Phase::Waiting, Why::RelayUnreachable)),
        case("old", ready().without_link(Phase::Off, Why::TooOld)),
        case("hints", ready().with("jobs", json!([])).with("outlook", hints())),
        Case {
            name: "notifications",
            recorded: ready(),
            steps: &["document.querySelector('#notices').open = true"],
        },
    ]
}

/// The popup for the rest of the agent's reasons. They differ in their words, which every language is asked for beside.
fn reasons() -> Vec<Case> {
    let ready = Recorded::ready;
    vec![
        case("silent", ready().without_server(Why::ServerSilent)),
        case("token", ready().without_server(Why::TokenWanted)),
        case("no-model", ready().without_server(Why::NoModel)),
        case("none-chosen", ready().without_server(Why::NoneChosen)),
        case("not-a-server", ready().without_server(Why::NotAServer)),
        case("browser-loading", in_browser(Why::BrowserLoading)),
        case("browser-unfit", in_browser(Why::BrowserUnfit)),
        case("browser-untried", in_browser(Why::BrowserUntried)),
        case("browser-slow", in_browser(Why::BrowserSlow)),
        case("updating", ready().closed(&json!(Why::Updating.reason()), None)),
        case("no-address", ready().without_link(Phase::Off, Why::BadRelayAddress)),
        case("relay-refused", ready().without_link(Phase::Waiting, Why::RelayRefused)),
        case("unauthorized", ready().without_link(Phase::Off, Why::RelayUnauthorized)),
        case("relay-old", ready().without_link(Phase::Waiting, Why::RelayOld)),
        case("no-key", ready().without_link(Phase::Waiting, Why::KeyUnusable)),
        case("replaced", ready().without_link(Phase::Off, Why::Replaced)),
        case("key-revoked", ready().without_link(Phase::Off, Why::KeyRevoked)),
        case("bad-frames", ready().without_link(Phase::Off, Why::BadFrames)),
        case("draining", ready().without_link(Phase::Waiting, Why::Draining)),
        case("fell-silent", ready().without_link(Phase::Waiting, Why::HeartbeatLost)),
        case("stuck", ready().without_link(Phase::Waiting, Why::RelayStuck)),
    ]
}

fn welcomes() -> Vec<Case> {
    let ready = || Recorded::ready().with("jobs", json!([]));
    let undecided = Recorded::undecided;
    let models = ready().state["models"].clone();
    let trial = |failed: Value| {
        json!({
            "model": "qwen2.5-7b-instruct", "running": false, "tokensPerSecond": 61, "firstTokenMs": 210,
            "failed": failed,
        })
    };
    let mut proposed = models.clone();
    proposed[0]["proposal"] = json!({
        "pricing": {"floor": {"input": 150_000, "output": 600_000}}, "basis": "usual_power", "watts": 450,
        "perKwh": "0.3",
    });
    let failed = json!(Said::plain("trial_stalled", "The model took too long."));
    let found = || undecided().with("server", ready().state["server"].clone()).with("models", models.clone());
    vec![
        case("fresh", undecided()),
        case("looking", undecided().without_server(Why::Looking)),
        case("no-server", undecided().without_server(Why::NoServer)),
        case("silent", undecided().without_server(Why::ServerSilent)),
        case("token", undecided().without_server(Why::TokenWanted)),
        case("no-model", undecided().without_server(Why::NoModel)),
        case("cloud", undecided().without_server(Why::OnlyCloud)),
        case("forbidden", undecided().without_server(Why::NotAllowed)),
        case("refused", undecided().without_server(Why::OriginRefused)),
        case("clock", ready().without_link(Phase::Waiting, Why::ClockWrong)),
        case("found", found()),
        case("tested", found().with("trial", trial(Value::Null))),
        case("proposed", found().with("models", proposed).with("trial", trial(Value::Null))),
        case("failed", found().with("trial", trial(failed))),
        case("no-relay", ready().without_link(Phase::Waiting, Why::RelayUnreachable)),
        case("old", ready().without_link(Phase::Off, Why::TooOld)),
        case("ready", ready()),
    ]
}

fn browsers() -> Vec<Case> {
    let weights = |at: u64, from: Option<&str>| {
        json!({
            "name": "smollm2-360m-instruct-q4_k_m", "bytes": 270_600_000, "at": at, "on": true, "from": from,
            "stamp": 1, "sha256": "2fa3f013dcdd7b99f9b237717fa0b12d75bbb89984cc1274be1471a465bac9c2",
        })
    };
    let address = Some("https://models.example/smollm2-360m-instruct-q4_k_m.gguf");
    let part = |from| Recorded::undecided().storing("weights", weights(93_400_000, from));
    let model = "smollm2-360m-instruct-q4_k_m";
    let whole = |why: Option<Why>, speed: Option<u32>| {
        let view = ServerView {
            kind: Some(Kind::Browser),
            reason: why.map(Why::reason),
            models: if speed.is_some() { vec![model.to_owned()] } else { Vec::new() },
            ..ServerView::default()
        };
        let trial = speed.map(|speed| {
            json!({
                "model": model, "running": false, "tokensPerSecond": speed, "firstTokenMs": 400, "failed": null,
            })
        });
        let mut models = Recorded::ready().state["models"].clone();
        models[0]["model"] = json!(model);
        let recorded = Recorded::ready().storing("weights", weights(270_600_000, None));
        let models = if why.is_none() { models } else { json!([]) };
        recorded.with("browser", json!(view)).with("trial", json!(trial)).with("models", models)
    };
    vec![
        case("none", Recorded::undecided()),
        case("paused", part(None)),
        case("paused-address", part(address)),
        case("loading", whole(Some(Why::BrowserLoading), None)),
        case("unfit", whole(Some(Why::BrowserUnfit), None)),
        case("slow", whole(Some(Why::BrowserSlow), Some(1))),
        case("ready", whole(None, Some(14))),
        Case {
            name: "copying",
            recorded: Recorded::undecided(),
            steps: &[
                "(globalThis.Worker = class { constructor() { globalThis.copier = this; } postMessage() {} }, \
                 chrome.permissions.request = async () => true, \
                 document.querySelector('#address').value = 'https://models.example/smollm2-360m-q4_k_m.gguf', \
                 document.querySelector('#fetch button').click(), true)",
                "globalThis.copier?.onmessage",
                "(copier.onmessage({data: {at: 93_400_000, bytes: 270_600_000}}), \
                 !document.querySelector('#pause').hidden)",
            ],
        },
        Case {
            name: "denied",
            recorded: Recorded::undecided(),
            steps: &[
                "(chrome.permissions.request = async () => false, \
                 document.querySelector('#address').value = 'https://models.example/a.gguf', \
                 document.querySelector('#fetch button').click(), true)",
                "!document.querySelector('#fault').hidden",
            ],
        },
        Case {
            name: "wrong",
            recorded: Recorded::undecided(),
            steps: &[
                "document.querySelector('#address').value = 'http://models.example/a.gguf'",
                "document.querySelector('#fetch button').click() || true",
                "document.querySelector('#address-error').textContent !== ''",
            ],
        },
    ]
}

/// A dispute in each state, with a reason each.
fn disputes() -> Value {
    let told = "The answer is what the model says at this temperature, and it was asked for no other.";
    let states = [
        ("nonsense", "opened", ""),
        ("wrong_model", "reviewed", ""),
        ("truncated", "upheld", told),
        ("offensive", "rejected", told),
    ];
    let dispute = |(at, (reason, state, told)): (u64, (&str, &str, &str))| {
        let opened = NOW - (at + 1) * 3_600_000;
        json!({
            "jobId": "job_01KA60A1B2C3D4E5F6G7H8J9KM", "model": "qwen2.5-7b-instruct", "charge": "0.000339174",
            "reason": reason, "state": state, "told": told, "openedAt": opened,
            "reviewedAt": (state != "opened").then_some(opened + 60_000),
            "decidedAt": (!told.is_empty()).then_some(opened + 120_000), "setAside": "0.00032547",
        })
    };
    json!({"disputes": (0..).zip(states).map(dispute).collect::<Vec<_>>()})
}

/// What a relay says that is asked too often.
fn full() -> Value {
    json!({"success": false, "error": {"code": "rate_limited", "message": "too many calls; wait a minute"}})
}

fn earnings() -> Vec<Case> {
    let ready = Recorded::ready;
    let nothing = json!({
        "pluginId": "plg_01KA5Z0Q7N3J5R8T2V6Y4H9GKM", "available": "0", "held": "0", "disputed": "0", "releases": [],
        "inPayout": "0", "paid": "0", "payoutCosts": "0", "today": "0", "last7Days": "0", "last30Days": "0",
        "total": "0", "jobs": 0, "days": [], "models": [], "recent": [],
    });
    let mut bare = ready().answers["payouts"][1].clone();
    bare["method"] = Value::Null;
    bare["payouts"] = json!([]);
    let mut elsewhere = ready().answers["payouts"][1].clone();
    elsewhere["changeable"] = json!(false);
    let asking = Recorded { answers: json!({}), ..ready() };
    let silent = json!({"error": {"code": "relay_unreachable", "message": "The relay cannot be reached."}});
    let mut disputed = ready().answers["earnings"][1].clone();
    (disputed["available"], disputed["disputed"]) = (json!("3.09967453"), json!("0.00032547"));
    disputed["recent"][0]["dispute"] = json!("opened");
    disputed["recent"][1]["dispute"] = json!("upheld");
    disputed["recent"][1]["givenBack"] = json!("0.000339174");
    let full = full();
    let empty = || ready().answering("earnings", 200, &nothing).answering("payouts", 200, &bare);
    vec![
        Case { name: "full", recorded: ready(), steps: &[FULL] },
        Case {
            name: "disputed",
            recorded: ready().answering("earnings", 200, &disputed).answering("disputes", 200, &disputes()),
            steps: &[FULL, "document.querySelector('#disputes').children.length === 4"],
        },
        Case { name: "loading", recorded: asking, steps: &["!document.querySelector('#notice').hidden"] },
        Case {
            name: "quote",
            recorded: ready(),
            steps: &[
                FULL,
                "document.querySelector('#order button[type=submit]').click() || true",
                "!document.querySelector('#quote').hidden",
            ],
        },
        Case {
            name: "receipt",
            recorded: ready(),
            steps: &[
                FULL,
                "document.querySelector('#recent button').click() || true",
                "document.querySelector('#verdict').dataset.tone === 'good'",
            ],
        },
        Case {
            name: "power",
            recorded: ready()
                .storing("config", json!({"power": {"watts": 350, "perKwh": "0.31"}}))
                .storing("memory", json!({"speeds": {"qwen2.5-7b-instruct": 62_000}}))
                .answering("statement", 429, &full),
            steps: &[
                FULL,
                "!document.querySelector('#net').hidden",
                "document.querySelector('#csv').click() || true",
                "document.querySelector('#statement-notice').textContent !== ''",
            ],
        },
        Case {
            name: "table",
            recorded: ready(),
            steps: &[FULL, "document.querySelector('#chart details').open = true"],
        },
        Case {
            name: "empty",
            recorded: empty(),
            steps: &[
                "!document.querySelector('#empty').hidden",
                "document.querySelector('#way').options.length === 3",
            ],
        },
        Case {
            name: "by-account",
            recorded: ready().answering("payouts", 200, &elsewhere),
            steps: &[FULL, "document.querySelector('#ways').disabled"],
        },
        Case {
            name: "unreachable",
            recorded: ready().answering("earnings", 0, &silent),
            steps: &["!document.querySelector('#retry').hidden"],
        },
        Case {
            name: "payouts-fail",
            recorded: empty().answering("payouts", 429, &full).answering("disputes", 429, &full),
            steps: &[
                "document.querySelector('#payouts-notice').textContent !== ''",
                "!document.querySelector('#disputes-shown').hidden",
            ],
        },
        case("undecided", Recorded::undecided()),
    ]
}

/// A group of friends, as who made it sees it or who joined it.
fn group(own: bool) -> Value {
    let price =
        if own { json!({"input": "0", "output": "0"}) } else { json!({"input": "0.05", "output": "0.1"}) };
    let mut group = json!({
        "id": "grp_01KA60C3P7R9T1V3X5Z7B9D1FH", "price": price, "plugins": 2, "accounts": 3, "own": own,
        "membersMax": 50, "asked": price,
    });
    if own {
        group["code"] = json!("7KQ2-M9XT-04VB");
        group["members"] = json!([
            {"id": "plg_01KA5Z0Q7N3J5R8T2V6Y4H9GKM", "name": "Attic", "asked": price},
            {"id": "acc_01KA60C3P7R9T1V3X5Z7B9D1FH", "name": null, "asked": null},
        ]);
    }
    json!({"group": group})
}

/// The same group, whose price was lowered since this owner agreed to one.
fn cheaper() -> Value {
    let mut group = group(false);
    group["group"]["price"] = json!({"input": "0.01", "output": "0.02"});
    group
}

/// Whose own the plugin is.
fn pairing(account: Option<&str>) -> Value {
    json!({"account": account, "pairedAt": account.map(|_| NOW)})
}

/// The phones that an owner has let in.
fn phones() -> Value {
    let phone = |name: &str| json!({"phoneId": "phn_01KA60D4Q8S2V4X6Z8B2D4F6HJ", "name": name, "pairedAt": NOW, "seenAt": null});
    json!({"phones": [phone("My phone"), phone("A phone with a name as long as a name may be, sixty letters")]})
}

/// What can keep a server from being used whose address is set.
const UNUSED: [Why; 9] = [
    Why::Looking,
    Why::ServerSilent,
    Why::NotAServer,
    Why::NotAllowed,
    Why::OriginRefused,
    Why::TokenWanted,
    Why::NoModel,
    Why::OnlyCloud,
    Why::NoneChosen,
];

/// A server for each of these, one that loads models when a job asks, and one that nobody has looked at.
fn health() -> Case {
    let address = |at: usize| format!("http://127.0.0.1:{}", 1_234 + at);
    let unused = UNUSED.iter().enumerate().map(|(at, why)| ServerView {
        address: Some(address(at)),
        reason: Some(why.reason()),
        ..ServerView::default()
    });
    let asleep = ServerView {
        kind: Some(Kind::LmStudio),
        address: Some(address(UNUSED.len())),
        ..ServerView::default()
    };
    let servers: Vec<ServerView> = unused.chain([asleep]).collect();
    let addresses: Vec<String> = (0..UNUSED.len() + 2).map(address).collect();
    let recorded = Recorded::ready().storing("config", json!({"servers": addresses}));
    case("health", recorded.with("servers", json!(servers)))
}

/// A code that lets a phone in.
fn phone_code() -> Value {
    json!({"code": "K7QM4XWBT2V6YH9G", "expiresAt": 4_102_444_800_000_u64})
}

fn options() -> Vec<Case> {
    let ready = Recorded::ready;
    let later = NOW + 3_600_000;
    let until = closed(Why::Paused, "why_paused_until", vec![Blank::At(Moment(later))]);
    let config = json!({
        "relay": "wss://relay.example", "name": "Attic", "slots": 2,
        "servers": [{"address": "http://127.0.0.1:1234"}, {"address": "http://192.168.1.20:1234", "token": "t"}],
        "price": {"floor": {"input": 0, "output": 600_000}},
        "prices": {"qwen2.5-7b-instruct": {"input": 150_000, "output": 600_000}, "gemma-3-4b": {"per_hour": "0.25"}},
        "power": {"watts": 350, "perKwh": "0.31", "floor": true},
        "when": {
            "idleMinutes": 10, "mainsOnly": true, "ownUseFirst": true, "giveBack": true,
            "hours": [{"from": 1_320, "to": 360}, null, null, null, null, {"from": 0, "to": 0}, null],
        },
        "allowance": {"hourTokens": 20_000, "dayTokens": 200_000, "answerTokens": 512, "contextTokens": 8_192},
        "models": {"new": false, "said": {"gemma-3-4b": false}},
    });
    let silent = ServerView {
        address: Some("http://192.168.1.20:1234".to_owned()),
        reason: Some(Why::ServerSilent.reason()),
        looked_at: Some(Moment(NOW)),
        ..ServerView::default()
    };
    let servers = json!([ready().state["servers"][0], silent]);
    let mut models = ready().state["models"].clone();
    models[0]["belowCost"] = json!(true);
    let addresses = ["http://127.0.0.1:1234", "http://192.168.1.20:1234", "http://192.168.1.21:1234"];
    let addresses = json!({
        "servers": addresses, "loading": {"which": "on_demand", "unloadMinutes": 20},
        "power": {"watts": 350, "perKwh": "0.31", "currency": {"code": "EUR", "dollars": "1.08"}},
        "allowance": {"monthBytes": 20_500_000_000_u64},
    });
    let full = full();
    let whole = || {
        ready()
            .storing("config", config.clone())
            .with("servers", servers.clone())
            .with("models", models.clone())
    };
    vec![
        case("undecided", Recorded::undecided()),
        case("ready", ready()),
        Case {
            name: "group",
            recorded: ready()
                .storing("config", json!({"serves": "group", "refuses": ["politics", "unread", "travel"]}))
                .answering("group", 200, &group(true)),
            steps: &[
                "(document.querySelector('details').open = true)",
                "document.querySelector('#own-code').value !== ''",
            ],
        },
        Case {
            name: "member",
            recorded: ready().answering("group", 200, &group(false)),
            steps: &["!document.querySelector('#in-group').hidden"],
        },
        Case {
            name: "cheaper",
            recorded: ready().answering("group", 200, &cheaper()),
            steps: &["!document.querySelector('#new-price').hidden"],
        },
        Case {
            name: "closing",
            recorded: ready().answering("group", 200, &group(true)),
            steps: &[
                "document.querySelector('#own-code').value !== ''",
                "(document.querySelector('#leave-group').click(), document.querySelector('#sure-group').open)",
            ],
        },
        Case {
            name: "paired",
            recorded: ready().answering("pairing", 200, &pairing(Some("acc_01KA60C3P7R9T1V3X5Z7B9D1FH"))),
            steps: &["!document.querySelector('#paired').hidden"],
        },
        Case {
            name: "unpaired",
            recorded: ready().answering("pairing", 200, &pairing(None)),
            steps: &["!document.querySelector('#pair').hidden"],
        },
        case("withdrawn", Recorded::undecided().with("plugin", ready().state["plugin"].clone())),
        Case {
            name: "renew",
            recorded: ready().without_link(Phase::Off, Why::RelayUnauthorized),
            steps: &[
                "(location.hash = '#renew', tellState(RECORDED.state), document.querySelector('#sure-renew').open)",
            ],
        },
        Case {
            name: "outcomes",
            recorded: ready()
                .answering("group", 429, &full)
                .answering("pairing", 429, &full)
                .answering("phones", 429, &full),
            steps: &[
                "(HTMLAnchorElement.prototype.click = () => {}, document.querySelector('#export').click(), true)",
                "['data', 'group', 'account', 'phone'].every(part => document.querySelector(`#${part}-outcome`).textContent !== '')",
            ],
        },
        Case {
            name: "phones",
            recorded: ready()
                .with("steered", json!({"at": NOW, "what": "priced"}))
                .answering("phones", 200, &phones())
                .answering("phone_code", 201, &phone_code()),
            steps: &[
                "document.querySelector('#phone-list button') !== null",
                "(document.querySelector('#show-phone').click(), true)",
                "document.querySelector('#qr path') !== null",
            ],
        },
        case("paused", ready().closed(&until, Some(later))),
        case("no-server", ready().without_server(Why::NoServer)),
        health(),
        case("everything", whole()),
        case("memory", ready().storing("config", addresses).with("servers", places())),
        Case {
            name: "faults",
            recorded: whole(),
            steps: &[
                "(document.querySelector('#slots').value = '0', document.querySelector('#watts').value = 'many', \
                 document.querySelector('#answer').value = '-', \
                 document.querySelector('#form').requestSubmit(), true)",
                "document.querySelector('#outcome').dataset.tone === 'bad'",
            ],
        },
        Case {
            name: "sure",
            recorded: ready(),
            steps: &["(document.querySelector('#erase').click(), document.querySelector('#sure').open)"],
        },
    ]
}

#[tokio::test]
async fn the_popup_can_be_read_by_everybody_in_every_state() -> Result<()> {
    look("popup", popups().into_iter().chain(reasons()).collect()).await
}

#[tokio::test]
async fn the_welcome_page_can_be_read_by_everybody_in_every_state() -> Result<()> {
    look("welcome", welcomes()).await
}

#[tokio::test]
async fn the_page_of_the_model_in_the_browser_can_be_read_by_everybody_in_every_state() -> Result<()> {
    look("browser", browsers()).await
}

#[tokio::test]
async fn the_earnings_page_can_be_read_by_everybody_in_every_state() -> Result<()> {
    look("earnings", earnings()).await
}

#[tokio::test]
async fn the_options_can_be_read_by_everybody_in_every_state() -> Result<()> {
    look("options", options()).await
}

#[test]
fn every_reason_and_everything_that_keeps_jobs_away_has_a_picture() -> Result<()> {
    let cases: Vec<Case> = popups().into_iter().chain(reasons()).collect();
    let is_seen = |place: &str, value: &Value| {
        cases.iter().any(|case| case.recorded.state.pointer(place).is_some_and(|shown| shown == value))
    };
    for why in whys().into_iter().map(|why| json!(why)) {
        let places = ["/connection/reason/code", "/server/reason/code", "/closed/reason/code"];
        ensure!(places.iter().any(|place| is_seen(place, &why)), "no popup says {why}");
    }
    let path = built::root().join("extension/_locales/en/messages.json");
    let messages: BTreeMap<String, Value> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let shown = hints();
    let shown: Vec<_> =
        shown.as_array().into_iter().flatten().filter_map(|hint| hint["key"].as_str()).collect();
    for key in messages.keys().filter(|key| key.starts_with("hint_")) {
        let key = key.trim_end_matches("_one").trim_end_matches("_other");
        ensure!(shown.contains(&key), "no popup says {key}");
    }
    Ok(())
}

/// Every case of every page.
fn all() -> Vec<(&'static str, Case)> {
    let named = |page, cases: Vec<Case>| cases.into_iter().map(move |case| (page, case));
    named("popup", popups())
        .chain(named("welcome", welcomes()))
        .chain(named("browser", browsers()))
        .chain(named("earnings", earnings()))
        .chain(named("options", options()))
        .collect()
}

/// Shows every case at 360 pixels, and says where something is too wide or not in this language.
async fn fits(owner: &Owner, language: &str, mirrored: bool) -> Result<()> {
    let mut wrong = Vec::new();
    for (page, Case { name, recorded, steps }) in all() {
        let recorded = if mirrored { recorded.mirrored() } else { recorded };
        let tab = recorded.show(owner.browser(), owner.extension(), &format!("{page}.html")).await?;
        for step in steps {
            tab.until(step).await.with_context(|| format!("{page}, {name}"))?;
        }
        fit(&tab, 360).await?;
        let way = if mirrored { "rtl" } else { "ltr" };
        let is = tab
            .eval("[document.documentElement.lang.split('-')[0], document.documentElement.dir].join()")
            .await?;
        let mut found: Vec<String> = too_wide(&tab).await?.into_iter().collect();
        if is != format!("{language},{way}") {
            found.push(format!("it is {is}"));
        }
        // Nothing lies beyond the edge, where nobody can scroll to in a page that is mirrored.
        let beyond = "[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && \
                      !e.closest('.wide, small, svg, option') && e.getBoundingClientRect().width > 1 && \
                      (e.getBoundingClientRect().left < -1 || e.getBoundingClientRect().right > innerWidth + 1))\
                      .map(e => e.outerHTML.slice(0, 120)).join('; ')";
        let beyond = tab.eval(beyond).await?;
        if beyond != "" {
            found.push(format!("beyond the edge: {beyond}"));
        }
        wrong.extend(found.into_iter().map(|found| format!("{page}, {name}: {found}")));
        tab.close().await?;
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn in_german_everything_is_german_and_nothing_is_too_wide() -> Result<()> {
    let owner = Owner::speaking("de", Window::Headless).await?;
    let popup = Recorded::ready().show(owner.browser(), owner.extension(), "popup.html").await?;
    let said = popup.eval("document.querySelector('#status').innerText.trim()").await?;
    ensure!(said == "Bearbeitet 1 Auftrag", "{said}");
    let money = popup.eval("document.querySelector('#earned-week').textContent").await?;
    ensure!(money == "1,293840015\u{a0}$", "{money}");
    let name = popup.eval("chrome.runtime.getManifest().description").await?;
    ensure!(name.as_str().is_some_and(|name| name.starts_with("Biete die Modelle")), "{name}");
    popup.close().await?;
    fits(&owner, "de", false).await
}

#[tokio::test]
async fn from_right_to_left_nothing_is_too_wide_and_nothing_is_lost_at_the_left() -> Result<()> {
    let owner = Owner::undecided(Window::Headless).await?;
    fits(&owner, "en", true).await
}

/// Shows every reason in every place, and looks for its words.
async fn says_every_reason(language: &str) -> Result<()> {
    let owner = Owner::speaking(language, Window::Headless).await?;
    let tab = Recorded::ready().show(owner.browser(), owner.extension(), "popup.html").await?;
    fit(&tab, 380).await?;
    let options = Recorded::ready().show(owner.browser(), owner.extension(), "options.html").await?;
    fit(&options, 360).await?;
    let path = built::root().join(format!("extension/_locales/{language}/messages.json"));
    let messages: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let mut wrong = Vec::new();
    for why in whys() {
        let code = json!(why);
        let code = code.as_str().context("a code is a text")?;
        let message = &messages[format!("why_{code}")]["message"];
        let ready = Recorded::ready;
        for recorded in [
            ready().without_link(Phase::Waiting, why),
            ready().without_link(Phase::Off, why),
            ready().without_server(why),
            ready().closed(&json!(why.reason()), None),
        ] {
            is_a_state(&recorded.state)?;
            tab.eval(&format!("tellState({})", recorded.state)).await?;
            let said = tab.eval("document.querySelector('#remedy').textContent").await?;
            let title = tab.eval("document.querySelector('#title').textContent").await?;
            if said != *message || title == "" {
                wrong.push(format!("{code}: {title} {said}"));
            }
        }
        for (recorded, place) in [
            (ready().closed(&json!(why.reason()), None), "#standing"),
            (ready().without_server(why), "#servers .health"),
        ] {
            options.eval(&format!("tellState({})", recorded.state)).await?;
            let said = options.eval(&format!("document.querySelector('{place}').textContent")).await?;
            if said != *message {
                wrong.push(format!("{code}: {place} says {said}"));
            }
        }
        for tab in [&tab, &options] {
            wrong.extend(too_wide(tab).await?.into_iter().map(|fault| format!("{code}: {fault}")));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn the_popup_says_every_reason_in_english() -> Result<()> {
    says_every_reason("en").await
}

#[tokio::test]
async fn the_popup_says_every_reason_in_german() -> Result<()> {
    says_every_reason("de").await
}

/// Finds what of a value a schema of the relay's does not describe.
fn odd(schema: &Value, value: &Value, api: &Value, path: &str, found: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/components/schemas/")) {
        return odd(&api["components"]["schemas"][name], value, api, path, found);
    }
    let ways = ["oneOf", "anyOf"].iter().find_map(|way| schema[*way].as_array());
    if let Some(ways) = ways {
        let fits = ways.iter().any(|way| {
            let mut found = Vec::new();
            odd(way, value, api, path, &mut found);
            found.is_empty()
        });
        if !fits {
            found.push(format!("{path}: no way of it is {value}"));
        }
        return;
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        odd(part, value, api, path, found);
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = kinds.is_empty() || kinds.contains(&kind) || (kind == "integer" && kinds.contains(&"number"));
    if !fits {
        found.push(format!("{path}: {value} is no {kinds:?}"));
    }
    for item in value.as_array().into_iter().flatten() {
        odd(&schema["items"], item, api, &format!("{path}[]"), found);
    }
    let Some(fields) = value.as_object() else { return };
    for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(field) {
            found.push(format!("{path}: {field} is missing"));
        }
    }
    for (name, field) in fields {
        match schema["properties"].get(name) {
            Some(schema) => odd(schema, field, api, &format!("{path}.{name}"), found),
            None if schema.get("allOf").is_some() || schema["properties"].is_null() => {}
            None => found.push(format!("{path}: nobody sends {name}")),
        }
    }
}

/// Where the relay tells a plugin of its group.
const GROUP: &str = "/api/plugin/group/{pluginId}";

#[test]
fn the_recorded_answers_are_such_as_the_relay_describes() -> Result<()> {
    let api: Value =
        serde_json::from_str(&std::fs::read_to_string(built::root().join("relay/openapi.json"))?)?;
    let paired = pairing(Some("acc_01KA60C3P7R9T1V3X5Z7B9D1FH"));
    let answers = Recorded::ready()
        .answering("disputes", 200, &disputes())
        .answering("pairing", 200, &paired)
        .answering("phones", 200, &phones())
        .answering("phone_code", 201, &phone_code())
        .answers;
    let mut found = Vec::new();
    for (what, path, method) in [
        ("earnings", "/api/plugin/earnings/{pluginId}", "get"),
        ("payouts", "/api/plugin/payouts/{pluginId}", "get"),
        ("payout", "/api/plugin/payouts/{pluginId}", "post"),
        ("disputes", "/api/plugin/disputes/{pluginId}", "get"),
        ("receipt", "/api/jobs/{jobId}/receipt", "get"),
        ("keys", "/.well-known/rekursing-receipts", "get"),
        ("group", GROUP, "get"),
        ("pairing", "/api/plugin/pairing/{pluginId}", "get"),
        ("phones", "/api/plugin/phones/{pluginId}", "get"),
        ("phone_code", "/api/plugin/phones/{pluginId}/code", "post"),
    ] {
        let status = answers[what][0].to_string();
        let schema =
            &api["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"];
        ensure!(schema.is_object(), "the relay does not describe {method} {path}");
        odd(schema, &answers[what][1], &api, what, &mut found);
        for group in [group(true), group(false), cheaper()].iter().filter(|_| path == GROUP) {
            odd(schema, group, &api, what, &mut found);
        }
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[tokio::test]
async fn the_keyboard_reaches_every_control_and_every_control_has_a_name() -> Result<()> {
    let owner = Owner::undecided(Window::Headless).await?;
    for (page, cases) in [("popup", popups()), ("options", options())] {
        for Case { name, recorded, .. } in cases {
            if !["undecided", "idle", "servers", "forbidden", "paused", "memory", "everything"]
                .contains(&name)
            {
                continue;
            }
            let tab = recorded.show(owner.browser(), owner.extension(), &format!("{page}.html")).await?;
            keyboard::walk(&tab).await.with_context(|| format!("{page}, {name}"))?;
            tab.close().await?;
        }
    }
    Ok(())
}
