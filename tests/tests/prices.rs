//! What the settings say of the market, and what an owner asks who follows it: by a real relay, with other owners
//! and pages that pay.

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    browser::{Tab, Window},
    eventually,
    http::Page,
    node::Node,
    owner::Owner,
    relay::{FREE, Relay},
    scene::ask,
    script::{Dialect, MODEL, Reply, Script, Step},
    settings::{choose, price, save, tick},
};
use serde_json::{Value, json};

/// An answer that tells no usage, so that the relay's own count of the prompt is what is paid.
fn uncounted() -> Reply {
    Reply::steps(vec![Step::token("well"), Step::finish("stop"), Step::done()])
}

/// Another owner, who asks this for a million tokens.
async fn other(relay: &Relay, input: &str, output: &str) -> Result<(Node, Script)> {
    let script = Script::start(Dialect::LlamaCpp(2)).await?;
    script.always(uncounted());
    let prices = ["--price-input", input, "--price-output", output];
    Ok((Node::with(relay, &script.url(), &prices).await?, script))
}

/// Lets a page ask until it is answered, at whatever it costs.
async fn pay(page: &Page) -> Result<()> {
    pay_to(page, &json!({})).await
}

/// Does what [`pay`] does, of providers that are such.
async fn pay_to(page: &Page, provider: &Value) -> Result<()> {
    let mut question = ask(&"hello ".repeat(400));
    question["maxPrice"] = json!(1_000);
    question["provider"] = provider.clone();
    let look = || async {
        let Ok(mut stream) = page.stream("/api/llm/inference", &question).await else { return Ok(None) };
        let events = stream.events().await?;
        Ok(events.last().is_some_and(|event| event.name == "done").then_some(()))
    };
    eventually("a page is answered", look).await
}

/// Waits until the relay lists this as the dearest of what is asked for answers.
async fn dearest(relay: &Relay, dollars: &str) -> Result<()> {
    let look = || async {
        let models = relay.visitor().get("/api/llm/models").await?.expect(200)?;
        Ok((models["models"][0]["price"]["output"]["max"] == dollars).then_some(()))
    };
    eventually(&format!("the relay lists {dollars}"), look).await
}

/// Opens the settings and waits until the model is in them.
async fn settings(owner: &Owner) -> Result<Tab> {
    let options = owner.options().await?;
    options.until(&format!("document.querySelector('[data-model=\"{MODEL}\"]') !== null")).await?;
    Ok(options)
}

#[tokio::test]
async fn the_settings_say_what_others_ask_and_what_an_hour_of_todays_demand_would_bring() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let (relay, key) = Relay::funded(FREE, "20.00").await?;
    let _others = tokio::try_join!(
        other(&relay, "0.20", "0.40"),
        other(&relay, "0.30", "0.60"),
        other(&relay, "1.00", "2.00")
    )?;
    let page = relay.customer(&key);
    for _ in 0..4 {
        pay(&page).await?;
    }
    let owner = Owner::undecided(Window::Headless).await?;
    owner.set(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    choose(&options, "", "fixed").await?;
    price(&options, "", "0.50", "1.00").await?;
    save(&options).await?;
    options.close().await?;
    owner.agree().await?;
    let options = settings(&owner).await?;
    let others = format!("[data-model=\"{MODEL}\"] .others");
    options
        .shows(&others, "3 others ask $0.20 / $0.40 to $1.00 / $2.00, the median is $0.30 / $0.60.")
        .await?;
    options.shows(&others, "Asked for 4 times today.").await?;
    options.shows(&others, "An equal share of that would bring about $").await?;

    // Four share the demand of an hour that has only begun.
    let paid = relay.resolved().await?.settlements()?;
    let sum = |tokens: fn(&_) -> u64| paid.iter().map(tokens).sum::<u64>();
    let (prompts, answers) = (sum(|paid| paid.prompt_tokens), sum(|paid| paid.answer_tokens));
    ensure!(prompts >= 1_600 && answers > 0, "{paid:?}");
    let nanos = (prompts * 500 + answers * 1_000) / 4;
    let text = options.eval(&format!("document.querySelector({}).textContent", json!(others))).await?;
    let shown = text.as_str().and_then(|text| text.split("about $").nth(1)?.split(' ').next());
    let shown: f64 = shown.context("no figure")?.parse()?;
    let expected: f64 = format!("{:.1e}", nanos as f64 / 1e9).parse()?;
    assert!((shown - expected).abs() < expected / 1e6, "{shown} is shown, and {expected} were paid for");
    Ok(())
}

#[tokio::test]
async fn who_is_too_dear_takes_the_markets_price_by_the_button_in_the_popup() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let (relay, key) = Relay::funded(FREE, "20.00").await?;
    let _other = other(&relay, "0.20", "0.40").await?;
    pay(&relay.customer(&key)).await?;
    let owner = Owner::undecided(Window::Headless).await?;
    owner.set(&relay.url("http"), &script.url()).await?;
    let options = owner.options().await?;
    choose(&options, "", "fixed").await?;
    price(&options, "", "2.00", "4.00").await?;
    save(&options).await?;
    options.close().await?;
    let popup = owner.agree().await?;
    dearest(&relay, "4").await?;
    popup.shows("#outlook", "is 900 % above what most others ask.").await?;
    let button = "[...document.querySelectorAll('#outlook button')]\
                  .find(button => button.textContent === 'Set the market’s price')";
    popup.until(&format!("{button} !== undefined")).await?;
    popup.eval(&format!("{button}.click()")).await?;
    dearest(&relay, "0.4").await?;
    popup.shows("#models", "$0.20 / $0.40 per 1M").await
}

