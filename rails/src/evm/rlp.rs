//! Ethereum's encoding of lists and bytes (RLP), as far as a transaction needs it.

/// A list that is being written.
#[derive(Default)]
pub(super) struct List(Vec<u8>);

impl List {
    /// Adds bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut List {
        match bytes {
            [byte] if *byte < 0x80 => self.0.push(*byte),
            _ => {
                head(0x80, bytes.len(), &mut self.0);
                self.0.extend_from_slice(bytes);
            }
        }
        self
    }

    /// Adds a number: its bytes, big end first, without leading zeros.
    pub(super) fn number(&mut self, number: u128) -> &mut List {
        let bytes = number.to_be_bytes();
        self.bytes(&bytes[number.leading_zeros() as usize / 8..])
    }

    /// Adds a long number given as bytes with leading zeros.
    pub(super) fn word(&mut self, word: &[u8]) -> &mut List {
        let zeros = word.iter().take_while(|byte| **byte == 0).count();
        self.bytes(&word[zeros..])
    }

    /// Adds an empty list.
    pub(super) fn empty_list(&mut self) -> &mut List {
        self.0.push(0xc0);
        self
    }

    /// Returns the list with its head.
    pub(super) fn finish(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() + 9);
        head(0xc0, self.0.len(), &mut out);
        out.extend_from_slice(&self.0);
        out
    }
}

fn head(offset: u8, length: usize, out: &mut Vec<u8>) {
    let bytes = length.to_be_bytes();
    let digits = &bytes[length.leading_zeros() as usize / 8..];
    match digits {
        [] => out.push(offset),
        [length] if *length < 56 => out.push(offset + length),
        _ => {
            let count = u8::try_from(digits.len()).expect("a length has at most 8 bytes");
            out.push(offset + 55 + count);
            out.extend_from_slice(digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_numbers_and_lists_are_written_as_the_yellow_paper_has_them() {
        assert_eq!(List::default().bytes(b"dog").0, b"\x83dog");
        assert_eq!(List::default().bytes(b"").0, [0x80]);
        assert_eq!(List::default().bytes(&[0x7f]).0, [0x7f]);
        assert_eq!(List::default().bytes(&[0x80]).0, [0x81, 0x80]);
        assert_eq!(List::default().number(0).0, [0x80]);
        assert_eq!(List::default().number(15).0, [0x0f]);
        assert_eq!(List::default().number(1_024).0, [0x82, 0x04, 0x00]);
        assert_eq!(List::default().word(&[0, 0, 1, 0]).0, [0x82, 0x01, 0x00]);
        assert_eq!(List::default().finish(), [0xc0]);
        assert_eq!(List::default().bytes(b"cat").bytes(b"dog").finish(), b"\xc8\x83cat\x83dog");
        let long = List::default().bytes(&[b'a'; 1_024]).finish();
        assert_eq!(long[..6], [0xf9, 0x04, 0x03, 0xb9, 0x04, 0x00]);
    }
}
