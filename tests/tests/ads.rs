//! Ads all the way: from an advertiser's campaign to the page that shows one, and what it costs.

use anyhow::{Context, Result};
use rekursing_protocol::Nanos;
use rekursing_tests::{
    browser::Browser,
    database::Engine,
    eventually,
    http::{Page, Stream},
    link::{Knock, Link, Plugin, identify, offer},
    on_both,
    relay::{FREE, Relay},
    scene::{Scripted, ask, hear},
    script::{Dialect, Gate, MODEL, Reply},
};
use serde_json::{Value, json};

on_both! {
    an_ad_stands_beside_a_free_answer_and_is_paid_once_seen_and_once_clicked,
    an_ad_counts_for_the_visitor_who_asked_and_not_before_anybody_can_have_seen_it,
    a_campaign_for_one_country_is_shown_only_where_the_proxy_in_front_names_it,
    a_visitor_is_given_an_ad_so_often_a_day_whether_the_relay_restarts_or_not,
    no_owner_is_paid_for_free_answers_to_his_own_network,
    where_the_operator_adds_nothing_a_free_answer_begins_only_with_an_ad_that_covers_it,
    the_operator_is_told_what_ads_and_premium_brought_and_no_money_twice,
    what_the_operator_does_with_campaigns_stands_in_the_log_and_what_advertisers_do_does_not,
    the_receipt_of_a_free_answer_names_its_ad_and_none_of_its_words,
    no_ad_reaches_the_owner_the_model_a_paying_page_or_a_sensitive_question,
    a_campaign_is_its_advertisers_alone_and_what_it_spent_outlives_a_crash,
}

/// Far ahead of every clock.
const ENDS: u64 = 9_000_000_000_000;

const QUESTION: &str = "Which laptop should I buy?";

fn terms() -> Value {
    json!({
        "title": "Laptops that last", "text": "Five years of spare parts.",
        "link": "https://shop.example.com/laptops?from=rekursing",
        "categories": ["technology"], "bidPerThousand": "2", "bidPerClick": "0.05",
        "budget": "1", "ends": ENDS,
    })
}

/// The SHA-256 of `operator`.
const OPERATOR: &str =
    "operator_token_sha256 = \"06e55b633481f7bb072957eabcf110c972e86691c3cfedabe088024bffe42f23\"\n";

/// Ads that count as soon as they are sent.
const AT_ONCE: &str = "[ads]\nseen_after_ms = 0\nclick_after_ms = 0\n";