#[tokio::test]
async fn who_follows_the_market_asks_no_less_than_the_floor_and_with_the_box_no_less_than_the_power()
-> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let (relay, key) = Relay::funded(FREE, "20.00").await?;
    let _other = other(&relay, "0.20", "0.40").await?;
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let options = settings(&owner).await?;
    let others = format!("[data-model=\"{MODEL}\"] .others");
    options.shows(&others, "1 other asks $0.20 / $0.40 to $0.20 / $0.40").await?;
    choose(&options, MODEL, "market").await?;
    price(&options, MODEL, "3.00", "7.00").await?;
    save(&options).await?;
    dearest(&relay, "7").await?;
    let popup = owner.popup().await?;
    popup.shows("#models", "market, at least $3.00 / $7.00 per 1M").await?;
    popup.close().await?;

    // Only a job of one's own says how fast the model is, and so what its power costs.
    for (field, text) in [("#watts", "1000"), ("#kwh", "9")] {
        options.fill(field, text).await?;
    }
    save(&options).await?;
    drop(_other);
    let alone = || async {
        let models = relay.visitor().get("/api/llm/models").await?.expect(200)?;
        Ok((models["models"][0]["providers"] == 1).then_some(()))
    };
    eventually("the other has left", alone).await?;
    pay(&relay.customer(&key)).await?;
    let cost = format!("[data-model=\"{MODEL}\"] .cost");
    options.shows(&cost, "per million answer tokens").await?;
    let power = options.eval(&format!("document.querySelector({}).textContent", json!(cost))).await?;
    let power = power.as_str().and_then(|text| text.split("about $").nth(1)?.split(' ').next());
    let power: f64 = power.context("no figure")?.replace(',', "").parse()?;
    // Whatever the speed was, a floor below and one above the power are asked for as they should be.
    price(&options, MODEL, "0.01", &format!("{:.2}", (power / 2.0).max(0.01))).await?;
    // The relay's own price, of which nobody here knows what it is, can have no floor.
    choose(&options, "", "market").await?;
    tick(&options, "[data-path='power.floor']", true).await?;
    save(&options).await?;
    dearest(&relay, &power.to_string()).await?;
    options.shows(&cost, "The power costs about $").await?;
    price(&options, MODEL, "0.01", &format!("{:.2}", power * 2.0)).await?;
    save(&options).await?;
    dearest(&relay, &(power * 2.0).to_string()).await
}

/// Waits until all that so many providers ask for answers is this.
async fn all_ask(relay: &Relay, providers: u64, dollars: &str) -> Result<()> {
    let look = || async {
        let models = relay.visitor().get("/api/llm/models").await?.expect(200)?;
        let [model] = &models["models"].as_array().context("no list")?[..] else { return Ok(None) };
        let (count, price) = (&model["providers"], &model["price"]["output"]);
        Ok((*count == providers && price["min"] == dollars && price["max"] == dollars).then_some(()))
    };
    eventually(&format!("{providers} ask {dollars}"), look).await
}

#[tokio::test]
async fn who_follows_the_market_goes_where_the_median_of_the_others_goes() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    script.always(uncounted());
    // One owner with one paid job of this day is a market here, and a look doubles an ask at most.
    let config = format!(
        "{FREE}[money]\nvoice_jobs = 1\nvoice_accounts = 1\nvoice_days = 0\nvoices = 1\n\
         follow_step_permille = 1000\ndefault_input = 100_000\ndefault_output = 200_000\n"
    );
    let (relay, key) = Relay::funded(&config, "20.00").await?;
    let page = relay.customer(&key);
    let owner = Owner::ready(&relay.url("http"), &script.url()).await?;
    let options = settings(&owner).await?;
    choose(&options, MODEL, "market").await?;
    save(&options).await?;
    all_ask(&relay, 1, "0.2").await?;

    let known = async |input: &str, output: &str| {
        let other = other(&relay, input, output).await?;
        pay_to(&page, &json!({"only": [other.0.plugin()]})).await?;
        Ok::<_, anyhow::Error>(other)
    };
    let cheap = known("0.30", "0.60").await?;
    all_ask(&relay, 2, "0.6").await?;
    let _dear = known("1.00", "2.00").await?;
    drop(cheap);
    all_ask(&relay, 2, "2").await?;

    // What is asked is what is paid.
    let plugin = owner.earnings().await?.plugin_id;
    let before = owner.earnings().await?.total;
    pay_to(&page, &json!({"only": [plugin]})).await?;
    let paid = || async { Ok(Some(owner.earnings().await?.total).filter(|total| *total != before)) };
    let earned = eventually("the job is paid", paid).await?;
    // About 600 tokens at a dollar a million, less the fee.
    let micros = earned.get() / 1_000;
    ensure!((500..700).contains(&micros), "{earned:?} were earned");
    Ok(())
}
