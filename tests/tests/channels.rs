//! Who is on: what everybody is told, what owners show of their own will, and who follows them.

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::Method;
use rekursing_tests::{
    database::Engine,
    eventually,
    http::Page,
    on_both,
    relay::{FREE, Relay},
    scene::{Scripted, ask, hear, text},
    script::{Dialect, Gate, MODEL, Reply},
};
use serde_json::{Value, json};

on_both! {
    a_channel_is_shown_followed_and_closed_by_its_owner_and_outlives_kill_9,
    a_team_leads_by_what_its_members_channels_serve_and_ends_with_its_last_member,
}

const LIVE: &str = "/api/live";

async fn followed(page: &Page) -> Result<rekursing_tests::http::Stream> {
    page.clone().with("accept", "text/event-stream").stream_of(Method::GET, LIVE, Bytes::new()).await
}

#[tokio::test]
async fn whoever_watches_sees_who_comes_works_and_goes_and_work_only_of_open_channels() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let (relay, visitor) = (&scene.relay, scene.relay.visitor());
    let mut live = followed(&visitor).await?;
    let first = live.event("live").await?;
    let id = scene.node.plugin().to_owned();
    assert_eq!(first["providers"][0]["pluginId"], *id);
    assert_eq!(first["providers"][0]["channel"], Value::Null);
    assert_eq!(first["providers"][0]["models"][0]["id"], MODEL);
    assert!(first["providers"][0]["models"][0]["price"]["output"].is_string());

    // Without a channel nobody is told that he is at work.
    let gate = Gate::default();
    scene.script.always(Reply::gated(&["one", "two", "three"], &gate));
    let mut answer = page.stream("/api/llm/inference", &ask("go")).await?;
    gate.open(1);
    hear(&mut answer, "one").await?;
    let runs = || async {
        let now = visitor.get(LIVE).await?.expect(200)?;
        Ok((now["totals"]["jobsRunning"] == 1).then_some(now))
    };
    let now = eventually("the job is counted", runs).await?;
    assert_eq!(now["providers"][0]["channel"], Value::Null);

    let owner = relay.customer(&scene.node.secret()?);
    let own = format!("/api/plugin/channel/{id}");
    owner.put(&own, &json!({"about": "On most evenings."})).await?.expect(200)?;
    let at_work = async {
        loop {
            let event = live.next().await?.context("the stream ended")?;
            let news: Value = serde_json::from_str(&event.data)?;
            if news["providers"][0]["channel"]["jobsNow"] == 1 {
                return Ok::<_, anyhow::Error>(event.name);
            }
        }
    };
    at_work.await?;
    // How fast it comes is told while it does, and no longer.
    gate.open(1);
    hear(&mut answer, "two").await?;
    pace(&mut live, |pace| pace > 0.0).await?;
    gate.open(1);
    assert_eq!(text(&answer.events().await?), "three");
    pace(&mut live, |pace| pace == 0.0).await?;
    drop(scene.node);
    loop {
        let event = live.next().await?.context("the stream ended")?;
        let news: Value = serde_json::from_str(&event.data)?;
        if news["gone"].as_array().is_some_and(|gone| gone.iter().any(|gone| *gone == *id)) {
            return Ok(());
        }
    }
}

/// Waits until whoever watches is told that the first provider's answers come so fast.
async fn pace(live: &mut rekursing_tests::http::Stream, is: impl Fn(f64) -> bool) -> Result<()> {
    loop {
        let event = live.next().await?.context("the stream ended")?;
        let news: Value = serde_json::from_str(&event.data)?;
        if news["providers"][0]["channel"]["tokensPerSecondNow"].as_f64().is_some_and(&is) {
            return Ok(());
        }
    }
}

