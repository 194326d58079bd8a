//! Pages of the extension that look on, ask the agent to act, and want answers of the relay.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use js_sys::Reflect;
use wasm_bindgen::prelude::*;

use super::{Inner, chrome, json, now, wall, window, zone};
use crate::{
    agent::{Event, Move},
    choices::{Pause, Rest},
};

/// How often figures that change all the time are sent, in milliseconds.
const EVERY_MS: i32 = 500;

#[derive(Debug, Default)]
pub(super) struct Pages {
    open: RefCell<Vec<Page>>,
    next: Cell<u64>,
    /// A later look at the figures is due.
    due: Cell<bool>,
}

#[derive(Debug)]
struct Page {
    id: u64,
    port: chrome::Port,
    _on_gone: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(JsValue)>,
}

/// Sends the state to a page, now and whenever it changes.
pub(super) fn watch(inner: &Rc<Inner>, port: chrome::Port) {
    let id = inner.pages.next.replace(inner.pages.next.get() + 1);
    let on_gone = {
        let inner = Rc::clone(inner);
        Closure::<dyn FnMut()>::new(move || leave(&inner, id))
    };
    let on_message = {
        let inner = Rc::clone(inner);
        Closure::<dyn FnMut(JsValue)>::new(move |message: JsValue| {
            let word = |key: &str| Reflect::get(&message, &key.into()).ok().and_then(|word| word.as_string());
            match word("type").as_deref() {
                Some("retry") => {
                    // The rules are put up anew: what the owner has allowed since counts from now on.
                    inner.found.take();
                    inner.on(Event::Retry);
                }
                Some("renew") => inner.on(Event::Renew),
                Some("look") => inner.on(Event::Look),
                Some("try") => inner.on(Event::TryOut { address: word("address").as_deref() }),
                Some("want") => inner.on(Event::Wanted { page: id, text: &chrome::text(&message) }),
                Some("probe") => inner.on(Event::Probe),
                Some("price") => inner.on(Event::Priced { model: &word("model").unwrap_or_default() }),
                Some("load") => moved(&inner, &word, Move::In),
                Some("unload") => moved(&inner, &word, Move::Out),
                Some("pause") => pause(&word("rest").unwrap_or_default()),
                Some(_) | None => {}
            }
        })
    };
    port.on_disconnect().add_listener(on_gone.as_ref());
    port.on_message().add_listener(on_message.as_ref());
    inner.pages.open.borrow_mut().push(Page { id, port, _on_gone: on_gone, _on_message: on_message });
    changed(inner);
}

/// Has a model loaded or unloaded at the server that the page names.
fn moved(inner: &Rc<Inner>, word: &impl Fn(&str) -> Option<String>, way: Move) {
    if let (Some(address), Some(model)) = (word("address"), word("model")) {
        inner.on(Event::Moved { address: &address, model: &model, way });
    }
}

/// Keeps a pause for as long as the owner asks; the agent hears of it with the other settings.
fn pause(rest: &str) {
    let Ok(rest) = serde_json::from_value::<Rest>(rest.into()) else { return };
    chrome::keep("paused", &json(&Pause::asked(rest, zone(), wall())));
}

/// Forgets a page, in the next turn: its own listener is running.
fn leave(inner: &Rc<Inner>, id: u64) {
    let inner = Rc::clone(inner);
    wasm_bindgen_futures::spawn_local(async move {
        inner.pages.open.borrow_mut().retain(|page| page.id != id);
    });
}

/// Sends the state to every page that looks on, and again later while jobs run.
pub(super) fn changed(inner: &Rc<Inner>) {
    if inner.pages.open.borrow().is_empty() {
        return;
    }
    let state = inner.agent.borrow().state(now());
    let message = chrome::value(&json(&state));
    for page in inner.pages.open.borrow().iter() {
        // A page that has just gone throws; its listener forgets it.
        let _ = page.port.post_message(&message);
    }
    if !state.jobs.is_empty() && !inner.pages.due.replace(true) {
        later(inner);
    }
}

/// Sends a page this JSON text, if the page is still there.
pub(super) fn tell(inner: &Rc<Inner>, id: u64, text: &str) {
    if let Some(page) = inner.pages.open.borrow().iter().find(|page| page.id == id) {
        let _ = page.port.post_message(&chrome::value(text));
    }
}

fn later(inner: &Rc<Inner>) {
    let inner = Rc::clone(inner);
    let look = Closure::once_into_js(move || {
        inner.pages.due.set(false);
        changed(&inner);
    });
    let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(look.unchecked_ref(), EVERY_MS);
}
