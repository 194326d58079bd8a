//! The official OpenAI SDKs speak to the relay without any adapter.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    browser::Browser,
    built, caller,
    node::Node,
    program::{self, asks},
    relay::{FREE, Relay},
    scene::Scripted,
    script::{Dialect, MODEL, Reply, Script},
    site::Site,
};
use serde_json::json;
use tokio::process::Command;

/// The tool is called whole, then streamed: for chats, and for responses.
fn calls() -> Vec<Reply> {
    vec![caller::whole(), caller::streamed(), caller::whole(), caller::streamed()]
}

#[tokio::test]
async fn the_sdk_for_python_works() -> Result<()> {
    let mut python = Command::new(built::python()?);
    python.arg(program::path("sdk.py"));
    asks(python, calls()).await.map(drop)
}

#[tokio::test]
async fn the_sdk_for_node_works() -> Result<()> {
    let mut node = Command::new("node");
    node.arg(program::path("sdk.mjs")).arg(built::node_modules()?);
    asks(node, calls()).await.map(drop)
}

/// Has a program ask for vectors, before a model server that writes lists of numbers whatever it is asked for.
async fn embeds(mut command: Command) -> Result<()> {
    const EMBEDDER: &str = "text-embed-script";
    let (relay, key) = Relay::funded(FREE, "5.00").await?;
    let script = Script::start(Dialect::Plain).await?;
    script.set_names(&[EMBEDDER.to_owned()]);
    let row = |index, embedding| json!({"object": "embedding", "index": index, "embedding": embedding});
    let rows = [row(0, json!([0.5, -2.0, 0.25])), row(1, json!([1, 0, 0]))];
    let usage = json!({"prompt_tokens": 2, "total_tokens": 2});
    script.always(Reply::json(200, &json!({"object": "list", "model": "x", "data": rows, "usage": usage})));
    let _node = Node::start(&relay, &script.url()).await?;
    let url = format!("{}/v1", relay.url("http"));
    let output = command.args([&url, &key, EMBEDDER]).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(script.jobs().len(), 2);
    relay.audit().await
}

#[tokio::test]
async fn the_sdk_for_python_reads_the_vectors_of_a_server_that_knows_no_base64() -> Result<()> {
    let mut python = Command::new(built::python()?);
    python.arg(program::path("vectors.py"));
    embeds(python).await
}

#[tokio::test]
async fn the_sdk_for_node_reads_the_vectors_of_a_server_that_knows_no_base64() -> Result<()> {
    let mut node = Command::new("node");
    node.arg(program::path("vectors.mjs")).arg(built::node_modules()?);
    embeds(node).await
}

/// Puts the modules of a package on a site, under its name.
fn publish(site: &Site, package: &Path, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            publish(site, package, &path)?;
        } else if path.extension().is_some_and(|extension| extension == "mjs") {
            let name = path.strip_prefix(package)?.to_str().context("a name that is no text")?;
            site.put(&format!("/openai/{name}"), "text/javascript", fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

#[tokio::test]
async fn in_a_page_of_another_origin_the_sdk_for_node_works() -> Result<()> {
    const ASK: &str = "(async () => {
        const { default: OpenAI } = await import('/openai/index.mjs');
        const client = new OpenAI({ ...ASKED, dangerouslyAllowBrowser: true, maxRetries: 0 });
        const messages = [{ role: 'user', content: 'go' }];
        const whole = await client.chat.completions.create({ model: MODEL, messages });
        let streamed = '';
        for await (const chunk of await client.chat.completions.create({ model: MODEL, messages, stream: true })) {
            streamed += chunk.choices[0]?.delta.content ?? '';
        }
        const { output_text } = await client.responses.create({ model: MODEL, input: 'go' });
        const refused = await client.models.retrieve('no-such').catch(({ status, code }) => `${status} ${code}`);
        const isNamed = whole._request_id === whole.rekursing.jobId;
        return [whole.choices[0].message.content, streamed, output_text, refused, isNamed];
    })()";
    let package = built::node_modules()?.join("openai");
    let site = Site::start().await?;
    site.put("/", "text/html", "<!doctype html><html lang=en><title>A page</title><main>A page</main>");
    publish(&site, &package, &package)?;
    let (relay, key) = Relay::funded(&format!("origins = [{:?}]\n{FREE}", site.url()), "5.00").await?;
    let scene = Scripted::before(relay, Dialect::LlamaCpp(4)).await?;
    scene.script.always(Reply::text(&["one", " two"]));
    let browser = Browser::start().await?;
    let tab = browser.open(site.url()).await?;
    tab.until("document.querySelector('main') !== null").await?;
    let asked = json!({"baseURL": format!("{}/v1", scene.relay.url("http")), "apiKey": key});
    let ask = ASK.replace("ASKED", &asked.to_string()).replace("MODEL", &json!(MODEL).to_string());
    assert_eq!(
        tab.comes_to(&ask).await?,
        json!(["one two", "one two", "one two", "404 model_not_found", true])
    );
    Ok(())
}
