//! Reading server-sent events as a page does: nothing of ours, so that a mistake of ours shows.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name; `message` when the server gave none.
    pub name: String,
    /// Its data lines, joined.
    pub data: String,
}

/// What has been read and is not an event yet.
#[derive(Debug, Default)]
pub struct Reader {
    pending: Vec<u8>,
    /// Whether the byte before was a carriage return.
    returned: bool,
}

impl Reader {
    /// Takes more bytes. A line ends with a line feed, a carriage return, or both.
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.returned => {}
                b'\n' | b'\r' => self.pending.push(b'\n'),
                byte => self.pending.push(*byte),
            }
            self.returned = *byte == b'\r';
        }
    }

    /// Returns the next whole event; comments are passed over.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let end = self.pending.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.pending.drain(..end + 2).collect();
            if let Some(event) = parse(&String::from_utf8_lossy(&block)) {
                return Some(event);
            }
        }
    }
}

fn parse(block: &str) -> Option<Event> {
    let mut name = "message".to_owned();
    let mut data: Option<String> = None;
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => match &mut data {
                Some(text) => {
                    text.push('\n');
                    text.push_str(value);
                }
                None => data = Some(value.to_owned()),
            },
            _ => {}
        }
    }
    data.map(|data| Event { name, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        let wire = b": beat\n\nevent: token\r\ndata: {\"text\":\"a\"}\r\n\r\ndata: one\ndata: two\n\n";
        for cut in 1..wire.len() {
            let mut reader = Reader::default();
            let mut seen = Vec::new();
            for piece in wire.chunks(cut) {
                reader.feed(piece);
                seen.extend(std::iter::from_fn(|| reader.next_event()));
            }
            let event = |name: &str, data: &str| Event { name: name.into(), data: data.into() };
            assert_eq!(seen, [event("token", "{\"text\":\"a\"}"), event("message", "one\ntwo")]);
        }
    }

    #[test]
    fn a_carriage_return_alone_ends_a_line_too() {
        let mut reader = Reader::default();
        reader.feed(b"data: one\revent: token\r\rdata: two\n\n");
        let seen: Vec<_> = std::iter::from_fn(|| reader.next_event()).collect();
        let event = |name: &str, data: &str| Event { name: name.into(), data: data.into() };
        assert_eq!(seen, [event("token", "one"), event("message", "two")]);
    }
}