async fn a_channel_is_shown_followed_and_closed_by_its_owner_and_outlives_kill_9(
    engine: Engine,
) -> Result<()> {
    let (mut scene, page) = Scripted::keeping(engine, "1.00").await?;
    let id = scene.node.plugin().to_owned();
    let owner = scene.relay.customer(&scene.node.secret()?);
    let (own, shown) = (format!("/api/plugin/channel/{id}"), format!("/api/live/channels/{id}"));
    let follower = format!("{shown}/follower");
    let visitor = scene.relay.visitor();
    assert_eq!(visitor.get(&shown).await?.error_code()?, "channel_not_found");
    assert_eq!(owner.get(&own).await?.expect(200)?["channel"], Value::Null);
    assert_eq!(page.put(&own, &json!({})).await?.status, 401, "somebody else's");
    assert_eq!(owner.put(&own, &json!({"about": "x".repeat(501)})).await?.error_code()?, "bad_request");
    assert_eq!(owner.put(&own, &json!({"abuot": "x"})).await?.error_code()?, "bad_request");
    let text = "On most\u{202e} evenings <b>\r\n\nin the box.\nOn\tweekends too.";
    owner.put(&own, &json!({"about": text, "showsEarnings": true})).await?.expect(200)?;
    assert_eq!(page.put(&follower, &json!({})).await?.status, 204);
    assert_eq!(page.put(&follower, &json!({})).await?.status, 204);
    assert_eq!(visitor.put(&follower, &json!({})).await?.status, 401);
    page.post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL})).await?.expect(200)?;

    scene.relay.kill().await?;
    scene.relay.restart().await?;
    let (visitor, page) = (scene.relay.visitor(), &page);
    let channel = visitor.get(&shown).await?.expect(200)?;
    assert_eq!(
        channel["about"], "On most evenings <b>\nin the box.\nOn weekends too.",
        "what cannot be seen is taken out, and lines stay lines"
    );
    assert_eq!(channel["followers"], 1);
    assert_eq!(channel["days"][0]["jobs"], 1);
    assert!(channel["days"][0]["earned"].is_string());
    assert_eq!(page.get("/api/live/followed").await?.expect(200)?["followed"], json!([id]));
    let boards =
        ["day", "week", "all"].map(|over| [("tokens", "answerTokens", over), ("earnings", "earned", over)]);
    for (by, figure, over) in boards.concat() {
        let board = format!("/api/live/leaders?by={by}&over={over}");
        let leaders = visitor.get(&board).await?.expect(200)?;
        assert_eq!(leaders["leaders"][0]["pluginId"], id.as_str(), "{leaders}");
        assert!(!leaders["leaders"][0][figure].is_null());
    }
    assert_eq!(visitor.get("/api/live/leaders?by=fame").await?.error_code()?, "bad_request");
    let page_of = visitor.get(&format!("/live/{id}")).await?;
    let html = String::from_utf8_lossy(&page_of.body).into_owned();
    assert!(page_of.status == 200 && html.contains("On most evenings &lt;b&gt;"), "{html}");

    let owner = scene.relay.customer(&scene.node.secret()?);
    assert_eq!(owner.delete(&own).await?.status, 204);
    assert_eq!(visitor.get(&shown).await?.error_code()?, "channel_not_found");
    let leaders = visitor.get("/api/live/leaders?by=tokens&over=day").await?.expect(200)?;
    assert_eq!(leaders["leaders"], json!([]));
    Ok(())
}

#[tokio::test]
async fn models_tell_how_their_latest_answers_came_and_how_often_they_could_be_asked() -> Result<()> {
    let (scene, page) = Scripted::keeping(Engine::Sqlite, "1.00").await?;
    let words: Vec<String> = (0..40).map(|word| format!("w{word} ")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    scene.script.always(Reply::text(&words));
    let mut stream = page.stream("/api/llm/inference", &ask("go")).await?;
    stream.events().await?;
    let model = || async {
        let models = scene.relay.visitor().get("/api/llm/models").await?.expect(200)?;
        let model = models["models"][0].clone();
        Ok((model["pace"]["answers"] == 1).then_some(model))
    };
    let model = eventually("an answer is measured", model).await?;
    assert!(model["pace"]["firstTokenMs"]["p50"].as_u64() > Some(0), "{model}");
    assert_eq!(model["pace"]["tokensPerSecond"]["p50"], model["pace"]["tokensPerSecond"]["p99"]);
    let page = scene.relay.visitor().get("/models").await?;
    let html = String::from_utf8_lossy(&page.body).into_owned();
    // The one script that it has tells of channels that come.
    let scripts: Vec<_> = html.match_indices("<script").map(|(at, _)| &html[at..]).collect();
    assert!(html.contains(MODEL) && scripts.len() == 1, "it is whole without a script: {html}");
    assert!(scripts[0].starts_with("<script type=\"module\" src=\"/told.js\"></script>"), "{html}");
    Ok(())
}

#[tokio::test]
async fn as_many_watch_as_may_and_the_next_is_told_so() -> Result<()> {
    let relay = Relay::with("[limits]\nwatchers = 1\n").await?;
    let visitor = relay.visitor();
    let first = followed(&visitor).await?;
    let refused = followed(&visitor).await?.whole().await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (503, "overloaded"));
    drop(first);
    let again = || async {
        let stream = followed(&visitor).await?;
        Ok((stream.status == 200).then_some(()))
    };
    eventually("there is room again", again).await
}

