//! Reads server-sent events out of bytes as they arrive, in pieces of any size.
//!
//! It knows lines and events, not what they say. A byte is looked at a fixed number of times,
//! however the stream is cut, and an event that arrives whole is handed out without a copy.

use memchr::memchr2;

/// Most bytes of one line, and of one event's data.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// A line or an event is longer than [`LINE_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of the event stream is longer than {LINE_BYTES_MAX} bytes")]
pub struct Overlong;

/// Reads one event stream.
#[derive(Debug, Default)]
pub struct Sse {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// The data of the event so far, lines joined by line feeds.
    data: Vec<u8>,
    /// Whether the event has a data line yet; an empty one counts.
    has_data: bool,
    /// Whether `data` was handed out and is to be cleared.
    handed_out: bool,
    /// Whether the last byte was a carriage return, whose line feed may still come.
    after_return: bool,
    /// Whether a first line was read, before which a byte order mark may stand.
    begun: bool,
}

impl Sse {
    /// Makes a reader for a new stream.
    pub fn new() -> Sse {
        Sse::default()
    }

    /// Returns the data of the next event of `input` and moves `input` past it; `None` when `input`
    /// is used up. Comments, names, ids and retry hints are passed over.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<&'a [u8]>, Overlong> {
        if std::mem::take(&mut self.handed_out) {
            self.forget_event();
        }
        loop {
            if self.after_return && !input.is_empty() {
                self.after_return = false;
                *input = input.strip_prefix(b"\n").unwrap_or(input);
            }
            let Some(end) = memchr2(b'\n', b'\r', input) else {
                self.carry(input)?;
                *input = &[];
                return Ok(None);
            };
            let line = &input[..end];
            self.after_return = input[end] == b'\r';
            *input = &input[end + 1..];
            if !self.line.is_empty() {
                self.carry(line)?;
                if self.carried_line()? {
                    break;
                }
                continue;
            }
            if line.len() > LINE_BYTES_MAX {
                return Err(Overlong);
            }
            let line = self.without_mark(line);
            if line.is_empty() {
                if self.has_data {
                    break;
                }
                continue;
            }
            let Some(value) = data_value(line) else { continue };
            if !self.has_data && self.skip_blank_line(input) {
                return Ok(Some(value));
            }
            append(&mut self.data, &mut self.has_data, value)?;
        }
        self.handed_out = true;
        Ok(Some(&self.data))
    }

    /// Returns the data of an event whose closing blank line never came, at the end of the stream.
    pub fn last(&mut self) -> Result<Option<&[u8]>, Overlong> {
        if std::mem::take(&mut self.handed_out) {
            self.forget_event();
        }
        if !self.line.is_empty() {
            self.carried_line()?;
        }
        self.handed_out = true;
        Ok(self.has_data.then_some(self.data.as_slice()))
    }

    /// Keeps the beginning of a line.
    fn carry(&mut self, part: &[u8]) -> Result<(), Overlong> {
        if self.line.len() + part.len() > LINE_BYTES_MAX {
            return Err(Overlong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// Reads the carried line, which is never blank, and tells whether it ended the event: it did not,
    /// unless nothing but a byte order mark was carried.
    fn carried_line(&mut self) -> Result<bool, Overlong> {
        let line = std::mem::take(&mut self.line);
        let seen = self.without_mark(&line);
        if seen.is_empty() {
            return Ok(self.has_data);
        }
        if let Some(value) = data_value(seen) {
            append(&mut self.data, &mut self.has_data, value)?;
        }
        self.line = line;
        self.line.clear();
        Ok(false)
    }

    /// Takes the byte order mark off the stream's first line.
    fn without_mark<'l>(&mut self, line: &'l [u8]) -> &'l [u8] {
        if std::mem::replace(&mut self.begun, true) {
            return line;
        }
        line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
    }

    /// Passes over a blank line that lies whole in `input`, and tells whether there was one.
    fn skip_blank_line(&mut self, input: &mut &[u8]) -> bool {
        let mut rest = *input;
        if self.after_return {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        let Some(rest) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) else {
            return false;
        };
        self.after_return = false;
        *input = rest;
        true
    }

    fn forget_event(&mut self) {
        self.data.clear();
        self.has_data = false;
    }
}

/// Returns what a `data:` line says, less one leading space.
fn data_value(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    let Some(value) = rest.strip_prefix(b":") else { return rest.is_empty().then_some(rest) };
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

fn append(data: &mut Vec<u8>, has_data: &mut bool, value: &[u8]) -> Result<(), Overlong> {
    if data.len() + value.len() >= LINE_BYTES_MAX {
        return Err(Overlong);
    }
    if *has_data {
        data.push(b'\n');
    }
    *has_data = true;
    data.extend_from_slice(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a stream that arrives in these pieces.
    fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<Vec<String>, Overlong> {
        let mut sse = Sse::new();
        let mut events = Vec::new();
        for mut piece in pieces {
            while let Some(data) = sse.next(&mut piece)? {
                events.push(String::from_utf8(data.to_vec()).unwrap());
            }
        }
        if let Some(data) = sse.last()? {
            events.push(String::from_utf8(data.to_vec()).unwrap());
        }
        Ok(events)
    }

    #[test]
    fn reads_what_the_format_allows() {
        for (stream, events) in [
            ("", &[][..]),
            ("data: a\n\n", &["a"]),
            ("data:a\n\ndata:  b\n\n", &["a", " b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            ("data\n\ndata:\n\n", &["", ""]),
            (": ping\n\n: ping\n\ndata: a\n\n", &["a"]),
            ("data: a\n: ping\ndata: b\n\n", &["a\nb"]),
            ("event: error\nid: 7\nretry: 10\ndata: a\n\n", &["a"]),
            ("\u{feff}data: a\n\n", &["a"]),
            ("\n\n\ndata: a\n\n\n\n", &["a"]),
            ("database: a\n\n", &[]),
            ("data: a", &["a"]),
            ("data: a\n", &["a"]),
            ("data: ü€😀\n\n", &["ü€😀"]),
        ] {
            assert_eq!(read([stream.as_bytes()]).unwrap(), events, "{stream:?}");
            assert_eq!(read(stream.as_bytes().chunks(1)).unwrap(), events, "{stream:?} byte by byte");
        }
    }

    #[test]
    fn refuses_a_line_past_the_limit_however_it_arrives() {
        let mut stream = b"data: ".to_vec();
        stream.resize(LINE_BYTES_MAX + 1, b'x');
        assert_eq!(read(stream.chunks(4096)), Err(Overlong));
        stream.extend(b"\n\n");
        assert_eq!(read([stream.as_slice()]), Err(Overlong));
        let lines = "data: 0123456789\n".repeat(LINE_BYTES_MAX / 10);
        assert_eq!(read(lines.as_bytes().chunks(1 << 14)), Err(Overlong));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            lines in proptest::collection::vec("(data: ?|: |event: |)[a-z\u{e4}\u{20ac}]{0,6}(\n|\r\n|\r|\n\n)", 0..24),
            cuts in proptest::collection::vec(0usize..400, 0..12),
        ) {
            let stream = lines.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]);
            prop_assert_eq!(read(pieces).unwrap(), read([stream.as_slice()]).unwrap());
        }
    }
}
