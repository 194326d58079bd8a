//! A relay that means ill, and three hundred jobs by which it wants the owner's machine to reach elsewhere: none of
//! them reaches anything but the paths of jobs at the one model server, and the agent works on.

use std::{collections::BTreeSet, net::SocketAddr};

use anyhow::{Context, Result, ensure};
use rekursing_tests::{
    canary::Canaries,
    eventually,
    false_relay::{Caller, FalseRelay},
    link::Received,
    node::Node,
    owner::Owner,
    script::{Dialect, MODEL, Reply, Script},
};
use serde_json::{Value, json};

/// How many jobs there are at least.
const MANY: usize = 300;

/// What a page says for the agent to connect at once.
const AGAIN: &str = "chrome.runtime.connect({ name: 'state' }).postMessage({ type: 'retry' })";

/// Where a job may go at the model server, and what is asked about it.
const KNOWN: [&str; 10] = [
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/embeddings",
    "GET /api/v1/models",
    "GET /api/v0/models",
    "GET /api/version",
    "GET /api/tags",
    "GET /props",
    "GET /slots",
    "GET /v1/models",
];

/// The ways to write that somebody at an address is to be asked for something.
fn forms(at: SocketAddr) -> Vec<String> {
    let port = at.port();
    let mut forms = vec![
        format!("http://{at}/x"),
        format!("//{at}/x"),
        format!("https://{at}/x"),
        format!("ws://{at}/x"),
        format!("ftp://{at}/x"),
        format!("HTTP://user:pass@{at}/x#y?z"),
        format!("http:{at}"),
        format!("@{at}/x"),
        format!(":{port}/x"),
        format!("/../../..//{at}/x"),
        format!("..%2f..%2f%2f{at}%2fx"),
        format!("\\\\{at}\\x"),
        format!("x HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\nGET http://{at}/x HTTP/1.1\r\n\r\n"),
        format!("x\r\nLocation: http://{at}/x\r\n"),
        format!("\u{0}http://{at}/x"),
        format!("javascript:fetch('http://{at}/x')"),
        format!("data:text/html,<img src=http://{at}/x>"),
        format!("<link rel=preload as=fetch href=http://{at}/x><img src='//{at}/x'>"),
        format!("![x](http://{at}/x)"),
        format!("stun:{at}"),
    ];
    if let SocketAddr::V4(v4) = at {
        let number = u32::from(*v4.ip());
        forms.extend([
            format!("http://{number}:{port}/x"),
            format!("http://0x{number:x}:{port}/x"),
            format!("http://[::ffff:{}]:{port}/x", v4.ip()),
        ]);
    }
    forms
}

/// The places in a job where somebody could look for an address. Each is what replaces a field of a good job;
/// `u` is the address.
fn places(u: &str) -> Vec<Value> {
    let chat = |message: Value| json!({"body": {"messages": [message]}});
    let part = |part: Value| json!({"body": {"messages": [{"role": "user", "content": [part]}]}});
    let with = |fields: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "go"}]});
        for (name, value) in fields.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        json!({"body": body})
    };
    let function = json!({"name": u, "description": u, "parameters": {"$schema": u, "$ref": u}});
    vec![
        json!({"model": u}),
        json!({"model": format!("{MODEL}{u}")}),
        json!({"url": u, "server": u, "servers": [u], "address": u, "host": u, "path": u, "endpoint": u,
               "base_url": u, "redirect": u, "proxy": u, "method": u, "bearer": u, "token": u,
               "headers": {"host": u, "origin": u, "authorization": u, "x-forwarded-host": u}}),
        with(json!({"model": u, "base_url": u, "api_base": u, "server": u, "endpoint": u, "webhook": u,
                    "callback_url": u, "proxy": u, "extra_body": {"url": u}, "extra_headers": {"host": u},
                    "metadata": {"url": u}, "user": u, "lora": u, "grammar": u, "store": true})),
        with(json!({"integrations": [{"type": "ephemeral_mcp", "server_url": u}], "mcp_servers": [u],
                    "plugins": [{"id": "web", "url": u}], "web_search_options": {"url": u}})),
        with(json!({"tools": [{"type": "function", "function": function}], "tool_choice": u})),
        with(
            json!({"tools": [{"type": "mcp", "server_label": "x", "server_url": u, "require_approval": "never"}]}),
        ),
        with(
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": u, "schema": {"$ref": u}}},
                    "stop": [u], "reasoning_effort": u}),
        ),
        chat(json!({"role": u, "name": u, "content": u})),
        chat(json!({"role": "assistant", "content": null, "tool_call_id": u,
                    "tool_calls": [{"id": u, "type": "function", "function": {"name": u, "arguments": u}}]})),
        part(json!({"type": "image_url", "image_url": {"url": u}})),
        part(json!({"type": "image_url", "image_url": u})),
        part(json!({"type": "input_image", "image_url": u, "file_url": u})),
        part(json!({"type": "video_url", "video_url": {"url": u}})),
        part(json!({"type": "file", "file": {"file_data": u, "file_id": u, "filename": u}})),
        part(json!({"type": "input_audio", "input_audio": {"data": u, "format": "wav"}})),
        json!({"call": "completion", "body": {"prompt": u, "suffix": u}}),
        json!({"call": "embedding", "stream": false, "body": {"input": [u], "encoding_format": u}}),
    ]
}

