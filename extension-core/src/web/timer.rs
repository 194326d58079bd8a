//! The one timer that wakes the agent when nothing else happens.

use std::{cell::RefCell, rc::Rc};

use rekursing_protocol::Moment;
use wasm_bindgen::prelude::*;

use super::{Inner, clock, now, window};
use crate::agent::Event;

#[derive(Debug, Default)]
pub(super) struct Timer(RefCell<Option<Armed>>);

#[derive(Debug)]
struct Armed {
    at: Moment,
    handle: i32,
    _ring: Closure<dyn FnMut()>,
}

impl Timer {
    /// Sets the timer to a moment, or stops it.
    pub(super) fn set(&self, inner: &Rc<Inner>, at: Option<Moment>) {
        if self.0.borrow().as_ref().map(|armed| armed.at) == at {
            return;
        }
        if let Some(armed) = self.0.take() {
            window().clear_timeout_with_handle(armed.handle);
        }
        if let Some(at) = at {
            self.0.replace(arm(inner, at));
        }
    }
}

fn arm(inner: &Rc<Inner>, at: Moment) -> Option<Armed> {
    let ring = {
        let inner = Rc::clone(inner);
        Closure::<dyn FnMut()>::new(move || {
            // The closure that runs must outlive this call, so it is forgotten in the next turn only.
            if let Some(armed) = inner.timer.0.borrow_mut().as_mut() {
                armed.at = Moment(0);
            }
            // The computer may have slept, or its clock been set.
            inner.on(Event::Noticed(clock()));
            inner.on(Event::Tick);
        })
    };
    let wait = i32::try_from(at.since(now()).0).unwrap_or(i32::MAX);
    let handle = window()
        .set_timeout_with_callback_and_timeout_and_arguments_0(ring.as_ref().unchecked_ref(), wait)
        .ok()?;
    Some(Armed { at, handle, _ring: ring })
}
