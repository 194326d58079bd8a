//! A quick model server: any POST is a chat completion, streamed if it asks for that.
//!
//! It describes itself as llama.cpp's server does, with one model, `mock`, and thousands of slots.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response,
    body::{Body, Frame, Incoming},
    header::HeaderValue,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rekursing_bench::{
    mark, now_ns,
    spec::{Spec, wants_stream},
    timer,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A quick model server.
#[derive(Debug, Parser)]
struct Arguments {
    /// Port to listen on; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    port: u16,
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    tokio::task::LocalSet::new()
        .run_until(async {
            tokio::task::spawn_local(timer::drive());
            serve(listener(arguments.port)?).await
        })
        .await
}

#[expect(clippy::print_stdout, reason = "whoever started it waits for the address")]
fn listener(port: u16) -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(4096)?;
    println!("LISTENING http://{}", listener.local_addr()?);
    Ok(listener)
}

async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (socket, _) = listener.accept().await.context("could not accept")?;
        socket.set_nodelay(true)?;
        tokio::task::spawn_local(connection(socket));
    }
}

async fn connection(socket: TcpStream) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(None);
    // A page that leaves is an ordinary event.
    let _ = server.serve_connection(TokioIo::new(socket), service_fn(answer)).await;
}

async fn answer(request: Request<Incoming>) -> Result<Answer, Infallible> {
    if request.method() == Method::GET {
        return Ok(describe(request.uri().path()));
    }
    let body =
        request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let spec = Spec::find(&body);
    let begin_ns = now_ns() + spec.delay_us * 1_000;
    if wants_stream(&body) {
        let tokens = Tokens { spec, next: 0, due_ns: begin_ns, flushed: true, ended: false };
        return Ok(response("text/event-stream", tokens.boxed()));
    }
    timer::sleep_until(begin_ns).await;
    let token = mark::token(0);
    let json = format!(
        "{{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"mock\",\
         \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{token}\"}},\
         \"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":10,\"completion_tokens\":1,\"total_tokens\":11}}}}"
    );
    Ok(response("application/json", Full::from(json).boxed()))
}

/// Describes a llama.cpp server with as many slots as anybody may want.
fn describe(path: &str) -> Answer {
    let json = match path {
        "/props" => {
            r#"{"default_generation_settings":{"n_ctx":131072},"total_slots":4096,"model_path":"mock.gguf"}"#
        }
        "/v1/models" => r#"{"object":"list","data":[{"id":"mock","object":"model","owned_by":"llamacpp"}]}"#,
        "/health" => r#"{"status":"ok"}"#,
        _ => {
            let mut missing = response("application/json", Full::from("{}").boxed());
            *missing.status_mut() = hyper::StatusCode::NOT_FOUND;
            return missing;
        }
    };
    response("application/json", Full::from(json).boxed())
}

fn response(kind: &'static str, body: BoxBody<Bytes, Infallible>) -> Answer {
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    response
}

/// A stream whose tokens are stamped just before they are written.
struct Tokens {
    spec: Spec,
    next: u32,
    due_ns: u64,
    flushed: bool,
    ended: bool,
}

impl Body for Tokens {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let tokens = &mut *self;
        if tokens.ended {
            return Poll::Ready(None);
        }
        if tokens.next >= tokens.spec.tokens {
            tokens.ended = true;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(mark::END.as_bytes())))));
        }
        let wait_us = if tokens.next == 0 { tokens.spec.delay_us } else { tokens.spec.interval_us };
        if wait_us > 0 {
            if timer::poll_until(tokens.due_ns, context).is_pending() {
                return Poll::Pending;
            }
        } else if !tokens.flushed {
            // Flat out, every token is its own write all the same.
            tokens.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        tokens.flushed = false;
        let chunk = mark::chunk(tokens.next);
        tokens.next += 1;
        // On an absolute schedule nothing drifts.
        tokens.due_ns += tokens.spec.interval_us * 1_000;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(chunk)))))
    }
}
