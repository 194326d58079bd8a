//! Quantisations: how many bits a weight keeps, by the name that the server gives.

/// Returns the bits of a weight by a quantisation's name, rounded down: 4 for `Q4_K_M`, `IQ4_XS`, `MXFP4` and
/// `4bit`, 16 for `F16` and `BF16`. `None` for a name that does not say.
pub fn bits(name: &str) -> Option<u8> {
    let name = name.to_ascii_uppercase();
    let digits = |rest: &str| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|bits| (1..=64).contains(bits))
    };
    let prefixes = ["IQ", "Q", "TQ", "MXFP", "NVFP", "BF", "FP", "F", "INT", "W"];
    let by_prefix = prefixes.iter().find_map(|prefix| digits(name.strip_prefix(prefix)?));
    by_prefix.or_else(|| {
        let rest = name.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let is_bits = ["BIT", "BITS", "-BIT"].contains(&rest);
        if is_bits { digits(&name) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_bits() {
        for (name, bits_of) in [
            ("Q4_K_M", Some(4)),
            ("q8_0", Some(8)),
            ("IQ2_XS", Some(2)),
            ("F16", Some(16)),
            ("BF16", Some(16)),
            ("fp8", Some(8)),
            ("MXFP4", Some(4)),
            ("4bit", Some(4)),
            ("8-bit", Some(8)),
            ("int8", Some(8)),
            ("", None),
            ("best", None),
            ("Q", None),
            ("Q999", None),
        ] {
            assert_eq!(bits(name), bits_of, "{name}");
        }
    }
}