async fn a_team_leads_by_what_its_members_channels_serve_and_ends_with_its_last_member(
    engine: Engine,
) -> Result<()> {
    const TEAM: &str = "/api/account/team";
    let (relay, key) =
        Relay::keeping(engine, &format!("{FREE}group_tries_per_minute = 100\n"), "1.00").await?;
    let (mut scene, payer) = Scripted::around(relay, &key).await?;
    let keys = [scene.relay.key("0").await?, scene.relay.key("0").await?];
    let [member, other] = [&keys[0], &keys[1]].map(|key| scene.relay.customer(key));
    let unknown = member.post(TEAM, &json!({"name": "Blue"})).await?;
    assert_eq!((unknown.status, unknown.error_code()?.as_str()), (403, "team_not_earned"));
    let mut accounts = Vec::new();
    for page in [&member, &other] {
        let account = page.get("/api/account").await?.expect(200)?["account"].clone();
        scene.relay.operate(&["account", "verify", account.as_str().context("an account")?]).await?;
        eventually("it is verified", || async {
            Ok((page.get("/api/account").await?.expect(200)?["verified"] == true).then_some(()))
        })
        .await?;
        accounts.push(account);
    }
    assert_eq!(member.get(TEAM).await?.expect(200)?, json!({"team": null}));
    let founded =
        member.post(TEAM, &json!({"name": "Blue\u{202e} <b>river"})).await?.expect(201)?["team"].clone();
    assert_eq!((&founded["name"], &founded["members"]), (&json!("Blue <b>river"), &json!(1)));
    assert_eq!(member.post(TEAM, &json!({"name": "Red"})).await?.error_code()?, "in_team");
    assert_eq!(other.post(TEAM, &json!({"name": "Blue <b>river"})).await?.error_code()?, "team_name_taken");
    assert_eq!(other.post(TEAM, &json!({"name": "\u{200b}"})).await?.error_code()?, "bad_request");
    assert_eq!(other.put(TEAM, &json!({"code": "0000-0000-0000"})).await?.error_code()?, "wrong_code");
    assert_eq!((&founded["own"], &founded["others"]), (&json!(true), &json!([])));
    let code = json!({"code": founded["code"]});
    let joined = other.put(TEAM, &code).await?.expect(200)?["team"].clone();
    assert_eq!(
        (&joined["members"], &joined["own"], &joined["others"]),
        (&json!(2), &json!(false), &Value::Null)
    );
    let code = put_out_and_let_in([&member, &other], [&accounts[0], &accounts[1]], &code).await?;
    let limited = other.post("/api/account/keys", &json!({"budgetTotal": "0.1"})).await?.expect(201)?;
    let limited = scene.relay.customer(limited["key"].as_str().context("a key")?);
    assert_eq!(limited.get(TEAM).await?.error_code()?, "key_has_limits");

    let id = scene.node.plugin().to_owned();
    let owner = scene.relay.customer(&scene.node.secret()?);
    payer.post("/api/llm/inference", &json!({"prompt": "go", "model": MODEL})).await?.expect(200)?;
    let leaders = async |relay: &Relay, by: &str| {
        let path = format!("/api/live/leaders?of=teams&by={by}&over=day");
        Ok::<_, anyhow::Error>(relay.visitor().get(&path).await?.expect(200)?["leaders"].clone())
    };
    let own = format!("/api/plugin/channel/{id}");
    owner.put(&own, &json!({"about": "", "showsEarnings": true})).await?.expect(200)?;
    assert_eq!(leaders(&scene.relay, "tokens").await?, json!([]), "the computer is nobody's");
    let pairing = member.post("/api/account/pairings", &json!({})).await?.expect(201)?;
    owner.post(&format!("/api/plugin/pairing/{id}"), &json!({"code": pairing["code"]})).await?.expect(200)?;
    // What leads is looked up once a minute, and anew when a channel changes.
    owner.put(&own, &json!({"about": "", "showsEarnings": false})).await?.expect(200)?;
    assert_eq!(leaders(&scene.relay, "earnings").await?, json!([]), "it does not show what it earns");
    let first = leaders(&scene.relay, "tokens").await?[0].clone();
    assert_eq!((&first["team"], &first["name"]), (&founded["id"], &json!("Blue <b>river")));
    assert_eq!((&first["channels"], &first["jobs"]), (&json!(1), &json!(1)));
    assert!(first["answerTokens"].as_u64().is_some_and(|tokens| tokens > 0), "{first}");

    scene.relay.kill().await?;
    scene.relay.restart().await?;
    let live = scene.relay.visitor().get("/live?of=teams").await?;
    assert!(String::from_utf8_lossy(&live.body).contains("Blue &lt;b&gt;river"), "{}", live.status);
    assert_eq!(leaders(&scene.relay, "reliability").await?, json!([]), "of so few answers nothing is known");
    let [member, other] = [&keys[0], &keys[1]].map(|key| scene.relay.customer(key));
    assert_eq!(member.delete(TEAM).await?.status, 204);
    assert_eq!(leaders(&scene.relay, "tokens").await?, json!([]), "its member has left");
    let again = member.put(TEAM, &code).await?.expect(200)?["team"].clone();
    assert_eq!((&again["id"], &again["members"], &again["own"]), (&founded["id"], &json!(2), &json!(false)));
    assert_eq!(other.get(TEAM).await?.expect(200)?["team"]["own"], true, "who is in it for longest");
    for page in [&member, &other] {
        assert_eq!(page.delete(TEAM).await?.status, 204);
    }
    assert_eq!(member.put(TEAM, &code).await?.error_code()?, "wrong_code");
    Ok(())
}

