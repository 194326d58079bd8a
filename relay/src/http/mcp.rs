//! MCP, the Model Context Protocol, over streamable HTTP: the relay's routes as tools for agents.
//!
//! A tool is a route and nothing else: its arguments are that route's body, asked for with the caller's own
//! key in this process. So limits, budgets, refusals and records are those of HTTP, and there is no second set of
//! rules. What is MCP's own, sessions and messages, is the protocol's library's; where a call comes from, how
//! large it is and how many sessions there are is looked at before the library sees it.

mod ask;
mod inner;
mod opened;
mod tools;

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, FromRequest, Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService,
    session::{SessionManager, local::LocalSessionManager},
};
use serde::Deserialize;
use serde_json::Value;

use self::{opened::Opened, tools::Tools};
use super::{
    Problem, caller,
    posted::{Peer, Posted},
};
use crate::{house::House, switches::Feature};

/// How long a session is kept of which nothing is heard: longer than any answer takes.
const SESSION_IDLE: Duration = Duration::from_secs(15 * 60);

/// Longest word of the library's about a call that it refuses, in bytes.
const WORD_BYTES_MAX: usize = 1_024;

/// The header that names a session.
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// The server of tools.
pub(super) struct Mcp {
    house: Arc<House>,
    service: StreamableHttpService<Tools, LocalSessionManager>,
    sessions: Arc<LocalSessionManager>,
    opened: Mutex<Opened>,
    /// Sessions are opened one after the other, so that there are never more than may be.
    opening: tokio::sync::Mutex<()>,
    running: Arc<Mutex<HashSet<Call>>>,
}

/// A request that is under way: its session and its id there.
type Call = (String, String);

/// Holds a request's id until it is answered: of two with one id the library would keep the stream of one for ever.
#[derive(Debug)]
struct Running {
    call: Call,
    among: Arc<Mutex<HashSet<Call>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.among.lock().remove(&self.call);
    }
}

/// What is looked at of a message before the library reads it.
#[derive(Default, Deserialize)]
struct Message {
    #[serde(default)]
    method: String,
    #[serde(default)]
    id: Option<Value>,
}

impl std::fmt::Debug for Mcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mcp").finish_non_exhaustive()
    }
}

impl Mcp {
    /// Sets the server up over the relay's routes.
    pub(super) fn new(house: Arc<House>, routes: Router) -> Mcp {
        let mut sessions = LocalSessionManager::default();
        sessions.session_config.keep_alive = Some(SESSION_IDLE);
        sessions.session_config.sse_retry = None;
        // Only of calls that were cancelled the library would keep what was told, and nobody comes back for that.
        sessions.session_config.completed_cache_ttl = Duration::ZERO;
        let sessions = Arc::new(sessions);
        let config = StreamableHttpServerConfig::default()
            // Both were looked at before, as for every other route.
            .disable_allowed_hosts()
            .disable_allowed_origins()
            .with_sse_retry(None)
            .with_max_request_body_bytes(house.config.limits.request_bytes);
        let tools = Tools::new(routes);
        let service = StreamableHttpService::new(move || Ok(tools.clone()), Arc::clone(&sessions), config);
        let (opened, opening, running) = Default::default();
        Mcp { house, service, sessions, opened, opening, running }
    }

    /// Hands a call to the library, which answers it.
    async fn answer(&self, request: hyper::Request<Full<bytes::Bytes>>) -> Response {
        if let Some(session) = request.headers().get(&SESSION).and_then(|session| session.to_str().ok()) {
            self.opened.lock().hear(session, self.house.desk.now());
        }
        worded(self.service.handle(request).await.map(Body::new)).await
    }

