//! Owners who choose whom they serve and what, and groups of friends: real agents, a real relay, real pages.

use anyhow::{Context, Result};
use rekursing_tests::{
    browser::Tab,
    database::Engine,
    eventually,
    http::Page,
    node::Node,
    on_both, owner as chromium,
    relay::Relay,
    scene::{ask, text},
    script::{Dialect, Gate, MODEL, Reply, Script},
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Groups may be changed as fast as a test does, and nothing is held back.
const CONFIG: &str = "
operator_token_sha256 = \"81258521e0ff68c68d4d31f51c67384cefb2e9eb40c2f6d1ac0d84170d24a005\"
[limits]
registrations_per_minute = 100000
connects_per_minute = 100000
group_tries_per_minute = 100000
[money]
holdback_permille = 0
";
const TOKEN: &str = "a token of the operator's";
const INFERENCE: &str = "/api/llm/inference";

/// An owner's node before a server of its own that says its name.
struct Owner {
    node: Node,
    script: Script,
    page: Page,
}

impl Owner {
    async fn start(relay: &Relay, says: &str, arguments: &[&str]) -> Result<Owner> {
        let script = Script::start(Dialect::LlamaCpp(1)).await?;
        script.always(Reply::text(&[says]));
        let node = Node::with(relay, &script.url(), arguments).await?;
        let page = relay.customer(&node.secret()?);
        Ok(Owner { node, script, page })
    }

    fn group(&self) -> String {
        format!("/api/plugin/group/{}", self.node.plugin())
    }

    /// Makes a group and returns its code.
    async fn create(&self, input: &str, output: &str) -> Result<String> {
        let made =
            self.page.post(&self.group(), &json!({"input": input, "output": output})).await?.expect(201)?;
        Ok(made["group"]["code"].as_str().context("no code")?.to_owned())
    }

    async fn join(&self, code: &str) -> Result<Value> {
        self.page.post(&format!("{}/join", self.group()), &json!({"code": code})).await?.expect(200)
    }
}

async fn join(page: &Page, code: &str) -> Result<Value> {
    page.post("/api/account/groups", &json!({"code": code})).await?.expect(201)
}

/// Asks and returns what was said and what it cost.
async fn asked(page: &Page, prompt: &str) -> Result<(String, String)> {
    let answer = page.post(INFERENCE, &json!({"prompt": prompt, "model": MODEL})).await?.expect(200)?;
    let said = answer["result"].as_str().context("no result")?.to_owned();
    Ok((said, answer["cost"].as_str().context("no cost")?.to_owned()))
}

async fn code_of_refusal(page: &Page, prompt: &str) -> Result<String> {
    let answer = page.post(INFERENCE, &json!({"prompt": prompt, "model": MODEL})).await?;
    assert_eq!(answer.status, 403, "{answer:?}");
    answer.error_code()
}

async fn a_friend_is_served_first_and_at_the_groups_price_and_a_stranger_is_not(
    engine: Engine,
) -> Result<()> {
    let (mut relay, stranger) = Relay::keeping(engine, CONFIG, "5.00").await?;
    let friend = relay.key("0").await?;
    let (stranger, friend) = (relay.customer(&stranger), relay.customer(&friend));
    let price = ["--price-input", "1", "--price-output", "1", "--slots", "1"];
    let mut ada = Owner::start(&relay, "ada", &price).await?;
    let bob = Owner::start(&relay, "bob", &[&price[..], &["--serves", "group"]].concat()).await?;

    // Without money and without friends there is nothing to have.
    assert_eq!(friend.post(INFERENCE, &ask("hello")).await?.status, 402);
    let code = ada.create("0", "0").await?;
    assert_eq!(join(&friend, &code.to_lowercase().replace('-', " ")).await?["groups"][0]["accounts"], 1);
    assert_eq!(asked(&friend, "hello").await?, ("ada".to_owned(), "0".to_owned()));
    let known = friend.get("/api/account").await?.expect(200)?;
    assert_eq!((&known["balance"], &known["spent"]), (&json!("0"), &json!("0")));
    assert_eq!(known["groups"][0]["price"], json!({"input": "0", "output": "0"}));
    assert_eq!(known["usage"][0]["jobs"], 1, "it is a job like any other");
    assert_eq!(ada.node.earnings(&relay).await?.jobs, 1);

    // Of two who wait for the one slot the friend is first, though the stranger came before.
    let gate = Gate::default();
    ada.script.next(Reply::gated(&["ada"], &gate));
    let mut running = stranger.stream(INFERENCE, &ask("first")).await?;
    ada.script.job(1).await?;
    let waiting = |count| {
        let relay = &relay;
        eventually("so many wait", move || async move {
            Ok((relay.stats().await?["jobsWaiting"] == count).then_some(()))
        })
    };
    let (second, third) = (stranger.clone(), friend.clone());
    let second = tokio::spawn(async move { asked(&second, "second").await });
    waiting(1).await?;
    let third = tokio::spawn(async move { asked(&third, "third").await });
    waiting(2).await?;
    gate.open(1);
    assert_eq!(text(&running.events().await?), "ada");
    let (third, second) = (third.await??, second.await??);
    assert_eq!((third.0.as_str(), second.0.as_str()), ("ada", "ada"));
    let prompts: Vec<String> = ada.script.jobs().iter().map(|job| job.body["messages"].to_string()).collect();
    let place = |said: &str| prompts.iter().position(|prompt| prompt.contains(said));
    assert!(place("third") < place("second"), "{prompts:?}");

    // Bob serves his group alone: nobody until he is in one, and then its members.
    ada.node.process().signal(Signal::TERM)?;
    let gone = || async { Ok((relay.stats().await?["plugins"] == 1).then_some(())) };
    eventually("ada is gone", gone).await?;
    assert_eq!(code_of_refusal(&stranger, "hello").await?, "group_only");
    assert_eq!(bob.join(&code).await?["group"]["plugins"], 2);
    assert_eq!(code_of_refusal(&stranger, "hello").await?, "group_only");
    assert_eq!(asked(&friend, "hello").await?.0, "bob");
    let groups = friend.get("/api/account").await?.expect(200)?;
    assert_eq!(groups["groups"][0]["models"], json!([MODEL]));

    // It goes over a restart, and another price holds at once.
    relay.leave(std::time::Duration::from_secs(20)).await?;
    relay.restart().await?;
    let back = || async { Ok((relay.stats().await?["plugins"] == 1).then_some(())) };
    eventually("bob is back", back).await?;
    assert_eq!(asked(&friend, "hello").await?.0, "bob");
    join(&stranger, &code).await?;
    let dollar = json!({"input": "1", "output": "2"});
    ada.page.put(&ada.group(), &dollar).await?.expect(200)?;
    let before = stranger.get("/api/account").await?.expect(200)?;
    assert_eq!(asked(&stranger, "hello").await?.0, "bob");
    let after = stranger.get("/api/account").await?.expect(200)?;
    assert_ne!(before["spent"], after["spent"], "the group has a price now");
    assert_eq!(friend.post(INFERENCE, &ask("hello")).await?.status, 402);
    relay.resolved().await?;
    relay.audit().await
}

async fn a_lower_price_waits_for_each_member_and_whoever_made_the_group_puts_others_out(
    engine: Engine,
) -> Result<()> {
    let (mut relay, friend) = Relay::keeping(engine, CONFIG, "5.00").await?;
    let friend = relay.customer(&friend);
    let mut ada = Owner::start(&relay, "ada", &["--slots", "1"]).await?;
    let bob = Owner::start(&relay, "bob", &["--serves", "group"]).await?;
    let code = ada.create("1", "1").await?;
    bob.join(&code).await?;
    join(&friend, &code).await?;
    let dollar = json!({"input": "1", "output": "1"});
    let nothing = json!({"input": "0", "output": "0"});
    let seen = ada.page.put(&ada.group(), &nothing).await?.expect(200)?["group"].clone();
    assert_eq!((&seen["price"], &seen["asked"]), (&nothing, &nothing));
    assert_eq!(seen["members"][0]["id"], json!(bob.node.plugin()));
    assert_eq!(seen["members"][0]["asked"], dollar);
    ada.node.process().signal(Signal::TERM)?;
    for restart in [false, true] {
        if restart {
            relay.leave(std::time::Duration::from_secs(20)).await?;
            relay.restart().await?;
        }
        let there = || async { Ok((relay.stats().await?["plugins"] == 1).then_some(())) };
        eventually("bob alone is there", there).await?;
        assert_ne!(asked(&friend, "hello").await?, ("bob".to_owned(), "0".to_owned()), "he has not agreed");
        let seen = bob.page.get(&bob.group()).await?.expect(200)?["group"].clone();
        assert_eq!((&seen["price"], &seen["asked"]), (&nothing, &dollar));
        assert!(seen.get("members").is_none() && seen.get("code").is_none(), "{seen}");
    }
    let agreed = format!("{}/agreed", bob.group());
    assert_eq!(bob.page.post(&agreed, &dollar).await?.error_code()?, "group_price_changed");
    assert_eq!(bob.page.post(&agreed, &nothing).await?.expect(200)?["group"]["asked"], nothing);
    assert_eq!(asked(&friend, "hello").await?, ("bob".to_owned(), "0".to_owned()));

    let account = friend.get("/api/account").await?.expect(200)?["account"].clone();
    let account = account.as_str().context("no account")?;
    let out = |whose: &Owner, who: &str| format!("{}/members/{who}", whose.group());
    assert_eq!(bob.page.delete(&out(&bob, account)).await?.error_code()?, "not_creator");
    for nobody in [ada.node.plugin(), "plg_00000000000000000000000001", "somebody"] {
        assert_eq!(ada.page.delete(&out(&ada, nobody)).await?.error_code()?, "not_in_group", "{nobody}");
    }
    let left = ada.page.delete(&out(&ada, account)).await?.expect(200)?;
    assert_eq!((&left["group"]["accounts"], &left["group"]["plugins"]), (&json!(0), &json!(2)));
    assert_ne!(left["group"]["code"], json!(code), "whoever is out knows the code of before");
    let again = friend.post("/api/account/groups", &json!({"code": code})).await?;
    assert_eq!(again.error_code()?, "wrong_code");
    assert_eq!(code_of_refusal(&friend, "hello").await?, "group_only");
    ada.page.delete(&out(&ada, bob.node.plugin())).await?.expect(200)?;
    assert_eq!(bob.page.get(&bob.group()).await?.expect(200)?["group"], Value::Null);
    relay.resolved().await?;
    relay.audit().await
}

async fn an_account_is_in_the_group_of_its_own_computer_for_as_long_as_that_is(engine: Engine) -> Result<()> {
    let (mut relay, _) = Relay::keeping(engine, CONFIG, "5.00").await?;
    let friend = relay.customer(&relay.key("0").await?);
    let ada = Owner::start(&relay, "ada", &["--price-input", "1", "--price-output", "1"]).await?;
    let own = Owner::start(&relay, "own", &["--price-input", "1", "--price-output", "1"]).await?;
    let code = ada.create("0", "0").await?;
    assert_eq!(own.join(&code).await?["group"]["accounts"], 0);
    assert_eq!(friend.post(INFERENCE, &ask("hello")).await?.status, 402);

    let made = friend.post("/api/account/pairings", &json!({})).await?.expect(201)?;
    let pairing = format!("/api/plugin/pairing/{}", own.node.plugin());
    own.page.post(&pairing, &json!({"code": made["code"]})).await?.expect(200)?;
    for restart in [false, true] {
        if restart {
            relay.kill().await?;
            relay.restart().await?;
            let back = || async { Ok((relay.stats().await?["plugins"] == 2).then_some(())) };
            eventually("both are back", back).await?;
        }
        let known = friend.get("/api/account").await?.expect(200)?;
        let group = &known["groups"][0];
        assert_eq!(group["through"], json!(own.node.plugin()));
        assert_eq!((&group["plugins"], &group["accounts"]), (&json!(2), &json!(1)));
        // Never by its own computer, which would serve it too.
        assert_eq!(asked(&friend, "hello").await?, ("ada".to_owned(), "0".to_owned()));
    }
    let seen = ada.page.get(&ada.group()).await?.expect(200)?;
    assert_eq!(seen["group"]["accounts"], 1);

    // It has not joined by itself, so it leaves with its computer and not without.
    let id = seen["group"]["id"].as_str().context("no id")?.to_owned();
    let left = friend.delete(&format!("/api/account/groups/{id}")).await?;
    assert_eq!((left.status, left.error_code()?.as_str()), (404, "not_in_group"));
    assert_eq!(own.page.delete(&own.group()).await?.status, 204);
    assert_eq!(friend.get("/api/account").await?.expect(200)?["groups"], json!([]));
    assert_eq!(friend.post(INFERENCE, &ask("hello")).await?.status, 402);

    // With the code it is in it whatever the computer does, and whose that is.
    own.join(&code).await?;
    assert_eq!(join(&friend, &code).await?["groups"][0]["through"], Value::Null);
    assert_eq!(own.page.delete(&pairing).await?.status, 204);
    assert_eq!(friend.get("/api/account").await?.expect(200)?["groups"][0]["accounts"], 1);
    asked(&friend, "hello").await?;
    relay.resolved().await?;
    relay.audit().await
}

on_both! {
    a_friend_is_served_first_and_at_the_groups_price_and_a_stranger_is_not,
    an_account_is_in_the_group_of_its_own_computer_for_as_long_as_that_is,
    a_lower_price_waits_for_each_member_and_whoever_made_the_group_puts_others_out,
}

#[tokio::test]
async fn who_serves_verified_accounts_serves_those_that_the_operator_has_marked() -> Result<()> {
    let (relay, key) = Relay::funded(CONFIG, "5.00").await?;
    let (page, operator) = (relay.customer(&key), relay.customer(TOKEN));
    let _owner = Owner::start(&relay, "yes", &["--serves", "verified"]).await?;
    assert_eq!(code_of_refusal(&page, "hello").await?, "not_verified");
    let account = page.get("/api/account").await?.expect(200)?;
    assert_eq!(account["verified"], false);
    let id = account["account"].as_str().context("no account")?.to_owned();

    let mark = |verified: bool| json!({"account": id, "verified": verified, "note": "known from the fair"});
    assert_eq!(page.post("/api/operator/verified", &mark(true)).await?.status, 401);
    operator.post("/api/operator/verified", &mark(true)).await?.expect(200)?;
    assert_eq!(asked(&page, "hello").await?.0, "yes");
    assert_eq!(page.get("/api/account").await?.expect(200)?["verified"], true);
    operator.post("/api/operator/verified", &mark(false)).await?.expect(200)?;
    assert_eq!(code_of_refusal(&page, "hello").await?, "not_verified");
    let log = operator.get("/api/operator/log").await?.expect(200)?;
    assert_eq!(
        (&log["log"][0]["what"], &log["log"][1]["what"]),
        (&json!("account_unverified"), &json!("account_verified"))
    );

    relay.operate(&["account", "verify", &id]).await?;
    let look =
        || async { Ok((page.get("/api/account").await?.expect(200)?["verified"] == true).then_some(())) };
    eventually("the relay has seen the command", look).await
}

#[tokio::test]
async fn what_an_owner_refuses_goes_to_another_and_nobody_keeps_what_it_was() -> Result<()> {
    let (relay, key) = Relay::funded(CONFIG, "5.00").await?;
    let page = relay.customer(&key);
    let choosy = Owner::start(
        &relay,
        "choosy",
        &["--refuses", "politics,unread", "--price-input", "0", "--price-output", "0"],
    )
    .await?;
    let (vote, pasta) = ("Who should I vote for?", "Give me a recipe for vegetarian pasta with garlic.");
    assert_eq!(asked(&page, pasta).await?.0, "choosy");
    assert_eq!(code_of_refusal(&page, vote).await?, "topic_refused");
    let picture = json!({"model": MODEL, "messages": [{"role": "user", "content": "Почему небо голубое?"}]});
    assert_eq!(page.post(INFERENCE, &picture).await?.error_code()?, "topic_refused");
    let _open = Owner::start(&relay, "open", &["--price-input", "0.1", "--price-output", "0.1"]).await?;
    for _ in 0..3 {
        assert_eq!(asked(&page, vote).await?.0, "open");
    }
    let seen = choosy.script.jobs().iter().map(|job| job.body.to_string()).collect::<String>();
    assert!(seen.contains("pasta") && !seen.contains("vote"), "{seen}");
    Ok(())
}

#[tokio::test]
async fn codes_are_tried_slowly_and_a_changed_one_lets_nobody_in() -> Result<()> {
    let slow = "[limits]\ngroup_tries_per_minute = 8\n";
    let (relay, key) = Relay::funded(slow, "0").await?;
    let page = relay.customer(&key);
    let ada = Owner::start(&relay, "ada", &[]).await?;
    assert_eq!(ada.page.get(&ada.group()).await?.expect(200)?, json!({"group": null}));
    let first = ada.create("0", "0.5").await?;
    let turned = ada.page.post(&format!("{}/code", ada.group()), &json!({})).await?.expect(200)?;
    let second = turned["group"]["code"].as_str().context("no code")?.to_owned();
    assert_ne!(first, second);
    for wrong in [&first, "ABCD-EFGH-JKMN", "x"] {
        let refused = page.post("/api/account/groups", &json!({"code": wrong})).await?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (404, "wrong_code"));
    }
    let groups = join(&page, &second).await?;
    let id = groups["groups"][0]["id"].as_str().context("no id")?.to_owned();
    assert_eq!(groups["groups"][0].get("code"), None, "only who made the group sees its code");
    page.delete(&format!("/api/account/groups/{id}")).await?;
    let again = page.delete(&format!("/api/account/groups/{id}")).await?;
    assert_eq!(again.error_code()?, "not_in_group");
    // Of eight changes and tries in a minute six are used.
    let mut tries = 0;
    let refused = async || page.post("/api/account/groups", &json!({"code": "x"})).await?.error_code();
    while tries < 10 && refused().await? != "rate_limited" {
        tries += 1;
    }
    assert!((2..10).contains(&tries), "{tries}");
    let stolen = relay.customer("rps_wrong").get(&ada.group()).await?;
    assert_eq!(stolen.error_code()?, "invalid_secret");
    Ok(())
}