/// A scene with a campaign, where these ads beside free answers are: the advertiser's page and the campaign's
/// path.
async fn campaign(engine: Engine, ads: &str) -> Result<(Scripted, Page, String)> {
    let (relay, key) = Relay::advertised(engine, &format!("{FREE}{ads}"), "5.00", "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    let advertiser = scene.relay.customer(&key);
    let made = advertiser.post("/api/ads/campaigns", &terms()).await?.expect(201)?;
    let path = format!("/api/ads/campaigns/{}", made["id"].as_str().context("no id")?);
    Ok((scene, advertiser, path))
}

/// Asks as a visitor, and returns the stream behind its first word, with an ad chosen meanwhile.
async fn begun(scene: &Scripted, advertiser: &Page, path: &str) -> Result<Stream> {
    let gate = Gate::default();
    scene.script.next(Reply::gated(&["one", " two"], &gate));
    gate.open(1);
    let mut stream = scene.relay.visitor().stream("/api/llm/inference", &ask(QUESTION)).await?;
    hear(&mut stream, "one").await?;
    eventually("an ad is chosen", || async {
        let campaign = advertiser.get(path).await?.expect(200)?;
        Ok((campaign["reserved"] != "0").then_some(()))
    })
    .await?;
    gate.open(1);
    Ok(stream)
}

fn dollars(value: &Value) -> Result<Nanos> {
    value.as_str().context("money is a text")?.parse().context("money is decimal")
}

async fn an_ad_stands_beside_a_free_answer_and_is_paid_once_seen_and_once_clicked(
    engine: Engine,
) -> Result<()> {
    let (scene, advertiser, path) = campaign(engine, AT_ONCE).await?;
    let mut stream = begun(&scene, &advertiser, &path).await?;
    let ad = stream.event("ad").await?;
    assert_eq!((&ad["title"], &ad["label"]), (&json!("Laptops that last"), &json!("Sponsored")));
    assert_eq!(
        (&ad["why"], &ad["site"]),
        (&json!("Your question is about technology."), &json!("shop.example.com"))
    );
    stream.event("done").await?;

    let visitor = scene.relay.visitor();
    let token = json!({"token": ad["impressionToken"]});
    let seen = |answer: Value| answer["counted"].clone();
    let named = visitor.clone().with("idempotency-key", "k");
    for _ in 0..2 {
        assert_eq!(seen(named.post("/api/ads/impressions", &token).await?.expect(200)?), true);
    }
    assert_eq!(seen(visitor.post("/api/ads/impressions", &token).await?.expect(200)?), false);
    let forged = json!({"token": ad["impressionToken"].as_str().context("no token")?.replace('s', "c")});
    assert_eq!(visitor.post("/api/ads/impressions", &forged).await?.status, 400);
    let link = ad["link"].as_str().context("no link")?;
    let ahead = visitor.clone().with("sec-purpose", "prefetch").get(link).await?;
    for click in [ahead, visitor.get(link).await?, visitor.get(link).await?] {
        assert_eq!(
            (click.status, &click.headers["location"]),
            (302, &"https://shop.example.com/laptops?from=rekursing".parse()?)
        );
    }
    assert_eq!(visitor.get(&link.replace("/c", "/d")).await?.status, 404);

    // Nobody bids against it, so it pays the floors: 0.1 USD for a thousand and 0.01 USD for a click.
    let report = advertiser.get(&format!("{path}/report")).await?.expect(200)?;
    let total = json!({"sent": 1, "impressions": 1, "clicks": 1, "spent": "0.0101", "fill": 1.0});
    assert_eq!(report["total"], total);
    assert_eq!(report["days"].as_array().map(Vec::len), Some(1));
    let ledger = scene.relay.resolved().await?;
    assert_eq!(ledger.balance("advertiser:")?, "0.9899".parse()?);
    assert_eq!(scene.relay.visitor().get(&path).await?.status, 401);
    scene.relay.audit().await
}

/// What the operator is told of two free answers, one of which had an ad that was seen and clicked, of a paid
/// one, and of a premium account that was made and one that was taken back.
async fn the_operator_is_told_what_ads_and_premium_brought_and_no_money_twice(engine: Engine) -> Result<()> {
    let config = format!("{OPERATOR}{FREE}{AT_ONCE}");
    let (relay, key) = Relay::advertised(engine, &config, "6.00", "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    scene.script.always(Reply::text(&["one"]));
    let (page, visitor) = (scene.relay.customer(&key), scene.relay.visitor());
    let operator = scene.relay.customer("operator");
    page.post("/api/ads/campaigns", &terms()).await?.expect(201)?;
    let ask = |prompt: &str| json!({"prompt": prompt, "model": MODEL});
    let answered = visitor.post("/api/llm/inference", &ask(QUESTION)).await?.expect(200)?;
    let token = json!({"token": answered["ad"]["impressionToken"]});
    visitor.post("/api/ads/impressions", &token).await?.expect(200)?;
    visitor.get(answered["ad"]["link"].as_str().context("no link")?).await?;
    let sensitive = ask("Which laptop can I use during chemotherapy?");
    let silent = visitor.post("/api/llm/inference", &sensitive).await?.expect(200)?;
    let paid = page.post("/api/llm/inference", &ask(QUESTION)).await?.expect(200)?;
    page.put("/api/account/premium", &json!({"renews": true, "price": "5"})).await?.expect(200)?;

    let receipt = async |job: &Value| -> Result<Value> {
        let path = format!("/api/jobs/{}/receipt", job["jobId"].as_str().context("no job")?);
        Ok(operator.get(&path).await?.expect(200)?["settlement"].clone())
    };
    let revenue = operator.get("/api/analytics/revenue").await?.expect(200)?;
    let count = ["jobs", "freeJobs", "asked", "impressions", "clicks"].map(|name| revenue[name].as_u64());
    assert_eq!(count, [3, 2, 2, 1, 1].map(Some), "{revenue}");
    assert_eq!((&revenue["ads"], &revenue["premium"]), (&json!("0.0101"), &json!("5")));
    assert_eq!((&revenue["fillPermille"], &revenue["clickPermille"]), (&json!(500), &json!(1_000)));
    assert_eq!(revenue["perThousandAnswers"], "5.05");
    let fee = dollars(&receipt(&paid).await?["fee"])?.get();
    assert!(fee > 0);
    let brought = fee + dollars(&json!("5.0101"))?.get();
    assert_eq!(dollars(&revenue["revenue"])?.get(), brought, "no free answer's fee is among it");
    let free: i64 =
        dollars(&receipt(&answered).await?["fee"])?.get() + dollars(&receipt(&silent).await?["fee"])?.get();
    assert_eq!(dollars(&revenue["freeFees"])?.get(), free);
    assert_eq!(dollars(&revenue["fees"])?.get(), fee + free);

    let account = page.get("/api/account").await?.expect(200)?;
    let id = account["account"].as_str().context("an account")?;
    let entry = format!("premium:{id}:{}", account["premium"]["until"]);
    let body = json!({"entry": entry, "reason": "bought by mistake"});
    operator.post("/api/operator/corrections", &body).await?.expect(201)?;
    let revenue = operator.get("/api/analytics/revenue").await?.expect(200)?;
    assert_eq!(revenue["premium"], "0");
    assert_eq!(dollars(&revenue["revenue"])?.get(), brought - 5_000_000_000);
    scene.relay.audit().await
}

async fn an_ad_counts_for_the_visitor_who_asked_and_not_before_anybody_can_have_seen_it(
    engine: Engine,
) -> Result<()> {
    let config = format!("behind_proxy = true\n{FREE}[ads]\nseen_after_ms = 600_000\n");
    let (relay, key) = Relay::advertised(engine, &config, "5.00", "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    scene.script.always(Reply::text(&["one"]));
    scene.relay.customer(&key).post("/api/ads/campaigns", &terms()).await?.expect(201)?;
    let from = |address: &str| scene.relay.visitor().with("x-forwarded-for", address);
    let (visitor, other) = (from("2001:db8:7::1"), from("2001:db8:8::1"));
    let asked = json!({"prompt": QUESTION, "model": MODEL});
    let ad = visitor.post("/api/llm/inference", &asked).await?.expect(200)?["ad"].clone();
    let token = json!({"token": ad["impressionToken"]});
    let refused = other.post("/api/ads/impressions", &token).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (403, "other_visitor"));
    // Another address of the same subscriber.
    let early = from("2001:db8:7:ffff::2").post("/api/ads/impressions", &token).await?;
    assert_eq!((early.status, early.error_code()?.as_str()), (409, "ad_too_soon"));
    assert!(early.headers.contains_key("retry-after"));
    for page in [&visitor, &other] {
        let click = page.get(ad["link"].as_str().context("no link")?).await?;
        assert_eq!(click.status, 302, "it leads there all the same");
    }
    assert_eq!(scene.relay.resolved().await?.balance("advertiser:")?, "1".parse()?);
    scene.relay.audit().await
}

async fn a_campaign_for_one_country_is_shown_only_where_the_proxy_in_front_names_it(
    engine: Engine,
) -> Result<()> {
    const BY_COUNTRY: &str = "[ads]\ncountry_header = \"x-country\"\n";
    let mut terms = terms();
    terms["countries"] = json!(["CH"]);
    let asked = json!({"prompt": QUESTION, "model": MODEL});
    for (proxied, shown) in [(true, "Laptops that last"), (false, "")] {
        let config = format!("behind_proxy = {proxied}\n{FREE}{BY_COUNTRY}");
        let (relay, key) = Relay::advertised(engine, &config, "5.00", "1.00").await?;
        let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
        scene.relay.customer(&key).post("/api/ads/campaigns", &terms).await?.expect(201)?;
        for (country, title) in [
            (None, ""),
            (Some("DE"), ""),
            (Some("Switzerland"), ""),
            (Some("CH"), shown),
            (Some("ch"), shown),
        ] {
            let visitor = scene.relay.visitor().with("x-forwarded-for", "2001:db8:7::1");
            let visitor = country.map_or(visitor.clone(), |country| visitor.with("x-country", country));
            let answered = visitor.post("/api/llm/inference", &asked).await?.expect(200)?;
            assert_eq!(answered["ad"]["title"].as_str().unwrap_or_default(), title, "{country:?}, {proxied}");
        }
    }
    Ok(())
}

async fn a_visitor_is_given_an_ad_so_often_a_day_whether_the_relay_restarts_or_not(
    engine: Engine,
) -> Result<()> {
    let (mut scene, advertiser, path) = campaign(engine, AT_ONCE).await?;
    scene.script.always(Reply::text(&["one"]));
    let asked = json!({"prompt": QUESTION, "model": MODEL});
    let ad = async |scene: &Scripted| -> Result<Option<Value>> {
        let answered = scene.relay.visitor().post("/api/llm/inference", &asked).await?;
        // Behind a restart the owner may not be back yet.
        Ok(if answered.status == 200 { Some(answered.expect(200)?["ad"].clone()) } else { None })
    };
    let often =
        async |times: u32| advertiser.patch(&path, &json!({"perVisitorDay": times})).await?.expect(200);
    often(1).await?;
    let first = ad(&scene).await?.context("no answer")?;
    let token = json!({"token": first["impressionToken"]});
    scene.relay.visitor().post("/api/ads/impressions", &token).await?.expect(200)?;
    assert_eq!(ad(&scene).await?, Some(Value::Null));
    scene.relay.kill().await?;
    scene.relay.restart().await?;
    let second = eventually("the owner is back", || ad(&scene)).await?;
    assert_eq!(second, Value::Null);
    often(2).await?;
    assert_eq!(ad(&scene).await?.context("no answer")?["title"], "Laptops that last", "it was the cap alone");
    Ok(())
}

async fn no_owner_is_paid_for_free_answers_to_his_own_network(engine: Engine) -> Result<()> {
    let (relay, _) = Relay::keeping(engine, &format!("behind_proxy = true\n{FREE}"), "0").await?;
    let (plugin, offer) = (Plugin::register(&relay).await?, offer(MODEL, 4));
    let knock = Knock { from: Some("2001:db8:7::1"), ..Knock::default() };
    let mut link = Link::open_as(&relay, knock).await?;
    link.send("identify", &identify(&plugin, &offer)).await?;
    link.frame("ready").await?;
    let from = |address: &str| relay.visitor().with("x-forwarded-for", address);
    let refused = from("2001:db8:7:ffff::2").post("/api/llm/inference", &ask(QUESTION)).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (503, "only_own_provider"));
    let serve = async {
        let start = link.frame("start").await?;
        let (job, lease) = (&start["job"], &start["lease"]);
        link.send("text", &json!({"job": job, "lease": lease, "n": 0, "text": "fine"})).await?;
        link.send("done", &json!({"job": job, "lease": lease, "n": 1, "finish": "stop"})).await
    };
    let (stranger, asked) = (from("2001:db8:8::1"), ask(QUESTION));
    let (answer, ()) = tokio::try_join!(stranger.stream("/api/llm/inference", &asked), serve)?;
    assert_eq!(answer.status, 200);
    relay.audit().await
}

async fn where_the_operator_adds_nothing_a_free_answer_begins_only_with_an_ad_that_covers_it(
    engine: Engine,
) -> Result<()> {
    const FLOAT: &str = "[free]\nbudget = \"1.00\"\nper_answer = \"0\"";
    let (relay, key) = Relay::advertised(engine, FLOAT, "5.00", "1.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    scene.script.always(Reply::text(&["one"]));
    let (visitor, advertiser) = (scene.relay.visitor(), scene.relay.customer(&key));
    let question = |text: &str, most: u64| json!({"prompt": text, "model": MODEL, "max_tokens": most});
    let refused = visitor.post("/api/llm/inference", &question(QUESTION, 100)).await?;
    assert_eq!((refused.status, refused.error_code()?.as_str()), (402, "free_not_covered"));
    assert!(refused.json()?["error"]["message"].to_string().contains("raise free.per_answer"));

    let made = advertiser.post("/api/ads/campaigns", &terms()).await?.expect(201)?;
    let answered = visitor.post("/api/llm/inference", &question(QUESTION, 100)).await?.expect(200)?;
    assert_eq!(answered["ad"]["title"], "Laptops that last");
    // At the floors an ad is expected to bring 0.000075 USD; a thousand tokens cost 0.0001.
    for (text, most) in [("Which laptop can I use during chemotherapy?", 100), (QUESTION, 1_000)] {
        let refused = visitor.post("/api/llm/inference", &question(text, most)).await?;
        assert_eq!((refused.status, refused.error_code()?.as_str()), (402, "free_not_covered"), "{text}");
    }
    let path = format!("/api/ads/campaigns/{}", made["id"].as_str().context("no id")?);
    let campaign = advertiser.get(&path).await?.expect(200)?;
    assert_eq!(campaign["reserved"], "0.0101", "only the ad that was shown is out");
    scene.relay.audit().await
}

async fn the_receipt_of_a_free_answer_names_its_ad_and_none_of_its_words(engine: Engine) -> Result<()> {
    let (mut scene, advertiser, path) = campaign(engine, AT_ONCE).await?;
    scene.script.always(Reply::text(&["one"]));
    let asked = json!({"prompt": QUESTION, "model": MODEL});
    let answered = scene.relay.visitor().post("/api/llm/inference", &asked).await?.expect(200)?;
    assert_eq!(answered["ad"]["title"], "Laptops that last");
    let receipt = format!("/api/jobs/{}/receipt", answered["jobId"].as_str().context("no job")?);
    let owner = Page::bearing(scene.relay.address(), &scene.node.secret()?);
    let before = eventually("the ad is kept", || async {
        let receipt = owner.get(&receipt).await?.expect(200)?;
        Ok((!receipt["settlement"]["ad"].is_null()).then_some(receipt))
    })
    .await?;
    let ad = &before["settlement"]["ad"];
    assert_eq!(ad["campaign"], advertiser.get(&path).await?.expect(200)?["id"]);
    assert_eq!((&ad["perImpression"], &ad["perClick"]), (&json!("0.0001"), &json!("0.01")));
    assert!(!before.to_string().contains("aptop"), "{before}");
    let token = json!({"token": answered["ad"]["impressionToken"]});
    scene.relay.visitor().post("/api/ads/impressions", &token).await?.expect(200)?;
    scene.relay.kill().await?;
    scene.relay.restart().await?;
    let owner = Page::bearing(scene.relay.address(), &scene.node.secret()?);
    assert_eq!(owner.get(&receipt).await?.expect(200)?, before, "it is the same ever after");
    Ok(())
}

async fn no_ad_reaches_the_owner_the_model_a_paying_page_or_a_sensitive_question(
    engine: Engine,
) -> Result<()> {
    let (scene, advertiser, _) = campaign(engine, AT_ONCE).await?;
    scene.script.always(Reply::text(&["one"]));
    let question = |text: &str| json!({"model": MODEL, "messages": [{"role": "user", "content": text}]});
    let visitor = scene.relay.visitor();
    let free = visitor.post("/v1/chat/completions", &question(QUESTION)).await?.expect(200)?;
    assert_eq!(free["rekursing"]["ad"]["title"], "Laptops that last");
    assert!(!free["choices"].to_string().contains("Laptops"));
    let paid = advertiser.post("/v1/chat/completions", &question(QUESTION)).await?.expect(200)?;
    assert_eq!(paid["rekursing"]["ad"], Value::Null);
    let sensitive = question("Which laptop can I use during chemotherapy?");
    let sensitive = visitor.post("/v1/chat/completions", &sensitive).await?.expect(200)?;
    assert_eq!(sensitive["rekursing"]["ad"], Value::Null);
    for job in scene.script.jobs() {
        assert!(!format!("{job:?}").contains("Laptops"), "{job:?}");
    }
    Ok(())
}

async fn a_campaign_is_its_advertisers_alone_and_what_it_spent_outlives_a_crash(
    engine: Engine,
) -> Result<()> {
    let (mut scene, advertiser, path) = campaign(engine, AT_ONCE).await?;
    let mut stream = begun(&scene, &advertiser, &path).await?;
    let token = json!({"token": stream.event("ad").await?["impressionToken"]});
    scene.relay.visitor().post("/api/ads/impressions", &token).await?.expect(200)?;
    let before = advertiser.get(&path).await?.expect(200)?;
    scene.relay.kill().await?;
    scene.relay.restart().await?;
    let after = advertiser.get(&path).await?.expect(200)?;
    assert_eq!(dollars(&after["spent"])?, Nanos::new(100_000));
    for field in ["spent", "spentToday", "impressions", "clicks", "title", "ends", "account"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert_eq!(after["reserved"], "0");
    let late = scene.relay.visitor().post("/api/ads/impressions", &token).await?;
    assert_eq!((late.status, late.error_code()?.as_str()), (410, "ad_over"));

    assert_eq!(after["state"], "running");
    let stranger = scene.relay.customer(&scene.relay.key("0").await?);
    let poor = stranger.post("/api/ads/campaigns", &terms()).await?.expect(201)?;
    assert_eq!(poor["state"], "unfunded", "an account without money for ads shows none");
    let stranger = scene.relay.customer(&scene.relay.key("0").await?);
    assert_eq!(stranger.get(&path).await?.error_code()?, "campaign_not_found");
    assert_eq!(stranger.get("/api/ads/campaigns").await?.expect(200)?, json!({"campaigns": []}));
    let paused = advertiser.patch(&path, &json!({"paused": true})).await?.expect(200)?;
    assert_eq!((&paused["state"], &paused["title"]), (&json!("paused"), &json!("Laptops that last")));
    let low = advertiser.patch(&path, &json!({"budget": "0.00001", "dailyBudget": "0.00001"})).await?;
    assert_eq!((low.status, low.error_code()?.as_str()), (409, "budget_spent"));
    for bid in [json!({"bidPerThousand": "0.09"}), json!({"bidPerClick": "0.009"})] {
        let low = advertiser.patch(&path, &bid).await?;
        assert_eq!((low.status, low.error_code()?.as_str()), (409, "bid_below_floor"), "{bid}");
    }
    for (wrong, field) in [
        (json!({"title": "a\u{202e}b"}), "title"),
        (json!({"link": "http://example.com"}), "link"),
        (json!({"keywords": ["cancer"]}), "keywords"),
    ] {
        let refused = advertiser.patch(&path, &wrong).await?.expect(400)?;
        assert_eq!(refused["error"]["field"], field);
    }
    Ok(())
}

async fn what_the_operator_does_with_campaigns_stands_in_the_log_and_what_advertisers_do_does_not(
    engine: Engine,
) -> Result<()> {
    let (relay, key) = Relay::advertised(engine, &format!("{OPERATOR}{FREE}"), "5.00", "1.00").await?;
    let (advertiser, operator) = (relay.customer(&key), relay.customer("operator"));
    let account = advertiser.get("/api/account").await?.expect(200)?["account"].clone();
    let own = advertiser.post("/api/ads/campaigns", &terms()).await?.expect(201)?;
    let own = format!("/api/ads/campaigns/{}", own["id"].as_str().context("no id")?);
    advertiser.patch(&own, &json!({"paused": true})).await?.expect(200)?;
    let mut terms = terms();
    terms["account"] = account.clone();
    let made = operator.post("/api/ads/campaigns", &terms).await?.expect(201)?;
    let path = format!("/api/ads/campaigns/{}", made["id"].as_str().context("no id")?);
    operator.patch(&path, &json!({"paused": true, "budget": "2"})).await?.expect(200)?;
    let refused = operator.patch(&path, &json!({"title": "a\u{202e}b"})).await?;
    assert_eq!(refused.status, 400);
    let log = operator.get("/api/operator/log").await?.expect(200)?["log"].clone();
    let lines: Vec<_> = log.as_array().context("lines")?.iter().collect();
    let of_campaigns = lines.iter().filter(|line| line["about"] == made["id"]);
    let told: Vec<_> = of_campaigns.map(|line| (line["what"].clone(), line["note"].clone())).collect();
    let for_account = format!("for {}", account.as_str().context("an account")?);
    assert_eq!(
        told,
        [
            (json!("campaign_changed"), json!("budget, paused: true")),
            (json!("campaign_created"), json!(for_account)),
        ]
    );
    let campaigns =
        lines.iter().filter(|line| line["about"].as_str().is_some_and(|id| id.starts_with("cmp_")));
    assert_eq!(campaigns.count(), 2, "an advertiser's own are no doing of the operator's");
    let funded = lines.iter().find(|line| line["who"] == "config").context("the budget for free answers")?;
    assert_eq!((&funded["about"], &funded["amount"]), (&json!("free"), &json!("5")));
    Ok(())
}

#[tokio::test]
async fn the_chat_page_shows_an_ad_apart_and_counts_it_once_it_was_seen() -> Result<()> {
    let (scene, advertiser, path) = campaign(Engine::Sqlite, "").await?;
    let gate = Gate::default();
    scene.script.always(Reply::gated(&["one", " two"], &gate));
    let browser = Browser::start().await?;
    let page = browser.open(&scene.relay.url("http")).await?;
    page.until("document.querySelector('#lamp').dataset.lit === 'true'").await?;
    page.fill("#question", QUESTION).await?;
    page.eval("document.querySelector('#question').dispatchEvent(new Event('input', {bubbles: true}))")
        .await?;
    page.click("#go").await?;
    let campaign = || async { advertiser.get(&path).await?.expect(200) };
    eventually("an ad is chosen", || async { Ok((campaign().await?["reserved"] != "0").then_some(())) })
        .await?;
    assert_eq!(campaign().await?["impressions"], 0);
    gate.open(2);
    let inside =
        |part: &str| format!("document.querySelector('rekursing-ad').shadowRoot.querySelector('{part}')");
    page.until("document.querySelector('rekursing-ad') !== null").await?;
    assert_eq!(page.eval(&format!("{}.textContent", inside("[part=label]"))).await?, "Sponsored");
    let apart = page
        .eval("document.querySelector('.answer').contains(document.querySelector('rekursing-ad'))")
        .await?;
    assert_eq!(apart, false);
    // The page's own policy lets the element's style in.
    let style = page.eval("getComputedStyle(document.querySelector('rekursing-ad')).display").await?;
    assert_eq!(style, "grid");
    page.eval(&format!("{}.click()", inside("summary"))).await?;
    page.until(&format!("{}.innerText.includes('about technology')", inside("details"))).await?;
    let link = page.eval(&format!("new URL({}.href).pathname", inside("a"))).await?;
    assert!(link.as_str().is_some_and(|link| link.starts_with("/ad/click/")), "{link}");
    eventually("the impression is counted", || async {
        Ok((campaign().await?["impressions"] == 1).then_some(()))
    })
    .await?;
    assert_eq!(campaign().await?["clicks"], 0);

    // The next question goes out with all that was said, and nothing of the ad.
    page.until("document.querySelector('#news').textContent === 'The answer is complete.'").await?;
    page.fill("#question", "And which screen?").await?;
    page.eval("document.querySelector('#question').dispatchEvent(new Event('input', {bubbles: true}))")
        .await?;
    page.click("#go").await?;
    let next = scene.script.job(1).await?.body["messages"].clone();
    let said = |role: &str, content: &str| json!({"role": role, "content": content});
    let turns = [said("user", QUESTION), said("assistant", "one two"), said("user", "And which screen?")];
    assert_eq!(next, json!(turns));
    assert!(!scene.script.jobs().iter().any(|job| format!("{job:?}").contains("spare parts")));
    gate.open(2);
    scene.relay.audit().await
}
