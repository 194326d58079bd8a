//! Seen: what of an answer can be seen, which is what is counted of it.
//!
//! Whoever serves an answer could fill it with characters of which nothing is seen, and be paid for each. They are
//! passed on as they are and count nothing. Where such a character changes what its neighbours look like, in scripts
//! that need joiners and in emoji, it is part of the text and counts.

use std::borrow::Cow;

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        Alphabetic, CanonicalCombiningClass, DefaultIgnorableCodePoint, Emoji, EmojiPresentation,
        GeneralCategory, JoiningType,
    },
};

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';
const AS_TEXT: char = '\u{fe0e}';
const AS_EMOJI: char = '\u{fe0f}';

/// Nothing is seen of these, though Unicode does not say so: the blank among the Braille patterns, and marks of
/// annotations.
const BLANK: [char; 4] = ['\u{2800}', '\u{fff9}', '\u{fffa}', '\u{fffb}'];

/// What a text that comes in pieces was up to here.
#[derive(Debug, Default)]
pub struct Seen {
    /// The last character that counts, apart from marks on it.
    before: Option<char>,
    /// A joiner that counts if what comes next can be joined.
    joiner: Option<char>,
}

impl Seen {
    /// Returns what is seen of the next piece, with a joiner of before that it makes one.
    pub fn of<'a>(&mut self, piece: &'a str) -> Cow<'a, str> {
        if self.joiner.is_none() && piece.chars().all(is_plain) {
            self.before = piece.chars().next_back().or(self.before);
            return Cow::Borrowed(piece);
        }
        let mut seen = String::with_capacity(piece.len() + JOINER.len_utf8());
        for character in piece.chars() {
            self.take(character, &mut seen);
        }
        Cow::Owned(seen)
    }

    fn take(&mut self, character: char, seen: &mut String) {
        let before = self.before;
        match character {
            NON_JOINER | JOINER => {
                self.joiner = self
                    .joiner
                    .or_else(|| before.filter(|before| may_join(character, *before)).map(|_| character));
            }
            AS_TEXT | AS_EMOJI => {
                if before.is_some_and(has_two_styles) {
                    seen.push(character);
                    self.before = Some(character);
                }
            }
            hidden if is_hidden(hidden) => {}
            _ => {
                if let Some(joiner) = self.joiner.take()
                    && before.is_some_and(|before| joins(joiner, before, character))
                {
                    seen.push(joiner);
                }
                seen.push(character);
                if is_virama(character) || joining(character) != JoiningType::Transparent {
                    self.before = Some(character);
                }
            }
        }
    }
}

/// Tells whether a character is seen or is white space, and is none that is looked at together with others.
fn is_plain(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='~')
        || (character > '~' && character < '\u{300}' && !is_hidden(character))
}

fn is_hidden(character: char) -> bool {
    let is_control = CodePointMapData::<GeneralCategory>::new().get(character) == GeneralCategory::Control;
    let is_ignored = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character);
    (is_control && !matches!(character, '\t' | '\n' | '\r')) || is_ignored || BLANK.contains(&character)
}

/// Tells whether a joiner behind this character may change something.
fn may_join(joiner: char, before: char) -> bool {
    let is_letter = joiner == NON_JOINER && joining(before) == JoiningType::DualJoining;
    let is_emoji = joiner == JOINER && (before == AS_EMOJI || is_emoji(before));
    is_virama(before) || is_letter || is_emoji
}

/// Tells whether a joiner between these two changes how they look.
fn joins(joiner: char, before: char, next: char) -> bool {
    if is_virama(before) {
        return CodePointSetData::new::<Alphabetic>().contains(next);
    }
    if joiner == NON_JOINER {
        return matches!(joining(next), JoiningType::DualJoining | JoiningType::RightJoining);
    }
    is_emoji(next)
}

fn joining(character: char) -> JoiningType {
    CodePointMapData::<JoiningType>::new().get(character)
}

fn is_virama(character: char) -> bool {
    CodePointMapData::<CanonicalCombiningClass>::new().get(character) == CanonicalCombiningClass::Virama
}

/// Digits and the like are emoji only with more behind them.
fn is_emoji(character: char) -> bool {
    !character.is_ascii() && CodePointSetData::new::<Emoji>().contains(character)
}

/// Tells whether a character is an emoji only if a selector says so.
fn has_two_styles(character: char) -> bool {
    is_emoji(character) && !CodePointSetData::new::<EmojiPresentation>().contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> String {
        let whole = Seen::default().of(text).into_owned();
        let (mut seen, mut letters) = (Seen::default(), String::new());
        for letter in text.chars() {
            letters += &seen.of(letter.encode_utf8(&mut [0; 4]));
        }
        assert_eq!(letters, whole, "letter by letter {text:?} is seen as the whole is");
        whole
    }

    #[test]
    fn what_nobody_sees_is_no_part_of_an_answer() {
        for (kind, hidden) in [
            ("zero-width spaces", "\u{200b}\u{2060}\u{feff}\u{180e}"),
            ("joiners", "\u{200c}\u{200d}\u{34f}"),
            ("marks of direction", "\u{200e}\u{200f}\u{202e}\u{2066}\u{2069}\u{61c}"),
            ("selectors", "\u{fe00}\u{fe0e}\u{fe0f}\u{e0100}\u{e01ef}\u{180b}"),
            ("tags", "\u{e0001}\u{e0041}\u{e007f}"),
            ("fillers", "\u{115f}\u{1160}\u{3164}\u{ffa0}\u{2800}\u{ad}"),
            ("operators and annotations", "\u{2061}\u{2064}\u{fff9}\u{fffb}"),
            ("controls", "\0\u{8}\u{1b}\u{7f}\u{85}"),
        ] {
            for padded in [
                format!("a{hidden}b"),
                format!("{hidden}ab{hidden}"),
                format!("a{}b", hidden.repeat(1_000)),
                hidden.chars().map(|one| format!("{one}{one}")).collect::<String>() + "ab",
            ] {
                assert_eq!(seen(&padded), "ab", "{kind}");
            }
        }
        assert_eq!(
            seen("1\u{fe0f} 😀\u{fe0f}\u{fe0f}. م\u{200c} ا\u{200c}ب"),
            "1 😀. م اب",
            "nor where nothing changes by it"
        );
    }

    #[test]
    fn scripts_that_need_joiners_and_emoji_count_as_they_are_written() {
        for text in [
            "fn main() {\r\n\tprintln!(\"Zoë – 5 €\");\n}",
            "می\u{200c}شود",
            "كِتَاب",
            "हिन्दी क्\u{200d}ष क्\u{200c}ष",
            "ශ්\u{200d}රී",
            "日本語、中文。한국어 ไทย",
            "👩\u{200d}💻 ❤\u{fe0f}\u{200d}🔥 🏳\u{fe0f}\u{200d}🌈 👍🏽 👨\u{200d}👩\u{200d}👧",
            "e\u{301}a\u{308}",
        ] {
            assert_eq!(seen(text), text);
        }
    }
}
