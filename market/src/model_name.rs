//! Names of models: when two of them mean the same model.
//!
//! Servers name one model in many ways: `Qwen/Qwen2.5-7B-Instruct-GGUF`, `qwen2.5-7b-instruct@q4_k_m`,
//! `qwen2.5:7b-instruct`, `Qwen2.5-7B-Instruct-Q4_K_M.gguf`. The *plain* name is what is left when
//! everything is taken away that does not say which model it is:
//!
//! 1. letters are lower case; spaces and underscores are hyphens;
//! 2. folders and publishers before the last `/` go, and so does the ending `.gguf`;
//! 3. the tag `:latest` goes; every other tag and variant (`:7b`, `@q4_k_m`) is joined by a hyphen;
//! 4. from the end go, as often as they occur: packaging (`gguf`, `mlx`, `awq`, `gptq`, `exl2`), a part
//!    of a split file (`00001-of-00003`) and quantisations (`q4_k_m`, `iq2_xs`, `q8_0`, `ud-q4_k_xl`,
//!    `4bit`, `fp16`, `bf16`, `fp8`, `int4`, `mxfp4`).
//!
//! A name that says more than its family is *specific*: a page that asks for one gets exactly that name
//! while somebody offers it, and else the family.
//!
//! The *family* is the plain name without hyphens between a letter and a digit, since `llama-3.2-3b`
//! and `llama3.2:3b` are one. What says which model it is stays: the size, `instruct`, `coder`, `base`,
//! a version or a date. So `instruct` is never guessed: a base model answers chats badly.

/// Returns the plain name, for readers.
pub fn plain(name: &str) -> String {
    let mut name = once(name);
    // A quantisation behind a dot may hide another one; names that go on for longer are no models'.
    for _ in 0..4 {
        match name {
            Ok(plain) => return plain,
            Err(stem) => name = once(&stem),
        }
    }
    name.unwrap_or_else(|stem| stem)
}

/// Takes the packaging away; an error is a stem that had a quantisation behind a dot.
fn once(name: &str) -> Result<String, String> {
    let mut name = name.trim().to_lowercase().replace([' ', '_'], "-");
    if let Some(cut) = name.trim_end_matches('/').rfind('/') {
        name.drain(..=cut);
    }
    let name = name.strip_suffix(".gguf").unwrap_or(&name);
    let name = name.strip_suffix(":latest").unwrap_or(name);
    let name = name.replace([':', '@'], "-");
    let mut words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    while words.len() > 1 {
        match trailing_label(&words) {
            0 => break,
            label => words.truncate(words.len() - label),
        }
    }
    // `model.Q4_K_M.gguf`: the quantisation behind a dot.
    let joined = words.join("-");
    match joined.rsplit_once('.') {
        Some((stem, label)) if !stem.is_empty() && is_quantization(&label.split('-').collect::<Vec<_>>()) => {
            Err(stem.to_owned())
        }
        Some(_) | None => Ok(joined),
    }
}

/// Returns what two names have in common exactly when they mean the same model.
pub fn family(name: &str) -> String {
    let plain = plain(name);
    let mut family = String::with_capacity(plain.len());
    let mut rest = plain.chars().peekable();
    while let Some(character) = rest.next() {
        let after_letter = family.ends_with(|last: char| last.is_ascii_alphabetic());
        let before_digit = rest.peek().is_some_and(char::is_ascii_digit);
        if !(character == '-' && after_letter && before_digit) {
            family.push(character);
        }
    }
    family
}

/// Tells whether a name says more than its family, such as a publisher or a quantisation. Who asks for
/// that much gets exactly that while somebody offers it.
pub fn is_specific(name: &str) -> bool {
    let letters = |text: &str| -> String {
        let text = text.to_lowercase();
        let text = text.trim().strip_suffix(":latest").unwrap_or(text.trim());
        text.chars().filter(|character| character.is_alphanumeric() || *character == '.').collect()
    };
    letters(name) != letters(&plain(name))
}

/// Returns how many words at the end say how the model is packed and not which one it is.
fn trailing_label(words: &[&str]) -> usize {
    let count = words.len();
    let last = words[count - 1];
    if matches!(last, "gguf" | "mlx" | "awq" | "gptq" | "exl2" | "latest") {
        return 1;
    }
    let is_part = |word: &str| word.len() == 5 && word.bytes().all(|byte| byte.is_ascii_digit());
    if count > 3 && is_part(last) && words[count - 2] == "of" && is_part(words[count - 3]) {
        return 3;
    }
    // The longest label first, and at least one word is left for the model.
    (1..=4.min(count - 1)).rev().find(|length| is_quantization(&words[count - length..])).unwrap_or(0)
}

