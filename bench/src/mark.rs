//! The mark on every token, `~sequence.nanoseconds~`: when it was made, and whether one is missing.

use crate::now_ns;

/// The last bytes of a stream.
pub const END: &str = concat!(
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,",
    "\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n"
);

/// Returns a token stamped with the present moment.
pub fn token(sequence: u32) -> String {
    format!("~{sequence}.{}~", now_ns())
}

/// Returns one chunk of a stream around a token stamped with the present moment.
pub fn chunk(sequence: u32) -> String {
    let role = if sequence == 0 { "\"role\":\"assistant\"," } else { "" };
    let token = token(sequence);
    format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
         \"model\":\"mock\",\"choices\":[{{\"index\":0,\"delta\":{{{role}\"content\":\"{token}\"}},\
         \"finish_reason\":null}}]}}\n\n"
    )
}

/// Finds marks in a stream of bytes, however it is cut.
#[derive(Debug, Default)]
pub struct Marks {
    carry: Vec<u8>,
}

impl Marks {
    /// Takes more bytes and hands on the sequence and the stamp of every mark that is whole.
    pub fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(u32, u64)) {
        let mut joined = std::mem::take(&mut self.carry);
        let bytes = if joined.is_empty() {
            bytes
        } else {
            joined.extend_from_slice(bytes);
            joined.as_slice()
        };
        let mut rest = bytes;
        while let Some(start) = memchr::memchr(b'~', rest) {
            let Some(length) = memchr::memchr(b'~', &rest[start + 1..]) else {
                self.carry = rest[start..].to_vec();
                return;
            };
            if let Some((sequence, stamp)) = parse(&rest[start + 1..start + 1 + length]) {
                found(sequence, stamp);
            }
            rest = &rest[start + length + 2..];
        }
    }
}

fn parse(mark: &[u8]) -> Option<(u32, u64)> {
    let (sequence, stamp) = std::str::from_utf8(mark).ok()?.split_once('.')?;
    Some((sequence.parse().ok()?, stamp.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_however_the_bytes_are_cut() {
        let stream = format!("{}{}{}{END}", chunk(0), chunk(1), chunk(2));
        for cut in 1..stream.len() {
            let mut marks = Marks::default();
            let mut sequences = Vec::new();
            for piece in stream.as_bytes().chunks(cut) {
                marks.feed(piece, |sequence, _| sequences.push(sequence));
            }
            assert_eq!(sequences, [0, 1, 2], "cut every {cut} bytes");
        }
    }
}
