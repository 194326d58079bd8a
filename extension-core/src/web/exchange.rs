//! Short HTTP exchanges: a question, a whole answer, a time limit.

use std::rc::Rc;

use rekursing_protocol::Moment;
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
        let reply = run(&inner, &errand).await.ok().flatten();
        let id = errand.ask.id;
        if let Some(at) = reply.as_ref().and_then(|reply| reply.date) {
            inner.on(Event::Dated { id, at });
        }
        let answer = match &reply {
            Some(Whole { status, body, .. }) => Answer::Reply { status: *status, body },
            None => Answer::Failed,
        };
        inner.on(Event::Answered { id, answer });
    });
}

/// A whole answer.
struct Whole {
    status: u16,
    body: Vec<u8>,
    /// When it was written, by the other end's clock.
    date: Option<Moment>,
}

/// Returns what was answered, or nothing when the body is longer than allowed.
async fn run(inner: &Inner, errand: &Errand) -> Result<Option<Whole>, JsValue> {
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
    let response = body::send(&outgoing, &signal, &inner.browser).await?;
    let stream = body::Body::of(&response)?;
    let mut whole = Vec::new();
    while let Some(piece) = stream.next().await? {
        whole.extend_from_slice(&piece);
        if whole.len() > ask.answer_bytes_max {
            stream.cancel();
            return Ok(None);
        }
    }
    let date = response.headers().get("Date")?.and_then(|text| moment(&text));
    Ok(Some(Whole { status: response.status(), body: whole, date }))
}

/// Reads HTTP's form of a moment.
fn moment(text: &str) -> Option<Moment> {
    let millis = js_sys::Date::parse(text);
    if millis.is_nan() || millis < 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    Some(Moment(millis as u64))
}
