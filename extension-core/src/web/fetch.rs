//! A job's fetch: its answer is read as it arrives, and not read while the agent says so.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::AbortController;

use super::{Inner, body, window};
use crate::agent::{Event, FetchId, Method, Post};

/// How often a clogged socket is looked at, in milliseconds.
const LOOK_EVERY_MS: i32 = 20;

#[derive(Debug)]
pub(super) struct Fetch {
    controller: AbortController,
    paused: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Fetch {
    pub(super) fn pause(&self) {
        self.paused.set(true);
    }

    pub(super) fn resume(&self) {
        self.paused.set(false);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    pub(super) fn abort(&self) {
        self.controller.abort();
        // A reader that waits for room learns of the abort by reading on.
        self.resume();
    }

    async fn until_resumed(&self) {
        poll_fn(|context| {
            if !self.paused.get() {
                return Poll::Ready(());
            }
            self.waiting.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// Begins a fetch. It is known by its name until it ends or is aborted.
pub(super) fn begin(inner: &Rc<Inner>, post: Post) {
    let id = post.id;
    let Ok(controller) = AbortController::new() else {
        inner.on(Event::FetchFailed { id });
        return;
    };
    let fetch = Fetch { controller, paused: Cell::new(false), waiting: RefCell::default() };
    inner.fetches.borrow_mut().insert(id, Rc::new(fetch));
    let inner = Rc::clone(inner);
    spawn_local(async move {
        let ended = run(&inner, &post).await;
        // An aborted fetch is not known any more, and nobody expects to hear of it.
        if inner.fetches.borrow_mut().remove(&id).is_some() {
            inner.on(ended.map_or(Event::FetchFailed { id }, |()| Event::FetchEnd { id }));
        }
    });
}

async fn run(inner: &Rc<Inner>, post: &Post) -> Result<(), JsValue> {
    let id = post.id;
    let fetch = known(inner, id)?;
    let outgoing = body::Outgoing {
        method: Method::Post,
        url: &post.url,
        bearer: post.bearer.as_deref(),
        body: Some(&post.body),
        once: None,
    };
    let response = body::send(&outgoing, &fetch.controller.signal(), &inner.browser).await?;
    let content_type = response.headers().get("Content-Type")?.unwrap_or_default();
    let stream = body::Body::of(&response)?;
    known(inner, id)?;
    inner.on(Event::FetchHead { id, status: response.status(), content_type: &content_type });
    loop {
        fetch.until_resumed().await;
        until_unclogged(inner).await?;
        let Some(bytes) = stream.next().await? else { return Ok(()) };
        known(inner, id)?;
        inner.on(Event::FetchBytes { id, bytes: &bytes });
    }
}

/// Waits while too much waits to leave on the socket. Chrome does not say when that is over, so it
/// is looked at again and again.
async fn until_unclogged(inner: &Inner) -> Result<(), JsValue> {
    while inner.socket.borrow().as_ref().is_some_and(super::socket::Socket::is_clogged) {
        let pause = Promise::new(&mut |resolve, _| {
            let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, LOOK_EVERY_MS);
        });
        JsFuture::from(pause).await?;
    }
    Ok(())
}

/// Returns the fetch unless it was aborted.
fn known(inner: &Inner, id: FetchId) -> Result<Rc<Fetch>, JsValue> {
    inner.fetches.borrow().get(&id).map(Rc::clone).ok_or(JsValue::NULL)
}