/// Jobs: every place with some form of an address, every form in some place, and every canary in its turn.
fn jobs(canaries: &Canaries) -> Vec<Value> {
    let mut jobs = Vec::new();
    for (turn, at) in canaries.addresses().iter().cycle().take(20).enumerate() {
        let forms = forms(*at);
        let many = places("").len();
        for place in 0..many {
            let form = &forms[(turn * 7 + place) % forms.len()];
            jobs.push(places(form).swap_remove(place));
        }
    }
    jobs
}

/// What a model server that is no friend either may answer in order to lead elsewhere.
fn answers(at: SocketAddr) -> Vec<Reply> {
    let head = |status: u16, lines: String| {
        Reply::exact(status, format!("application/json\r\n{lines}").leak(), Vec::new())
    };
    let mut answers: Vec<Reply> =
        [301, 302, 303, 307, 308].map(|status| head(status, format!("location: http://{at}/x"))).into();
    answers.extend([
        head(307, format!("location: //{at}/x")),
        head(300, format!("location: ws://{at}/x")),
        head(200, format!("refresh: 0;url=http://{at}/x")),
        head(200, format!("link: <http://{at}/x>; rel=preload; as=fetch, <//{at}>; rel=preconnect")),
        head(200, format!("alt-svc: h3=\"{at}\"; ma=86400, h2=\":{}\"", at.port())),
        head(200, format!("content-security-policy: default-src 'none'; report-uri http://{at}/x")),
        head(
            500,
            format!(
                "report-to: {{\"group\":\"x\",\"max_age\":9,\"endpoints\":[{{\"url\":\"http://{at}/x\"}}]}}\r\n\
                 nel: {{\"report_to\":\"x\",\"max_age\":9,\"success_fraction\":1}}"
            ),
        ),
        head(401, "www-authenticate: Basic realm=\"x\"".to_owned()),
        head(407, "proxy-authenticate: Basic realm=\"x\"".to_owned()),
        head(305, format!("location: http://{at}/")),
        Reply::json(400, &json!({"error": {"message": format!("see http://{at}/x"), "url": format!("http://{at}/x")}})),
    ]);
    answers
}

/// The relay's side: it numbers the jobs that it sends.
struct Assailant<'a> {
    caller: Caller,
    script: &'a Script,
    sent: u32,
}

