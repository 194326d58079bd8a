//! The native shell over real sockets: a relay and a model server of a few lines, and one job.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use futures_util::{SinkExt, StreamExt};
use rekursing_extension_core::native::{Flags, run};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::{JoinHandle, LocalSet},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::HeaderValue,
    },
};

const STREAM: &str = include_str!("fixtures/llama-cpp-chat.sse");
const PROPS: &str = include_str!("fixtures/llama-cpp-props.json");
const MODELS: &str = include_str!("fixtures/llama-cpp-models.json");

type Session = WebSocketStream<TcpStream>;

/// Reads one request and returns its first line.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await.ok().filter(|count| *count > 0)?;
        text.extend_from_slice(&bytes[..count]);
        let so_far = String::from_utf8_lossy(&text);
        let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ").and_then(|length| length.parse().ok())
        });
        if body.len() >= length.unwrap_or(0) {
            return head.lines().next().map(str::to_owned);
        }
    }
}

async fn respond(stream: &mut TcpStream, status: &str, kind: &str, body: &str) {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
}

/// Serves models as llama.cpp does; every chat is the same.
async fn model_server(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::task::spawn_local(async move {
            while let Some(line) = request(&mut stream).await {
                let path = line.split(' ').nth(1).unwrap_or_default();
                match path {
                    "/props" => respond(&mut stream, "200 OK", "application/json", PROPS).await,
                    "/v1/models" => respond(&mut stream, "200 OK", "application/json", MODELS).await,
                    "/v1/chat/completions" => {
                        respond(&mut stream, "200 OK", "text/event-stream", STREAM).await
                    }
                    "/v1/completions" => {
                        // As JSON in a frame it is twice as long: more than the agent keeps.
                        let text = "\\\"".repeat(6 << 20);
                        let whole = format!("{{\"choices\":[{{\"text\":\"{text}\"}}]}}");
                        respond(&mut stream, "200 OK", "application/json", &whole).await;
                    }
                    _ => respond(&mut stream, "404 Not Found", "text/plain", "no").await,
                }
            }
        });
    }
}

/// Registers whoever asks, and hands out the sessions that are opened.
async fn relay(listener: TcpListener, sessions: mpsc::Sender<Session>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let sessions = sessions.clone();
        tokio::task::spawn_local(async move {
            let mut start = [0; 24];
            stream.readable().await.unwrap();
            stream.peek(&mut start).await.unwrap();
            if start.starts_with(b"GET /api/plugin/connect") {
                sessions.send(accept_hdr_async(stream, choose).await.unwrap()).await.unwrap();
                return;
            }
            while let Some(line) = request(&mut stream).await {
                if line.starts_with("POST /api/plugin/register") {
                    let body =
                        json!({"pluginId": "plg_00000000000000000000000007", "secret": "shh"}).to_string();
                    respond(&mut stream, "201 Created", "application/json", &body).await;
                } else {
                    respond(&mut stream, "404 Not Found", "text/plain", "no").await;
                }
            }
        });
    }
}

#[expect(clippy::result_large_err, reason = "the library's signature")]
fn choose(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    assert_eq!(request.headers()["sec-websocket-protocol"], "rekursing.v1");
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("rekursing.v1"));
    Ok(response)
}

async fn say(session: &mut Session, frame: &Value) {
    session.send(Message::text(frame.to_string())).await.unwrap();
}

async fn hear(session: &mut Session) -> Value {
    match session.next().await {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text).unwrap(),
        Some(Ok(Message::Close(frame))) => json!({"close": frame.map(|frame| u16::from(frame.code))}),
        other => panic!("{other:?}"),
    }
}

/// A relay and an agent that has registered there and offers a model.
struct Scene {
    sessions: mpsc::Receiver<Session>,
    state: PathBuf,
    stop: watch::Sender<bool>,
    agent: JoinHandle<anyhow::Result<()>>,
    _folder: TempDir,
}