/// Waits until a part of the settings says this.
async fn says(options: &Tab, selector: &str, words: &str) -> Result<()> {
    let shown = format!("document.querySelector('{selector}').innerText.includes({})", json!(words));
    let waited = options.until(&shown).await;
    waited.with_context(|| format!("{selector} does not say {words:?}"))
}

/// Takes pictures of the settings at both widths, in both colours.
async fn pictures(options: &Tab, name: &str) -> Result<()> {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("groups");
    std::fs::create_dir_all(&folder)?;
    for width in [360, 800] {
        for scheme in ["light", "dark"] {
            options.prefer(scheme).await?;
            options.resize(width, 4_000).await?;
            let over = options.eval("document.documentElement.scrollWidth - innerWidth").await?;
            assert!(over.as_i64().is_some_and(|over| over <= 0), "{over} pixels too wide at {width}");
            let file = folder.join(format!("{name}-{width}-{scheme}.png"));
            std::fs::write(file, options.screenshot().await?)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_owner_makes_and_joins_a_group_and_says_whom_he_serves_by_clicks() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    script.always(Reply::text(&["clicked"]));
    let (relay, key) = Relay::funded(CONFIG, "5.00").await?;
    let page = relay.customer(&key);
    let owner = chromium::Owner::ready(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    options.until("!document.querySelector('#group').hidden").await?;
    options.fill("#group-input", "a lot").await?;
    options.click("#price-act").await?;
    says(&options, "#group-outcome", "A price is dollars per million tokens").await?;
    options.fill("#group-input", "0").await?;
    options.click("#price-act").await?;
    options.until("document.querySelector('#own-code').value.length === 14").await?;
    says(&options, "#group-asks", "Friends pay nothing.").await?;
    says(&options, "#group-members", "GPUs: 1. Accounts that ask: 0.").await?;
    let code = options.eval("document.querySelector('#own-code').value").await?;
    let code = code.as_str().context("no code")?.to_owned();

    // The settings say whom he serves and what not.
    options.eval("document.querySelector('#serves').value = 'group'").await?;
    options.click("[data-path='refuses.politics']").await?;
    options.eval("document.querySelector('details').open = true").await?;
    pictures(&options, "own").await?;
    options.resize(800, 900).await?;
    options.click("button[type=submit]").await?;
    options.until("document.querySelector('#outcome').dataset.tone === 'good'").await?;
    let refused = || async {
        let answer = page.post(INFERENCE, &json!({"prompt": "hello", "model": MODEL})).await?;
        Ok((answer.status == 403 && answer.error_code()? == "group_only").then_some(()))
    };
    eventually("a stranger is refused", refused).await?;
    join(&page, &code).await?;
    assert_eq!(asked(&page, "hello").await?, ("clicked".to_owned(), "0".to_owned()));
    assert_eq!(code_of_refusal(&page, "Who should I vote for?").await?, "topic_refused");
    options.eval("dispatchEvent(new Event('focus'))").await?;
    says(&options, "#group-members", "Accounts that ask: 1.").await?;
    options.click("#members button").await?;
    says(&options, "#group-members", "Accounts that ask: 0.").await?;
    options.until("document.querySelector('#friends').hidden").await?;
    options.until(&format!("document.querySelector('#own-code').value !== {}", json!(code))).await?;
    let code = options.eval("document.querySelector('#own-code').value").await?;
    options.click("#turn-group").await?;
    options.until(&format!("document.querySelector('#own-code').value !== {}", json!(code))).await?;
    options.click("#leave-group").await?;
    options.until("document.querySelector('#sure-group').open").await?;
    options.click("#sure-group button[value=close]").await?;
    options.until("!document.querySelector('#join-group').hidden").await?;
    assert_eq!(code_of_refusal(&page, "hello").await?, "group_only");

    let friend = Owner::start(&relay, "friend", &[]).await?;
    let code = friend.create("0.01", "0.02").await?;
    options.fill("#group-code", "7KQ2-M9XT-04VB").await?;
    options.click("#join-group button").await?;
    says(&options, "#group-outcome", "No group has this code").await?;
    options.fill("#group-code", &code.to_lowercase()).await?;
    options.click("#join-group button").await?;
    says(&options, "#group-asks", "Friends pay $0.01 per million prompt tokens and $0.02").await?;
    assert_eq!(options.eval("document.querySelector('#own-group').hidden").await?, true);
    friend.page.put(&friend.group(), &json!({"input": "0", "output": "0.02"})).await?.expect(200)?;
    options.eval("dispatchEvent(new Event('focus'))").await?;
    says(&options, "#group-asked", "You still ask $0.01 per million prompt tokens").await?;
    pictures(&options, "member").await?;
    options.resize(800, 900).await?;
    options.click("#agree-group").await?;
    options.until("document.querySelector('#new-price').hidden").await?;
    options.click("#leave-group").await?;
    options.until("!document.querySelector('#join-group').hidden").await?;
    Ok(())
}
