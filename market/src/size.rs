//! A model's size, as its name says it: `7b`, `135m`, `8x7b`, `30b-a3b`, `e4b`.

use crate::model_name;

/// Returns the billions of parameters by which a model counts; `None` where its name does not say.
///
/// A mixture of experts of which only a part works at each token (`30b-a3b`) counts as the geometric mean of the
/// whole and that part, the usual rule of thumb.
pub(crate) fn billions(name: &str) -> Option<f64> {
    let plain = model_name::plain(name);
    let mut words = plain.split('-');
    let whole = words.find_map(whole)?;
    let active = words.find_map(|word| number(word.strip_prefix('a')?.strip_suffix('b')?));
    Some(active.map_or(whole, |active| (whole * active.min(whole)).sqrt()))
}

/// Reads a word that is a size.
fn whole(word: &str) -> Option<f64> {
    if let Some(millions) = word.strip_suffix('m') {
        return Some(number(millions)? / 1_000.0);
    }
    let size = word.strip_suffix('b')?;
    if let Some((experts, each)) = size.split_once('x') {
        return Some(number(experts)? * number(each)?);
    }
    number(size.strip_prefix('e').unwrap_or(size))
}

/// Reads a decimal number above 0 of at most six characters.
fn number(text: &str) -> Option<f64> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = text.parse().ok().filter(|_| is_decimal && text.len() <= 6)?;
    (number > 0.0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_size_or_says_nothing() {
        for (name, expected) in [
            ("qwen2.5-7b-instruct@q4_k_m", Some(7.0)),
            ("SmolLM2-135M-Instruct-Q8_0.gguf", Some(0.135)),
            ("llama3.2:3b", Some(3.0)),
            ("qwen2.5:0.5b", Some(0.5)),
            ("mixtral-8x7b-instruct", Some(56.0)),
            ("gemma-3n-e4b-it", Some(4.0)),
            ("Qwen3-30B-A3B", Some(90_f64.sqrt())),
            ("phi-4", None),
            ("gpt-oss", None),
            ("a3b", None),
            ("0b", None),
            ("nanb", None),
            ("1e9b", None),
            ("", None),
        ] {
            assert_eq!(billions(name), expected, "{name}");
        }
    }
}
