//! How much work a prompt is, by an estimate: only its server can count its tokens.

/// Bytes of UTF-8 to a token, as a relay counts where it knows no tokenizer.
const BYTES_PER_TOKEN: u64 = 4;

/// Characters to a token that no vocabulary gets beyond over a whole prompt, in whatever language.
const CHARS_PER_TOKEN_MAX: u64 = 10;

/// Characters of a request that belong to its JSON and not to the prompt.
const FRAME_CHARS: u64 = 1_024;

/// Characters in a row that are the same count singly up to here, and then one in so many: vocabularies have
/// tokens for long runs of blanks and lines.
const RUN_CHARS: u32 = 4;
const RUN_CHARS_PER_ONE: u32 = 16;

/// Tokens of an image or a sound, and the fewest.
const MEDIUM_TOKENS: u64 = 1_000;
const MEDIUM_TOKENS_MIN: u64 = 64;

/// How much there is to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    bytes: u64,
    chars: u64,
    /// Images and sounds.
    media: u64,
}

impl Weight {
    /// Weighs the texts of a JSON text, with its signs.
    pub(super) fn of(json: &str) -> Weight {
        let mut weight = Weight::default();
        let (mut last, mut run) = ('\0', 0_u32);
        let mut rest = json.chars();
        while let Some(mut sign) = rest.next() {
            if sign == '\\' {
                sign = escaped(&mut rest);
            }
            run = if sign == last { run.saturating_add(1) } else { 0 };
            last = sign;
            weight.bytes += sign.len_utf8() as u64;
            weight.chars += u64::from(run < RUN_CHARS || run.is_multiple_of(RUN_CHARS_PER_ONE));
        }
        weight
    }

    /// Leaves out a text of the same JSON that is an image or a sound, and counts that.
    pub(super) fn but_medium(self, Medium { text, count }: Medium) -> Weight {
        Weight {
            bytes: self.bytes.saturating_sub(text.bytes),
            chars: self.chars.saturating_sub(text.chars),
            media: self.media + count,
        }
    }

    /// Returns about how many tokens it is.
    pub fn tokens(self) -> u64 {
        self.bytes.div_ceil(BYTES_PER_TOKEN) + self.media * MEDIUM_TOKENS
    }

    /// Returns how many tokens it is whatever the vocabulary.
    pub fn tokens_at_least(self) -> u64 {
        self.chars.saturating_sub(FRAME_CHARS) / CHARS_PER_TOKEN_MAX + self.media * MEDIUM_TOKENS_MIN
    }
}

/// Images and sounds inside a request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Medium {
    text: Weight,
    count: u64,
}

impl Medium {
    /// Counts one more, which is written so.
    pub(super) fn add(&mut self, json: &str) {
        let Weight { bytes, chars, .. } = Weight::of(json);
        self.text.bytes += bytes;
        self.text.chars += chars;
        self.count += 1;
    }
}

/// Reads what follows a backslash. Half of a pair of surrogates counts as a character of three bytes.
fn escaped(rest: &mut std::str::Chars<'_>) -> char {
    match rest.next().unwrap_or_default() {
        'u' => {
            let code = rest.by_ref().take(4).filter_map(|digit| digit.to_digit(16));
            let code = code.fold(0, |code, digit| code * 16 + digit);
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_text_weighs_what_it_says() {
        let plain = Weight::of("\"ä\u{4e16}x\"");
        assert_eq!(Weight::of(r#""\u00e4\u4e16\u0078""#), plain);
        assert_eq!((plain.bytes, plain.chars), (8, 5));
        assert_eq!(Weight::of(r#"\"#).chars, 1);
        assert_eq!(Weight::of(r#"\u12"#).chars, 1);
    }

    #[test]
    fn an_image_weighs_the_same_however_large_it_is() {
        let mut media = Medium::default();
        let image = format!("\"data:image/png;base64,{}\"", "QUJD".repeat(10_000));
        media.add(&image);
        let whole = Weight::of(&format!("\"look\"{image}")).but_medium(media);
        assert_eq!((whole.tokens(), whole.tokens_at_least()), (2 + MEDIUM_TOKENS, MEDIUM_TOKENS_MIN));
    }
}
