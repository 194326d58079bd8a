//! Bytes as hexadecimal text.

/// Writes bytes in lower case.
pub(crate) fn encode(bytes: &[u8]) -> String {
    use std::fmt::Write;

    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads bytes in either case; `None` for anything else than pairs of digits.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pairs_of_digits_and_nothing_else() {
        assert_eq!(decode("00fF7a"), Some(vec![0, 255, 0x7a]));
        assert_eq!(decode(""), Some(Vec::new()));
        for bad in ["0", "0x", "+1", "éa", "0g"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[cfg(feature = "evm")]
    #[test]
    fn writes_lower_case() {
        assert_eq!(encode(&[0, 255, 0x7a]), "00ff7a");
    }
}
