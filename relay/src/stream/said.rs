//! What an answer has said, kept for whoever may have to go on with it.

use crate::memory::{KIB, Room};

/// Longest text, in bytes, with which somebody else goes on.
const SAID_BYTES_MAX: usize = 64 << 10;

/// The text, and its room in the relay's memory.
#[derive(Debug)]
pub(crate) struct Said {
    text: String,
    room: Room,
}

impl Said {
    /// Begins without any text, in the memory in which the request has its room.
    pub(crate) fn beside(request: &Room) -> Option<Said> {
        Some(Said { text: String::new(), room: request.spare(0)? })
    }

    /// Adds text. `false` where it is too long now, or there is no room for it: then it is of no use any more.
    pub(crate) fn push(&mut self, text: &str) -> bool {
        let bytes = self.text.len() + text.len();
        if bytes > SAID_BYTES_MAX {
            return false;
        }
        if bytes > self.text.capacity() {
            let capacity = bytes.next_multiple_of(KIB);
            if !self.room.grow(capacity) {
                return false;
            }
            self.text.reserve_exact(capacity - self.text.len());
        }
        self.text.push_str(text);
        true
    }

    /// Returns the text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}