    /// Has a request of a session answered, unless another one has its id.
    async fn ask(&self, mut request: hyper::Request<Full<bytes::Bytes>>, call: Call) -> Response {
        if !self.running.lock().insert(call.clone()) {
            let message = "a request of this session with this id is under way: each has an id of its own";
            return Problem::field("id", message).into_response();
        }
        let running = Arc::new(Running { call, among: Arc::clone(&self.running) });
        // The library hands it on with the request's head, also to whoever works on when nobody reads any more.
        request.extensions_mut().insert(Arc::clone(&running));
        self.answer(request).await.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _until_told = &running;
                frame
            }))
        })
    }

    /// Opens a session, if there is room for one more.
    async fn open(
        &self,
        request: hyper::Request<Full<bytes::Bytes>>,
        address: IpAddr,
        has_key: bool,
    ) -> Response {
        let _turn = self.opening.lock().await;
        if !self.make_room(address, has_key).await {
            let message = "too many sessions of agents are open; end one with DELETE, or wait";
            let full = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message);
            return Problem { retry_after: Some(60), ..full }.into_response();
        }
        let response = self.answer(request).await;
        if let Some(session) = response.headers().get(&SESSION).and_then(|session| session.to_str().ok()) {
            self.opened.lock().enter(session, address, has_key, self.house.desk.now());
        }
        response
    }

    /// Ends sessions that are in the way of another one from this address. `false` where none has to end.
    async fn make_room(&self, address: IpAddr, has_key: bool) -> bool {
        let live: HashSet<String> = {
            let live = self.sessions.sessions.read().await;
            live.keys().map(|session| session.to_string()).collect()
        };
        let now = self.house.desk.now();
        let limits = &self.house.config.limits;
        let busy: HashSet<String> = self.running.lock().iter().map(|(session, _)| session.clone()).collect();
        let idle = {
            let mut opened = self.opened.lock();
            opened.keep(&live);
            if opened.of(address) >= limits.mcp_sessions_per_address {
                return false;
            }
            if opened.len() < limits.mcp_sessions {
                return true;
            }
            opened.idle(&busy, now)
        };
        let is_room = !idle.is_empty();
        for session in idle {
            self.end(session).await;
        }
        let gives = if is_room { return true } else { self.opened.lock().gives_way(&busy, address, has_key) };
        match gives {
            Some(session) => {
                self.end(session).await;
                true
            }
            None => false,
        }
    }

    async fn end(&self, session: String) {
        self.opened.lock().leave(&session);
        // One that has ended by itself meanwhile is no failure.
        let _ = self.sessions.close_session(&session.into()).await;
    }
}