/// Has a founder change the code of a team, and put the other account out, which then comes in with the code that it
/// returns.
async fn put_out_and_let_in(
    [founder, other]: [&Page; 2],
    [own, others]: [&Value; 2],
    first: &Value,
) -> Result<Value> {
    const TEAM: &str = "/api/account/team";
    let turn = format!("{TEAM}/code");
    let member = |account: &Value| format!("{TEAM}/members/{}", account.as_str().unwrap_or_default());
    for refused in [other.post(&turn, &json!({})).await?, other.delete(&member(own)).await?] {
        assert_eq!((refused.status, refused.error_code()?.as_str()), (403, "not_creator"));
    }
    let turned = founder.post(&turn, &json!({})).await?.expect(200)?["team"].clone();
    assert_ne!(turned["code"], first["code"]);
    assert_eq!(turned["others"][0]["account"], *others);
    let out = founder.delete(&member(others)).await?.expect(200)?["team"].clone();
    assert_eq!((&out["members"], &out["others"]), (&json!(1), &json!([])));
    assert_eq!(other.get(TEAM).await?.expect(200)?["team"], Value::Null);
    for account in [own, others] {
        assert_eq!(founder.delete(&member(account)).await?.error_code()?, "not_in_team");
    }
    for known in [first, &turned] {
        let code = json!({"code": known["code"]});
        assert_eq!(other.put(TEAM, &code).await?.error_code()?, "wrong_code", "it was changed");
    }
    let code = json!({"code": out["code"]});
    assert_eq!(other.put(TEAM, &code).await?.expect(200)?["team"]["members"], 2);
    Ok(code)
}

#[tokio::test]
async fn a_channel_and_what_is_a_plugins_own_are_asked_and_changed_so_often_a_minute() -> Result<()> {
    let limits = "channel_changes_per_minute = 1\nown_calls_per_minute = 4\n";
    let scene = Scripted::with(&format!("{FREE}{limits}"), Dialect::LlamaCpp(4)).await?;
    let owner = scene.relay.customer(&scene.node.secret()?);
    let channel = format!("/api/plugin/channel/{}", scene.node.plugin());
    owner.put(&channel, &json!({"about": "On most evenings."})).await?.expect(200)?;
    assert_eq!(owner.put(&channel, &json!({"about": "Or not."})).await?.error_code()?, "rate_limited");
    assert_eq!(owner.get(&channel).await?.expect(200)?["channel"]["about"], "On most evenings.");
    let again = async || anyhow::Ok(owner.get(&channel).await?.status);
    while again().await? == 200 {}
    assert_eq!(owner.get(&channel).await?.error_code()?, "rate_limited");
    Ok(())
}