/// Tells whether the words are one quantisation: `q4 k m`, `iq2 xs`, `q8 0`, `ud q4 k xl`, `4bit`, `bf16`.
fn is_quantization(words: &[&str]) -> bool {
    let words = match words {
        ["ud", rest @ ..] => rest,
        whole => whole,
    };
    let [first, rest @ ..] = words else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let after = |prefix: &str| first.strip_prefix(prefix).is_some_and(digits);
    if after("q") || after("iq") || after("tq") {
        return rest.iter().all(|word| {
            matches!(*word, "k" | "s" | "m" | "l" | "xl" | "xs" | "xxs" | "nl") || matches!(*word, "0" | "1")
        });
    }
    let alone = matches!(*first, "f16" | "f32" | "fp16" | "fp32" | "bf16" | "fp8" | "int8" | "int4")
        || matches!(*first, "mxfp4" | "nvfp4")
        || first.strip_suffix("bit").is_some_and(digits);
    alone && rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_away_what_does_not_say_which_model_it_is() {
        for (name, expected) in [
            ("Qwen/Qwen2.5-7B-Instruct-GGUF", "qwen2.5-7b-instruct"),
            ("qwen2.5-7b-instruct@q4_k_m", "qwen2.5-7b-instruct"),
            ("qwen2.5:7b-instruct", "qwen2.5-7b-instruct"),
            ("qwen2.5:7b-instruct-q4_K_M", "qwen2.5-7b-instruct"),
            ("Qwen2.5-7B-Instruct-Q4_K_M.gguf", "qwen2.5-7b-instruct"),
            ("Qwen2.5-7B-Instruct.Q4_K_M.gguf", "qwen2.5-7b-instruct"),
            ("models/sub/qwen2.5-7b-instruct-fp16-00001-of-00004.gguf", "qwen2.5-7b-instruct"),
            ("unsloth/gemma-3-12b-it-GGUF:UD-Q4_K_XL", "gemma-3-12b-it"),
            ("mlx-community/Llama-3.2-3B-Instruct-4bit", "llama-3.2-3b-instruct"),
            ("TheBloke/Mistral-7B-Instruct-v0.2-AWQ", "mistral-7b-instruct-v0.2"),
            ("llama3.2:latest", "llama3.2"),
            ("SmolLM2-135M-Instruct-Q8_0.gguf", "smollm2-135m-instruct"),
            ("gpt-oss-20b-MXFP4", "gpt-oss-20b"),
            ("text-embedding-nomic-embed-text-v1.5@q8_0", "text-embedding-nomic-embed-text-v1.5"),
            ("deepseek-r1-distill-qwen-7b-iq2_xs", "deepseek-r1-distill-qwen-7b"),
            ("  Phi 4 ", "phi-4"),
            ("q4_k_m", "q4-k-m"),
            ("x-q4_0.Q8_0", "x"),
            ("gguf", "gguf"),
            ("", ""),
        ] {
            assert_eq!(plain(name), expected, "{name}");
        }
    }

    #[test]
    fn names_of_one_model_are_one_family() {
        for (one, other) in [
            ("qwen2.5-7b-instruct", "Qwen/Qwen2.5-7B-Instruct-GGUF"),
            ("llama3.2:3b", "Llama-3.2-3B"),
            ("phi3:14b", "phi-3-14b"),
            ("mistral:7b-instruct-v0.2-q8_0", "TheBloke/Mistral-7B-Instruct-v0.2-GPTQ"),
            ("GEMMA-3-12B-IT", "gemma3:12b-it"),
        ] {
            assert_eq!(family(one), family(other), "{one} {other}");
        }
    }

    #[test]
    fn different_models_stay_apart() {
        for (one, other) in [
            ("qwen2.5-7b", "qwen2.5-7b-instruct"),
            ("qwen2.5-7b-instruct", "qwen2.5-14b-instruct"),
            ("qwen2.5-coder-7b", "qwen2.5-7b"),
            ("qwen2-57b", "qwen25-7b"),
            ("mistral-7b-instruct-v0.2", "mistral-7b-instruct-v0.3"),
            ("llama3.2", "llama3.2:3b"),
        ] {
            assert_ne!(family(one), family(other), "{one} {other}");
        }
    }

    #[test]
    fn a_name_is_specific_when_it_says_more_than_its_family() {
        for (name, specific) in [
            ("qwen2.5-7b-instruct", false),
            ("Qwen2.5 7B Instruct", false),
            ("qwen2.5:7b-instruct", false),
            ("llama3.2:latest", false),
            ("Qwen/Qwen2.5-7B-Instruct", true),
            ("qwen2.5-7b-instruct-q8_0", true),
            ("qwen2.5-7b-instruct@q8_0", true),
        ] {
            assert_eq!(is_specific(name), specific, "{name}");
        }
    }

    #[test]
    fn a_plain_name_is_its_own_plain_name() {
        for name in ["Qwen/Qwen2.5-7B-Instruct-GGUF", "a-q4_0-q8_0", "x:latest", "gemma3:12b-it-q4_K_M"] {
            let once = plain(name);
            assert_eq!(plain(&once), once);
        }
    }
}
