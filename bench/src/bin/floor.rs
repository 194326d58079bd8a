//! The floor: the smallest relay of axum, tokio and dashmap, without rules, limits or money.
//! POST on any path goes to the less busy of two plugins at `/provider`, and comes back as events.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use clap::Parser;
use dashmap::DashMap;
use http_body::Frame;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rekursing_bench::{mark, spec::wants_stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{net::TcpListener, sync::mpsc};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The floor.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port to listen on; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

struct Plugin {
    outbox: mpsc::UnboundedSender<Message>,
    jobs: AtomicUsize,
}

#[derive(Default)]
struct Hub {
    jobs: DashMap<u64, mpsc::UnboundedSender<Bytes>>,
    plugins: RwLock<Vec<Arc<Plugin>>>,
    next: AtomicU64,
}

/// What a plugin says: a token, or the end.
#[derive(Deserialize)]
struct Word<'a> {
    t: &'a str,
    id: u64,
    #[serde(borrow, default)]
    d: Option<&'a RawValue>,
}

struct Answer {
    pieces: mpsc::UnboundedReceiver<Bytes>,
    hub: Arc<Hub>,
    id: u64,
    plugin: Arc<Plugin>,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pieces.poll_recv(context).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.hub.jobs.remove(&self.id);
        self.plugin.jobs.fetch_sub(1, Relaxed);
    }
}

async fn post(State(hub): State<Arc<Hub>>, body: Bytes) -> Response {
    let id = hub.next.fetch_add(1, Relaxed);
    let Some(plugin) = choose(&hub, id) else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    let Ok(text) = std::str::from_utf8(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let (sender, pieces) = mpsc::unbounded_channel();
    hub.jobs.insert(id, sender);
    plugin.jobs.fetch_add(1, Relaxed);
    // A plugin that is gone leaves the page waiting, which this relay does not mind.
    let _ = plugin.outbox.send(Message::text(format!("{{\"t\":\"job\",\"id\":{id},\"body\":{text}}}")));
    let mut answer = Answer { pieces, hub, id, plugin };
    if wants_stream(&body) {
        return ([("content-type", "text/event-stream")], Body::new(answer)).into_response();
    }
    let mut whole = Vec::new();
    while let Some(piece) = answer.pieces.recv().await {
        whole.extend_from_slice(&piece);
    }
    ([("content-type", "application/json")], whole).into_response()
}

fn choose(hub: &Hub, id: u64) -> Option<Arc<Plugin>> {
    let plugins = hub.plugins.read().unwrap_or_else(PoisonError::into_inner);
    let count = u64::try_from(plugins.len()).ok().filter(|count| *count > 0)?;
    let hash = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let at = |half: u64| usize::try_from(half % count).ok().and_then(|index| plugins.get(index));
    let (one, other) = (at(hash >> 32)?, at(hash & 0xffff_ffff)?);
    let less = if one.jobs.load(Relaxed) <= other.jobs.load(Relaxed) { one } else { other };
    Some(Arc::clone(less))
}

async fn session(hub: Arc<Hub>, mut socket: WebSocket) {
    let (outbox, mut orders) = mpsc::unbounded_channel();
    let plugin = Arc::new(Plugin { outbox, jobs: AtomicUsize::new(0) });
    hub.plugins.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&plugin));
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else { break };
                if socket.send(order).await.is_err() { break }
            }
            message = socket.recv() => {
                let Some(Ok(message)) = message else { break };
                if let Message::Text(text) = message { hear(&hub, &text) }
            }
        }
    }
    let mut plugins = hub.plugins.write().unwrap_or_else(PoisonError::into_inner);
    plugins.retain(|other| !Arc::ptr_eq(other, &plugin));
}

fn hear(hub: &Hub, text: &str) {
    let Ok(word) = serde_json::from_str::<Word<'_>>(text) else { return };
    if word.t != "tok" {
        if let Some((_, job)) = hub.jobs.remove(&word.id) {
            // The page may have left.
            let _ = job.send(Bytes::from_static(mark::END.as_bytes()));
        }
        return;
    }
    let Some(job) = hub.jobs.get(&word.id).map(|job| job.value().clone()) else { return };
    let token = word.d.map_or("\"\"", RawValue::get);
    let _ = job.send(Bytes::from(format!(
        "data: {{\"id\":\"chatcmpl-{}\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
         \"model\":\"mock\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{token}}},\
         \"finish_reason\":null}}]}}\n\n",
        word.id
    )));
}

async fn upgrade(State(hub): State<Arc<Hub>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols([rekursing_protocol::SUBPROTOCOL]).on_upgrade(move |socket| session(hub, socket))
}

#[tokio::main(worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "whoever started it waits for the address")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let hub = Arc::new(Hub::default());
    let router = Router::new().route("/provider", get(upgrade)).fallback(post).with_state(hub);
    let listener = TcpListener::bind(("127.0.0.1", arguments.port)).await?;
    println!("LISTENING http://{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(None);
            // A page or plugin that leaves is an ordinary event.
            let _ = server.serve_connection(TokioIo::new(socket), service).with_upgrades().await;
        });
    }
}
