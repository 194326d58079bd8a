//! The one WebSocket to the relay.

use std::rc::Rc;

use rekursing_protocol::SUBPROTOCOL;
use wasm_bindgen::prelude::*;
use web_sys::{CloseEvent, MessageEvent, WebSocket};

use super::Inner;
use crate::agent::{
    Event,
    limits::{UNSENT_BYTES_MAX, UNSENT_BYTES_PAUSE},
};

/// The code of a socket that ended without a closing frame.
const ABNORMAL: u16 = 1006;

/// An open or opening socket. Dropping it lets no further event through.
#[derive(Debug)]
pub(super) struct Socket {
    socket: WebSocket,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

/// Opens a socket in the place of any earlier one.
pub(super) fn open(inner: &Rc<Inner>, url: &str) {
    inner.socket.take();
    let Ok(socket) = WebSocket::new_with_str(url, SUBPROTOCOL) else {
        inner.on(Event::SocketClosed { code: ABNORMAL });
        return;
    };
    let on_open = {
        let inner = Rc::clone(inner);
        Closure::<dyn FnMut()>::new(move || inner.on(Event::SocketOpen))
    };
    let on_message = {
        let inner = Rc::clone(inner);
        Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
            // The link has no binary frames; one is passed over.
            if let Some(text) = message.data().as_string() {
                inner.on(Event::Frame(&text));
            }
        })
    };
    let on_close = {
        let inner = Rc::clone(inner);
        Closure::<dyn FnMut(CloseEvent)>::new(move |close: CloseEvent| {
            inner.on(Event::SocketClosed { code: close.code() });
        })
    };
    socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
    let socket = Socket { socket, _on_open: on_open, _on_message: on_message, _on_close: on_close };
    inner.socket.replace(Some(socket));
}

impl Socket {
    pub(super) fn send(&self, text: &str) {
        // It throws only before the socket is open, and the agent waits for that.
        let _ = self.socket.send_with_str(text);
    }

    /// Tells whether so much waits to leave that jobs are read no further.
    pub(super) fn is_clogged(&self) -> bool {
        self.unsent() > UNSENT_BYTES_PAUSE
    }

    /// Tells whether more waits to leave than is kept.
    pub(super) fn is_stuck(&self) -> bool {
        self.unsent() > UNSENT_BYTES_MAX
    }

    fn unsent(&self) -> usize {
        usize::try_from(self.socket.buffered_amount()).unwrap_or(usize::MAX)
    }

    pub(super) fn close(self, code: u16) {
        let _ = self.socket.close_with_code(code);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}
