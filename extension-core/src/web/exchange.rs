//! Short HTTP exchanges: a question, a whole answer, a time limit.

use std::rc::Rc;

use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use web_sys::AbortSignal;

use super::{Inner, body};
use crate::agent::{Answer, Ask, Event};

pub(super) fn begin(inner: &Rc<Inner>, ask: Ask) {
    let inner = Rc::clone(inner);
    spawn_local(async move {
        let reply = run(&ask).await.ok().flatten();
        let answer = match &reply {
            Some((status, body)) => Answer::Reply { status: *status, body },
            None => Answer::Failed,
        };
        inner.on(Event::Answered { id: ask.id, answer });
    });
}

/// Returns status and body, or nothing when the body is longer than allowed.
async fn run(ask: &Ask) -> Result<Option<(u16, Vec<u8>)>, JsValue> {
    let limit = u32::try_from(ask.timeout.0).unwrap_or(u32::MAX);
    let signal = AbortSignal::timeout_with_u32(limit);
    let response = body::send(&ask.url, ask.bearer.as_deref(), ask.body.as_deref(), &signal).await?;
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
