//! Plugins that make the tokens themselves: what is measured is the relay alone.

use std::{rc::Rc, sync::atomic::AtomicU64, sync::atomic::Ordering};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use futures_util::{SinkExt, StreamExt, future::join_all, stream::SplitSink};
use rekursing_bench::{
    link::{self, Socket},
    mark, now_ns,
    spec::Spec,
    timer,
};
use rekursing_protocol::{ToPlugin, ToRelay, frame, register::Registered};
use tokio::{
    sync::mpsc,
    task::{LocalSet, spawn_local},
};
use tokio_tungstenite::tungstenite::Message;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Plugins that make the tokens themselves.
#[derive(Debug, Parser)]
struct Arguments {
    /// The relay's address, host and port.
    #[arg(long)]
    address: String,
    /// How many plugins.
    #[arg(long, default_value_t = 8)]
    plugins: usize,
    /// Jobs at once for each.
    #[arg(long, default_value_t = 64)]
    slots: u16,
    /// What is spoken.
    #[arg(long, value_enum, default_value_t = Speech::Link)]
    speech: Speech,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Speech {
    /// The link of a real relay.
    Link,
    /// What `floor` understands.
    Floor,
}

type Outbox = mpsc::UnboundedSender<String>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    LocalSet::new().run_until(run(&arguments)).await
}

#[expect(clippy::print_stdout, reason = "whoever started it waits until it is ready")]
async fn run(arguments: &Arguments) -> Result<()> {
    spawn_local(timer::drive());
    let registered = match arguments.speech {
        Speech::Link => link::register(&arguments.address, arguments.plugins).await?,
        Speech::Floor => Vec::new(),
    };
    let registered = Rc::new(registered);
    let ready = Rc::new(AtomicU64::new(0));
    let mut plugins = Vec::new();
    for number in 0..arguments.plugins {
        let (outbox, socket) = match arguments.speech {
            Speech::Link => identified(arguments, &registered, number).await?,
            Speech::Floor => greeted(link::open(&arguments.address, "/provider", number).await?),
        };
        ready.fetch_add(1, Ordering::Relaxed);
        plugins.push(spawn_local(work(arguments.speech, outbox, socket)));
    }
    println!("READY {}", ready.load(Ordering::Relaxed));
    join_all(plugins).await;
    Ok(())
}

async fn identified(
    arguments: &Arguments,
    registered: &[Registered],
    number: usize,
) -> Result<(Outbox, futures_util::stream::SplitStream<Socket>)> {
    let mut socket = link::open(&arguments.address, "/api/plugin/connect", number).await?;
    socket.next().await.context("no hello")??;
    socket.send(Message::text(link::identify(&registered[number], arguments.slots))).await?;
    socket.next().await.context("not ready")??;
    Ok(greeted(socket))
}

fn greeted(socket: Socket) -> (Outbox, futures_util::stream::SplitStream<Socket>) {
    let (sink, stream) = socket.split();
    let (outbox, messages) = mpsc::unbounded_channel();
    spawn_local(write(sink, messages));
    (outbox, stream)
}

/// Writes what waits in one flush.
async fn write(mut sink: SplitSink<Socket, Message>, mut messages: mpsc::UnboundedReceiver<String>) {
    while let Some(message) = messages.recv().await {
        let mut next = Some(message);
        while let Some(message) = next {
            if sink.feed(Message::text(message)).await.is_err() {
                return;
            }
            next = messages.try_recv().ok();
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}

async fn work(speech: Speech, outbox: Outbox, mut socket: futures_util::stream::SplitStream<Socket>) {
    if speech == Speech::Link {
        spawn_local(beat(outbox.clone()));
    }
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        match speech {
            Speech::Link => {
                if let Ok(ToPlugin::Start(start)) = serde_json::from_str::<ToPlugin>(&text) {
                    spawn_local(answer(*start, outbox.clone()));
                }
            }
            Speech::Floor => {
                if let Some(id) = id(&text) {
                    spawn_local(answer_floor(id, Spec::find(text.as_bytes()), outbox.clone()));
                }
            }
        }
    }
}

/// Beats every 15 seconds, well within what a relay asks for.
async fn beat(outbox: Outbox) {
    for n in 1.. {
        timer::sleep_until(now_ns() + 15_000_000_000).await;
        let heartbeat = frame::Heartbeat { n, jobs: 0, queue: 0, models: Vec::new() };
        if !send(&outbox, &ToRelay::Heartbeat(heartbeat)) {
            return;
        }
    }
}

fn send(outbox: &Outbox, frame: &ToRelay<'_>) -> bool {
    serde_json::to_string(frame).is_ok_and(|text| outbox.send(text).is_ok())
}

async fn answer(start: frame::Start, outbox: Outbox) {
    let (job, lease) = (start.job, start.lease);
    let spec = Spec::find(start.body.get().as_bytes());
    if !start.stream {
        let token = mark::token(0);
        let part = format!(
            "{{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"mock\",\
             \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{token}\"}},\
             \"finish_reason\":\"stop\"}}]}}"
        );
        send(&outbox, &ToRelay::Body(frame::Body { job, lease, n: 0, part: part.into() }));
        done(&outbox, job, lease, 1, "");
        return;
    }
    let mut due_ns = now_ns() + spec.delay_us * 1_000;
    for n in 0..spec.tokens {
        pace(n, &spec, due_ns).await;
        due_ns += spec.interval_us * 1_000;
        let text = mark::token(n);
        if !send(&outbox, &ToRelay::Text(frame::Text { job, lease, n, text: text.into() })) {
            return;
        }
    }
    done(&outbox, job, lease, spec.tokens, "stop");
}

fn done(outbox: &Outbox, job: rekursing_protocol::JobId, lease: u32, n: u32, finish: &str) {
    let done = frame::Done { job, lease, n, finish: finish.into(), prompt_tokens: None, answer_tokens: None };
    send(outbox, &ToRelay::Done(done));
}

async fn answer_floor(id: u64, spec: Spec, outbox: Outbox) {
    let mut due_ns = now_ns() + spec.delay_us * 1_000;
    for n in 0..spec.tokens {
        pace(n, &spec, due_ns).await;
        due_ns += spec.interval_us * 1_000;
        let token = mark::token(n);
        if outbox.send(format!("{{\"t\":\"tok\",\"id\":{id},\"d\":\"{token}\"}}")).is_err() {
            return;
        }
    }
    // A relay that is gone needs no end.
    let _ = outbox.send(format!("{{\"t\":\"end\",\"id\":{id}}}"));
}

/// Waits until a token is due; flat out, lets the others have a turn.
async fn pace(n: u32, spec: &Spec, due_ns: u64) {
    let wait_us = if n == 0 { spec.delay_us } else { spec.interval_us };
    if wait_us > 0 {
        timer::sleep_until(due_ns).await;
    } else if n > 0 {
        tokio::task::yield_now().await;
    }
}

fn id(text: &str) -> Option<u64> {
    let rest = text.split_once("\"id\":")?.1;
    let end = rest.find(|character: char| !character.is_ascii_digit())?;
    rest[..end].parse().ok()
}