/// Says in everybody's words what the library refuses in a plain text.
async fn worded(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !(status.is_client_error() || status.is_server_error()) || kind.starts_with("application/json") {
        return response;
    }
    let said = to_bytes(response.into_body(), WORD_BYTES_MAX).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let problem = match status {
        StatusCode::NOT_FOUND => {
            Problem::new(status, "not_found", "the session has ended, or there was none")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::bad_request("the body is no message of JSON-RPC 2.0"),
        _ if status.is_server_error() => Problem::internal(),
        _ if said.is_empty() => Problem::new(status, "bad_request", "this is no call of MCP"),
        _ => Problem::new(status, "bad_request", said),
    };
    problem.into_response()
}

/// `POST /mcp`
pub(super) async fn post(State(mcp): State<Arc<Mcp>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let posted = Posted::from_request(Request::from_parts(parts.clone(), body), &mcp.house).await;
    let Posted { body, room } = match posted {
        Ok(posted) => posted,
        Err(response) => return response,
    };
    let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>().copied() else {
        return Problem::internal().into_response();
    };
    if let Err(problem) = admitted(&mcp.house, &parts.headers, peer) {
        return problem.into_response();
    }
    // A name that does not read would be none to whoever keeps the sessions.
    if parts.headers.get(SESSION).is_some_and(|session| session.to_str().is_err()) {
        return Problem::bad_request("the header Mcp-Session-Id is no text").into_response();
    }
    let Message { method, id } = serde_json::from_slice(&body).unwrap_or_default();
    let session = parts.headers.get(SESSION).and_then(|session| session.to_str().ok()).map(str::to_owned);
    let address = caller::address(&mcp.house, &parts.headers, peer);
    // Whoever hangs up in between leaves neither a session that is not counted nor a stream that is not fed.
    let answered = tokio::spawn(async move {
        let _room = room;
        match (session, id) {
            (None, _) if method == "initialize" => {
                let has_key = caller::has_key(&mcp.house, &parts.headers, peer).await;
                let request = hyper::Request::from_parts(parts, Full::new(body));
                mcp.open(request, address, has_key).await
            }
            // An answer to something that was asked of the agent has an id too.
            (Some(session), Some(id)) if !method.is_empty() => {
                let request = hyper::Request::from_parts(parts, Full::new(body));
                mcp.ask(request, (session, id.to_string())).await
            }
            _ => mcp.answer(hyper::Request::from_parts(parts, Full::new(body))).await,
        }
    });
    answered.await.unwrap_or_else(|_| Problem::internal().into_response())
}

/// Refuses what the operator has switched off, and whoever says too much.
fn admitted(house: &House, headers: &HeaderMap, peer: SocketAddr) -> Result<(), Problem> {
    house.switches.check(Feature::Agents)?;
    if house.rates.agent_message(caller::address(house, headers, peer)) {
        return Ok(());
    }
    Err(Problem::rate_limited("too many messages from this address; wait a minute"))
}

/// `GET /mcp`: what the server says of its own accord, which is nothing, in a session.
pub(super) async fn listen(
    State(mcp): State<Arc<Mcp>>,
    ConnectInfo(peer): Peer,
    request: Request,
) -> Response {
    match admitted(&mcp.house, request.headers(), peer) {
        Ok(()) => unbodied(&mcp, request).await,
        Err(problem) => problem.into_response(),
    }
}

/// `DELETE /mcp`: ends a session.
pub(super) async fn end(State(mcp): State<Arc<Mcp>>, request: Request) -> Response {
    let mut response = unbodied(&mcp, request).await;
    // It has ended; some clients take a word that it will for a failure.
    if response.status() == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

async fn unbodied(mcp: &Mcp, request: Request) -> Response {
    if let Err(problem) = caller::origin(&mcp.house, request.headers()) {
        return problem.into_response();
    }
    mcp.answer(request.map(|_| Full::default())).await
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use axum::http::{Method, header};

    use super::*;
    use crate::{config::Config, relay};

    fn initialize() -> Request {
        let message = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18",
            "capabilities":{},"clientInfo":{"name":"a test","version":"1"}}}"#;
        Request::builder()
            .method(Method::POST)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::HOST, "relay")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))))
            .body(Body::from(message))
            .unwrap()
    }

    #[tokio::test]
    async fn a_session_is_counted_wherever_whoever_opens_it_hangs_up() {
        let folder = tempfile::tempdir().unwrap();
        let house = relay::open(Config::parse(&format!("data_dir = {:?}", folder.path())).unwrap()).unwrap();
        let (mut left, mut opened) = (0, 0);
        let mut context = Context::from_waker(Waker::noop());
        for polls in 1..12 {
            let mcp = Arc::new(Mcp::new(Arc::clone(&house), Router::new()));
            let mut call = Box::pin(post(State(Arc::clone(&mcp)), initialize()));
            let mut is_answered = false;
            for _ in 0..polls {
                is_answered = is_answered || call.as_mut().poll(&mut context).is_ready();
                tokio::task::yield_now().await;
            }
            left += usize::from(!is_answered);
            drop(call);
            // What goes on by itself comes to its end.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            let sessions = mcp.sessions.sessions.read().await.len();
            assert_eq!(mcp.opened.lock().len(), sessions, "after {polls} polls");
            opened += sessions;
        }
        assert!(left > 0 && opened > left, "{left} of them hung up, and {opened} sessions were opened");
        let store = house.desk.store().clone();
        tokio::task::spawn_blocking(move || store.stop()).await.unwrap();
    }

    #[tokio::test]
    async fn what_the_library_refuses_in_plain_words_is_an_error_like_every_other() {
        let refused = |status: StatusCode, said: &'static str| {
            let mut response = said.into_response();
            *response.status_mut() = status;
            worded(response)
        };
        for (status, told, code) in [
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, 400, "bad_request"),
            (StatusCode::NOT_ACCEPTABLE, 406, "bad_request"),
            (StatusCode::NOT_FOUND, 404, "not_found"),
            (StatusCode::INTERNAL_SERVER_ERROR, 500, "internal"),
        ] {
            let response = refused(status, "fail to deserialize").await;
            assert_eq!(response.status().as_u16(), told);
            let body = to_bytes(response.into_body(), WORD_BYTES_MAX).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&body["success"], &body["error"]["code"]), (&false.into(), &code.into()));
        }
        assert_eq!(refused(StatusCode::ACCEPTED, "").await.status(), StatusCode::ACCEPTED);
    }
}
