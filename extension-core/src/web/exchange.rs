//! Short HTTP exchanges: a question, a whole answer, a time limit.

use std::rc::Rc;

use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::AbortSignal;

use super::{Inner, body};
use crate::agent::{Answer, Ask, Errand, Event, Method};

pub(super) fn begin(inner: &Rc<Inner>, ask: Ask) {
    let method = if ask.body.is_some() { Method::Post } else { Method::Get };
    begin_errand(inner, Errand { ask, method, once: None });
}

pub(super) fn begin_errand(inner: &Rc<Inner>, errand: Errand) {
    let inner = Rc::clone(inner);
    spawn_local(async move {
        let reply = run(&errand).await.ok().flatten();
        let answer = match &reply {
            Some((status, body)) => Answer::Reply { status: *status, body },
            None => Answer::Failed,
        };
        inner.on(Event::Answered { id: errand.ask.id, answer });
    });
}

/// Returns status and body, or nothing when the body is longer than allowed.
async fn run(errand: &Errand) -> Result<Option<(u16, Vec<u8>)>, JsValue> {
    let Errand { ask, method, once } = errand;
    let limit = u32::try_from(ask.timeout.0).unwrap_or(u32::MAX);
    let signal = AbortSignal::timeout_with_u32(limit);
    let outgoing = body::Outgoing {
        method: *method,
        url: &ask.url,
        bearer: ask.bearer.as_deref(),
        body: ask.body.as_deref(),
        once: once.as_deref(),
    };
    let response = body::send(&outgoing, &signal).await?;
    let stream = body::Body::of(&response)?;
    let mut whole = Vec::new();
    while let Some(piece) = stream.next().await? {
        whole.extend_from_slice(&piece);
        if whole.len() > ask.answer_bytes_max {
            stream.cancel();
            return Ok(None);
        }
    }
    Ok(Some((response.status(), whole)))
}