impl Scene {
    async fn start() -> Scene {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server_at = format!("http://{}", server.local_addr().unwrap());
        let relay_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay_at = format!("ws://{}", relay_listener.local_addr().unwrap());
        let (sender, sessions) = mpsc::channel(1);
        tokio::task::spawn_local(model_server(server));
        tokio::task::spawn_local(relay(relay_listener, sender));
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state.json");
        let line = ["rekursing-node", "--relay", &relay_at, "--server", &server_at, "--state"];
        let flags = Flags::try_parse_from(line.into_iter().chain([state.to_str().unwrap()])).unwrap();
        let (stop, stopped) = watch::channel(false);
        let agent = tokio::task::spawn_local(run(flags, stopped));
        Scene { sessions, state, stop, agent, _folder: folder }
    }

    /// Waits for the agent, greets it, and returns the session with what it said it is.
    async fn greet(&mut self) -> (Session, Value) {
        let mut session = self.sessions.recv().await.unwrap();
        let hello = json!({"hello": {"version": 1, "heartbeat_ms": 20_000, "frame_bytes_max": 65_536}});
        say(&mut session, &hello).await;
        let identify = hear(&mut session).await;
        say(&mut session, &json!({"ready": {"session": "ses_00000000000000000000000001"}})).await;
        (session, identify)
    }
}

/// Runs a test on one thread, with a limit to its patience.
async fn play(test: impl Future<Output = ()>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let local = LocalSet::new();
    tokio::time::timeout(Duration::from_secs(20), local.run_until(test))
        .await
        .expect("the whole exchange takes no 20 seconds");
}

/// Registers, greets, does a job, leaves: in that order.
#[tokio::test(flavor = "current_thread")]
async fn a_job_goes_from_the_relay_to_the_server_and_back() {
    play(async {
        let mut scene = Scene::start().await;
        let (mut session, identify) = scene.greet().await;
        assert_eq!(identify["identify"]["secret"], json!("shh"));
        assert_eq!(identify["identify"]["inventory"]["offers"][0]["model"], json!("tiny-chat"));

        let job = "job_00000000000000000000000003";
        say(
            &mut session,
            &json!({"start": {
                "job": job, "lease": 1, "call": "chat", "model": "tiny-chat", "stream": true,
                "body": {"messages": [{"role": "user", "content": "hi"}]}, "credit": 65_536,
                "first_token_ms": 5_000, "idle_ms": 5_000, "total_ms": 5_000,
            }}),
        )
        .await;
        let mut answer = String::new();
        let done = loop {
            let mut frame = hear(&mut session).await;
            if let Some(text) = frame["text"]["text"].as_str() {
                answer.push_str(text);
            } else if frame.get("heartbeat").is_none() {
                break frame["done"].take();
            }
        };
        assert_eq!((answer.as_str(), &done["finish"]), ("blue k7x2", &json!("stop")));

        scene.stop.send_replace(true);
        let mut last = hear(&mut session).await;
        while last.get("heartbeat").is_some() {
            last = hear(&mut session).await;
        }
        assert_eq!(last, json!({"close": 1000}));
        drop(session);
        scene.agent.await.unwrap().unwrap();
        assert!(std::fs::read_to_string(scene.state).unwrap().contains("shh"));
    })
    .await;
}

/// What the relay does not take piles up at the agent, up to a limit.
#[tokio::test(flavor = "current_thread")]
async fn a_relay_that_hands_out_credit_and_reads_nothing_is_left() {
    play(async {
        let mut scene = Scene::start().await;
        let (mut session, _) = scene.greet().await;
        say(
            &mut session,
            &json!({"start": {
                "job": "job_00000000000000000000000003", "lease": 1, "call": "completion",
                "model": "tiny-chat", "stream": false, "body": {"prompt": "hi"}, "credit": u32::MAX,
                "first_token_ms": 60_000, "idle_ms": 60_000, "total_ms": 60_000,
            }}),
        )
        .await;
        // The session stays open and unread; the agent comes back on another.
        let (_second, identify) = scene.greet().await;
        assert_eq!(identify["identify"]["secret"], json!("shh"));
        drop(session);
    })
    .await;
}