impl Assailant<'_> {
    /// Sends a job with these fields in the place of a good one's, and waits until the agent has ended it.
    async fn send(&mut self, fields: &Value) -> Result<(String, Value)> {
        self.sent += 1;
        let job = format!("job_{:026}", self.sent);
        let mut start = json!({
            "job": job, "lease": 1 + self.sent % 3, "call": "chat", "model": MODEL, "stream": !self.sent.is_multiple_of(4),
            "body": {"messages": [{"role": "user", "content": "go"}]}, "credit": 65_536,
            "first_token_ms": 20_000, "idle_ms": 20_000, "total_ms": 60_000,
        });
        for (name, value) in fields.as_object().into_iter().flatten() {
            start[name] = value.clone();
        }
        self.caller.send("start", &start).await?;
        self.caller.end_of(&job).await.with_context(|| format!("this job has no end: {start}"))
    }

    /// Lets the model server answer so. Where it was given up after the last answer, it is waited for.
    async fn be_answered(&mut self, reply: &Reply) -> Result<()> {
        let before = self.script.jobs().len();
        self.script.next(reply.clone());
        self.reaches_the_server(before).await
    }

    /// Sends good jobs until one has come to the model server.
    async fn reaches_the_server(&mut self, before: usize) -> Result<()> {
        let shared = tokio::sync::Mutex::new(self);
        let look = || async {
            let mut this = shared.lock().await;
            this.send(&json!({})).await?;
            Ok((this.script.jobs().len() > before).then_some(()))
        };
        eventually("a job reaches the model server", look).await
    }

    /// Sends what is no job, or belongs to none.
    async fn say_odd_things(&mut self, u: &str) -> Result<()> {
        for (kind, frame) in [
            (
                "cancel",
                json!({"job": "job_00000000000000000000000999", "lease": 4_294_967_295_u32, "url": u}),
            ),
            (
                "credit",
                json!({"job": "job_00000000000000000000000999", "lease": 0, "bytes": 4_294_967_295_u32, "to": u}),
            ),
            (
                "settled",
                json!({"job": "job_00000000000000000000000999", "earned": "0.000000001", "prompt_tokens": 1,
                               "answer_tokens": 1, "at": 1, "receipt": u}),
            ),
            ("ack", json!({"n": 18_446_744_073_709_551_615_u64, "next": u})),
        ] {
            self.caller.send(kind, &frame).await?;
        }
        Ok(())
    }

    /// Sends everything, and sees to it that the agent works on.
    async fn assail(&mut self, canaries: &Canaries) -> Result<()> {
        let jobs = jobs(canaries);
        let mut codes = BTreeSet::new();
        for (at, fields) in jobs.iter().enumerate() {
            let (kind, end) = self.send(fields).await?;
            codes.insert(if kind == "done" { kind } else { end["code"].to_string() });
            if at % 40 == 0 {
                self.say_odd_things(&format!("http://{}/x", canaries.addresses()[0])).await?;
            }
        }
        ensure!(jobs.len() >= MANY, "only {} jobs", jobs.len());
        for expected in ["done", "\"model_missing\"", "\"refused\""] {
            ensure!(codes.contains(expected), "no job ended with {expected}: {codes:?}");
        }
        for at in canaries.streams().take(3) {
            for reply in answers(at) {
                self.be_answered(&reply).await?;
            }
        }
        self.works().await
    }

    /// Sees to it that a good job is answered, as soon as the agent has looked at the server again.
    async fn works(&mut self) -> Result<()> {
        let shared = tokio::sync::Mutex::new(self);
        let look = || async { Ok((shared.lock().await.send(&json!({})).await?.0 == "done").then_some(())) };
        eventually("a good job is answered", look).await
    }
}

/// What the agent may have sent to the model server: questions and jobs for its own model, and nothing of the
/// relay's choosing around them.
fn only_jobs_came(script: &Script) -> Result<()> {
    for path in script.paths() {
        ensure!(KNOWN.contains(&path.as_str()), "the model server was asked for {path:?}");
    }
    let own = script.url();
    let own = own.trim_start_matches("http://");
    for job in script.jobs() {
        ensure!(job.body["model"] == MODEL, "a job for another model: {}", job.body);
        let lines: Vec<String> = job.head.lines().map(str::to_ascii_lowercase).collect();
        let named = |name: &str| -> Vec<&String> {
            lines.iter().filter(|line| line.starts_with(&format!("{name}:"))).collect()
        };
        ensure!(named("host") == [&format!("host: {own}")], "{}", job.head);
        for name in ["authorization", "cookie", "x-forwarded-host", "proxy-authorization"] {
            ensure!(named(name).is_empty(), "{}", job.head);
        }
        let text = job.body.to_string();
        for field in
            ["base_url", "integrations", "mcp", "image_url", "webhook", "lora", "server_url", "file_data"]
        {
            ensure!(!text.contains(&format!("\"{field}\":\"http")), "{field} has come through: {text}");
        }
    }
    Ok(())
}

