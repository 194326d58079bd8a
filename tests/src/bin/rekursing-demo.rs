//! The demo: relay, model server and the extension in Chromium on this machine.
//!
//! `cargo xtask demo` builds everything and starts this. All processes end with it.

#![expect(clippy::print_stdout, reason = "a demo speaks on standard output")]

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rekursing_tests::{
    browser::Window, eventually, http::Page, model_server::ModelServer, owner::Owner, process::Echo,
    relay::Relay,
};
use serde_json::{Value, json};
use tokio::time::timeout;

/// What the demo's relay gives: five dollars of free answers.
const CONFIG: &str = "[free]\nbudget = \"5.00\"\n";

/// Where model servers usually listen: LM Studio, Ollama, llama.cpp (older and newer), vLLM.
const PORTS: [u16; 5] = [1234, 11434, 8080, 9931, 8000];

const QUESTION: &str = "Explain in one sentence why the sky is blue.";

struct Arguments {
    headless: bool,
    model: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = arguments()?;
    tokio::select! {
        shown = show(&arguments) => shown,
        // Every process is guarded by a value that `show` holds.
        interrupt = tokio::signal::ctrl_c() => interrupt.context("could not wait for Ctrl-C"),
    }
}

fn arguments() -> Result<Arguments> {
    let mut given = std::env::args().skip(1);
    let mut arguments = Arguments { headless: false, model: PathBuf::new() };
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--headless" => arguments.headless = true,
            "--model" => arguments.model = given.next().context("--model wants a file")?.into(),
            _ => bail!("rekursing-demo [--headless] --model FILE; you may want `cargo xtask demo`"),
        }
    }
    Ok(arguments)
}

async fn show(arguments: &Arguments) -> Result<()> {
    let (server, _model_server) = model_server(&arguments.model).await?;
    let relay = relay().await?;
    println!("Relay            {}", relay.url("http"));
    let window = if arguments.headless { Window::Headless } else { Window::Shown };
    let mut owner = Owner::ready_in(window, &relay.url("http"), &server).await?;
    println!("Extension        ready in Chromium, id {}", owner.extension());
    let model = offered(&relay).await?;
    println!("Model            {model}\n");
    if arguments.headless {
        ask(&relay, &model).await?;
        return earned(&owner).await;
    }
    owner.browser().open(&relay.url("http")).await?;
    // The empty tab with which Chromium came up.
    let blank = owner.browser().target("page", "about:blank").await?;
    owner.browser().close(&blank).await?;
    println!("Ask something on the chat page. The owner's side is the extension's popup, behind the");
    println!("puzzle piece in the toolbar.");
    println!("It ends with the browser, or by Ctrl-C.");
    owner.browser_mut().closed().await
}

/// Finds a model server that runs already, or starts one with the model.
async fn model_server(model: &Path) -> Result<(String, Option<ModelServer>)> {
    for port in PORTS {
        if has_models(port).await {
            let url = format!("http://127.0.0.1:{port}");
            println!("Model server     {url}, which was running");
            return Ok((url, None));
        }
    }
    let name = model.file_stem().and_then(|stem| stem.to_str()).context("a model file without a name")?;
    let server = ModelServer::serving(model, name).await.context("no model server runs, and none starts")?;
    println!("Model server     {}, llama.cpp's own", server.url());
    Ok((server.url().to_owned(), Some(server)))
}

async fn has_models(port: u16) -> bool {
    let page = Page::visitor(SocketAddr::from(([127, 0, 0, 1], port)));
    let asked = timeout(Duration::from_secs(2), page.get("/v1/models")).await;
    let Ok(Ok(answer)) = asked else { return false };
    answer.json().is_ok_and(|models| models["data"].as_array().is_some_and(|data| !data.is_empty()))
}

/// Starts the relay on its usual port, or on another when that one is taken.
async fn relay() -> Result<Relay> {
    match Relay::on("127.0.0.1:3002", CONFIG, Echo::Silent).await {
        Ok(relay) => Ok(relay),
        Err(_) => Relay::on("127.0.0.1:0", CONFIG, Echo::Silent).await,
    }
}

/// Waits for the first model on offer and returns its name.
async fn offered(relay: &Relay) -> Result<String> {
    let look = || async {
        let models = relay.visitor().get("/api/llm/models").await?.expect(200)?;
        Ok(models["models"][0]["id"].as_str().map(str::to_owned))
    };
    eventually("a model is on offer", look).await
}

async fn ask(relay: &Relay, model: &str) -> Result<()> {
    println!("> {QUESTION}\n");
    let body =
        json!({"prompt": QUESTION, "model": model, "stream": true, "maxTokens": 200, "temperature": 0});
    let mut stream = relay.visitor().stream("/api/llm/inference", &body).await?;
    let (mut start, mut done) = (Value::Null, Value::Null);
    while let Some(event) = stream.next().await? {
        let data: Value = serde_json::from_str(&event.data).unwrap_or(Value::Null);
        match event.name.as_str() {
            "start" => start = data,
            "token" => {
                print!("{}", data["text"].as_str().unwrap_or_default());
                std::io::stdout().flush()?;
            }
            "done" => done = data,
            "error" => bail!("the answer broke off: {data}"),
            _ => {}
        }
    }
    println!("\n");
    receipt(&start, &done)
}

fn receipt(start: &Value, done: &Value) -> Result<()> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if done.is_null() {
        bail!("the answer did not come to its end");
    }
    let usage = &done["usage"];
    println!("Job              {}", text(&start["jobId"]));
    println!("Answered by      {}, {}", text(&start["provider"]["gpu"]), text(&start["provider"]["id"]));
    println!("Tokens           {} of prompt, {} of answer", usage["promptTokens"], usage["completionTokens"]);
    println!(
        "Speed            {} tokens/s, first after {} ms",
        done["tokensPerSecond"], done["firstTokenMs"]
    );
    println!("Cost             ${}", text(&done["cost"]));
    Ok(())
}

async fn earned(owner: &Owner) -> Result<()> {
    let look = || async {
        let earnings = owner.earnings().await?;
        Ok((earnings.jobs > 0).then_some(earnings))
    };
    let earnings = eventually("the owner's earnings show the job", look).await?;
    let receipt = &earnings.recent.first().context("earnings without a receipt")?.receipt;
    println!("Platform's fee   ${}", receipt.fee);
    println!("Owner earned     ${} in all, ${} of it available", earnings.total, earnings.available);
    Ok(())
}
