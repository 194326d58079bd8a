//! Quantisations: how a model's weights are kept, by the name that the server gives.

/// What kind of number a weight is kept as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Integer,
    Float,
    /// A float with the range of 32 bits in 16.
    Brain,
}

/// The beginnings of names, each with what it says.
const PREFIXES: [(&str, Number); 10] = [
    ("IQ", Number::Integer),
    ("Q", Number::Integer),
    ("TQ", Number::Integer),
    ("MXFP", Number::Float),
    ("NVFP", Number::Float),
    ("BF", Number::Brain),
    ("FP", Number::Float),
    ("F", Number::Float),
    ("INT", Number::Integer),
    ("W", Number::Integer),
];

/// The words that stand for any quantisation of their kind and bits, which are those of `OpenRouter`.
const CLASSES: [&str; 8] = ["int4", "int8", "fp4", "fp6", "fp8", "fp16", "bf16", "fp32"];

/// Returns the bits of a weight by a quantisation's name, rounded down: 4 for `Q4_K_M`, `IQ4_XS`, `MXFP4` and
/// `4bit`, 16 for `F16` and `BF16`. `None` for a name that does not say.
pub fn bits(name: &str) -> Option<u8> {
    format(name).map(|(_, bits)| bits)
}

/// Tells whether a quantisation is one that a page has named, in any case. `int4`, `int8`, `fp4`, `fp6`, `fp8`,
/// `fp16`, `bf16` and `fp32` stand for all of this kind and these bits, as `int4` for `Q4_K_M`, and `unknown` for
/// those whose name does not say.
pub fn is(name: &str, wish: &str) -> bool {
    let among = |words: &[&str]| words.iter().any(|word| wish.eq_ignore_ascii_case(word));
    name.eq_ignore_ascii_case(wish)
        || (among(&CLASSES) && format(name).is_some_and(|format| self::format(wish) == Some(format)))
        || (among(&["unknown"]) && format(name).is_none())
}

fn format(name: &str) -> Option<(Number, u8)> {
    let name = name.to_ascii_uppercase();
    let digits = |rest: &str| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok().filter(|bits| (1..=64).contains(bits))
    };
    let by_prefix =
        PREFIXES.iter().find_map(|(prefix, number)| Some((*number, digits(name.strip_prefix(prefix)?)?)));
    by_prefix.or_else(|| {
        let rest = name.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let is_bits = ["BIT", "BITS", "-BIT"].contains(&rest);
        if is_bits { Some((Number::Integer, digits(&name)?)) } else { None }
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

    #[test]
    fn a_class_stands_for_every_name_of_its_kind_and_bits() {
        for (name, wish, same) in [
            ("Q4_K_M", "q4_k_m", true),
            ("Q4_K_M", "Q4_0", false),
            ("Q4_K_M", "int4", true),
            ("4bit", "INT4", true),
            ("MXFP4", "int4", false),
            ("MXFP4", "fp4", true),
            ("Q8_0", "int8", true),
            ("F16", "fp16", true),
            ("BF16", "fp16", false),
            ("BF16", "bf16", true),
            ("best", "int4", false),
            ("best", "unknown", true),
            ("", "unknown", true),
            ("Q8_0", "unknown", false),
            ("Q8_0", "", false),
        ] {
            assert_eq!(is(name, wish), same, "{name} {wish}");
        }
    }
}