/// Welcomes the next caller with more than belongs there, and goes at it.
async fn assailant<'a>(relay: &FalseRelay, script: &'a Script, u: &str) -> Result<Assailant<'a>> {
    let mut caller = relay.caller().await?;
    let ready = json!({
        "session": "ses_00000000000000000000000007", "relay": u, "servers": [u], "update": u, "config": {"relay": u},
    });
    caller.send("ready", &ready).await?;
    Ok(Assailant { caller, script, sent: 0 })
}

#[tokio::test]
async fn three_hundred_hostile_jobs_make_the_extension_reach_nothing_else() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let (canaries, relay) = tokio::try_join!(Canaries::set(), FalseRelay::start())?;
    let first = canaries.addresses()[0];
    relay.send_to(format!("http://{first}/x"));
    let elsewhere = format!("http://{first}/x");
    let (relay_at, server_at) = (relay.url("http"), script.url());
    let ready = Owner::ready(&relay_at, &server_at);
    let (owner, mut assailant) = tokio::try_join!(ready, assailant(&relay, &script, &elsewhere))?;
    let popup = owner.popup().await?;
    assailant.assail(&canaries).await?;
    ensure!(relay.asked().len() > 1, "the agent has asked the relay for nothing that could be redirected");

    // What is no frame ends the link, and leads nowhere either.
    for text in [
        format!("{{\"redirect\":{{\"to\":\"ws://{first}\"}}}}"),
        format!("GET http://{first}/x HTTP/1.1\r\n\r\n"),
    ] {
        assailant.caller.send_text(text).await?;
        while !matches!(assailant.caller.next().await?, Received::Closed(_)) {}
        popup.until("document.querySelector('#title').textContent !== 'Ready for jobs'").await?;
        popup.eval(AGAIN).await?;
        assailant.caller = self::assailant(&relay, &script, &elsewhere).await?.caller;
    }
    assailant.works().await?;
    popup.until("document.querySelector('#title').textContent === 'Ready for jobs'").await?;
    canaries.are_alone().await?;
    only_jobs_came(&script)?;

    // Whoever looks at the relay's website is given cookies, and the extension is not known by them.
    owner.browser().open(&relay.url("http")).await?;
    let Assailant { caller, .. } = assailant;
    caller.close(1012).await?;
    popup.until("document.querySelector('#title').textContent !== 'Ready for jobs'").await?;
    popup.eval(AGAIN).await?;
    self::assailant(&relay, &script, &elsewhere).await?.works().await?;
    assert_eq!(relay.cookies(), Vec::<String>::new());
    assert_eq!(owner.browser().complaints(owner.extension()).await?, Vec::<String>::new());

    // They would have heard this Chromium, at each address.
    for at in canaries.streams() {
        owner.browser().open(&format!("http://{at}/heard")).await?;
        canaries.hear("GET /heard").await?;
    }
    Ok(())
}

#[tokio::test]
async fn three_hundred_hostile_jobs_make_the_node_reach_nothing_else() -> Result<()> {
    let script = Script::start(Dialect::LmStudio(2)).await?;
    let (canaries, relay) = tokio::try_join!(Canaries::set(), FalseRelay::start())?;
    let first = canaries.addresses()[0];
    relay.send_to(format!("http://{first}/x"));
    let elsewhere = format!("http://{first}/x");
    let (relay_at, server_at) = (relay.url("ws"), script.url());
    let (_node, mut assailant) =
        tokio::try_join!(Node::at(&relay_at, &server_at, &[]), assailant(&relay, &script, &elsewhere))?;
    assailant.assail(&canaries).await?;
    assailant.caller.send_text(format!("{{\"redirect\":{{\"to\":\"ws://{first}\"}}}}")).await?;
    while !matches!(assailant.caller.next().await?, Received::Closed(_)) {}
    assailant.caller = self::assailant(&relay, &script, &elsewhere).await?.caller;
    assailant.works().await?;
    canaries.are_alone().await?;
    only_jobs_came(&script)
}
