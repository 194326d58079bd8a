//! Seen: what of an answer can be seen, which is what is paid of it.
//!
//! Whoever serves an answer could fill it with what nobody sees or needs, and be paid for each token of that: characters
//! of zero width, white space without end, marks piled up on a letter. All of it is passed on as it is; what is beyond
//! any use counts nothing. A character without a width of its own that changes what its neighbours look like, in scripts
//! that need joiners and in emoji, is part of the text and counts, and so do indentation and the marks of every script.

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

/// Line breaks in a row that count: those of two empty lines.
const BREAKS_MAX: usize = 3;

/// Blanks in a row that count: tabs, and spaces behind them. Code that is indented further is rare.
const BLANKS_MAX: usize = 64;

/// Spaces of other kinds in a row that count: two wide ones begin a Chinese paragraph.
const SPACES_MAX: usize = 2;

/// White space that counts for each character that is seen: code has less, and what has more is a few tokens short.
const WHITE_PER_CHARACTER: u64 = 2;

/// White space that counts beside that, so that a short answer may be indented code.
const WHITE_AT_FIRST: u64 = 64;

/// White space in a row that counts however much there is: a token, whoever counts.
const WHITE_IN_A_ROW: u64 = 4;

/// Marks on one character that count: points, a vowel and an accent of Hebrew are as many.
const MARKS_MAX: usize = 4;

/// Tells what is seen of a text that comes in pieces.
#[derive(Debug, Default)]
pub struct Seen {
    /// The last character that counts, apart from marks on it.
    before: Option<char>,
    /// A joiner that counts if what comes next can be joined.
    joiner: Option<char>,
    /// White space that counts if something comes behind it.
    gap: Gap,
    /// Marks on the last character.
    marks: usize,
    /// Characters that count and are neither white space nor marks.
    characters: u64,
    /// White space that counts.
    white: u64,
}

/// A run of white space.
#[derive(Debug, Default)]
struct Gap {
    /// What of it counts.
    kept: String,
    /// Where in that the last line begins.
    line: usize,
    breaks: usize,
    /// Spaces of other kinds.
    spaces: usize,
}

impl Seen {
    /// Returns what is seen of the next piece, with what of before is seen by it: a joiner, or white space.
    pub fn of<'a>(&mut self, piece: &'a str) -> Cow<'a, str> {
        if self.takes_whole(piece) {
            return Cow::Borrowed(piece);
        }
        let mut seen = String::with_capacity(self.gap.kept.len() + piece.len() + JOINER.len_utf8());
        for character in piece.chars() {
            self.take(character, &mut seen);
        }
        Cow::Owned(seen)
    }

    /// Takes a piece as it is, if all of it counts whatever comes next.
    fn takes_whole(&mut self, piece: &str) -> bool {
        let Some(last) = piece.chars().next_back() else { return true };
        if self.joiner.is_some() || !self.gap.kept.is_empty() || is_white(last) {
            return false;
        }
        let (mut characters, mut white, mut is_behind_white) = (0, 0, false);
        for character in piece.chars() {
            let is_white = is_white(character);
            if !is_plain(character) || (is_white && is_behind_white) {
                return false;
            }
            white += u64::from(is_white);
            characters += u64::from(!is_white);
            is_behind_white = is_white;
        }
        (self.before, self.marks) = (Some(last), 0);
        self.characters += characters;
        self.white += white;
        true
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
            white if white.is_whitespace() => {
                self.gap.take(white);
                (self.before, self.joiner, self.marks) = (Some(white), None, 0);
            }
            mark if is_mark(mark) => {
                if self.marks < MARKS_MAX {
                    self.marks += 1;
                    self.show(mark, seen);
                }
            }
            _ => {
                self.marks = 0;
                self.show(character, seen);
                self.characters += 1;
            }
        }
    }

    /// Takes a character that is seen, and with it what stands before it.
    fn show(&mut self, character: char, seen: &mut String) {
        if let Some(joiner) = self.joiner.take()
            && self.before.is_some_and(|before| joins(joiner, before, character))
        {
            seen.push(joiner);
        }
        let room = (WHITE_AT_FIRST + WHITE_PER_CHARACTER * self.characters).saturating_sub(self.white);
        let room = usize::try_from(room.max(WHITE_IN_A_ROW)).unwrap_or(usize::MAX);
        for white in std::mem::take(&mut self.gap).kept.chars().take(room) {
            seen.push(white);
            self.white += 1;
        }
        seen.push(character);
        if is_virama(character) || joining(character) != JoiningType::Transparent {
            self.before = Some(character);
        }
    }
}

impl Gap {
    fn take(&mut self, white: char) {
        let line = &self.kept[self.line..];
        match white {
            // Both are one break.
            '\n' if line.is_empty() && self.kept.ends_with('\r') => self.end_line(white),
            '\n' | '\r' => {
                // Nobody sees what stands before it.
                self.kept.truncate(self.line);
                if self.breaks < BREAKS_MAX {
                    self.breaks += 1;
                    self.end_line(white);
                }
            }
            ' ' | '\t' => {
                if line.len() < BLANKS_MAX && (white == ' ' || !line.contains(' ')) {
                    self.kept.push(white);
                }
            }
            _ => {
                if self.spaces < SPACES_MAX {
                    self.spaces += 1;
                    self.kept.push(white);
                }
            }
        }
    }

    fn end_line(&mut self, end: char) {
        self.kept.push(end);
        self.line = self.kept.len();
    }
}

/// Tells whether a character is seen or is common white space, and is none that is looked at together with others.
fn is_plain(character: char) -> bool {
    is_white(character)
        || matches!(character, '!'..='~')
        || (('\u{a1}'..'\u{300}').contains(&character) && !is_hidden(character))
}

const fn is_white(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n')
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

/// Tells whether a character stands on the one before it, and takes no room of its own.
fn is_mark(character: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    matches!(category, GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark)
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
    use proptest::prelude::*;

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

    #[test]
    fn code_lists_tables_and_paragraphs_count_with_their_white_space() {
        let nested =
            (0..8).map(|depth| format!("{}if depth == {depth}:\n", "    ".repeat(depth))).collect::<String>();
        let json = "{\n    \"a\": [\n        {\n            \"b\": 1\n        }\n    ]\n}";
        for text in [
            "def one():\n    return 1\n\n\ndef two():\n    if x:\n        return 2",
            "all:\n\tcc -o a a.c\n\t\t# deep",
            "a line\r\n\r\n  another",
            "- one\n  - two\n    - three\n\n1. four",
            "| name      | n  |\n|-----------|----|\n| a         | 12 |",
            "　　第一段。\n　　第二段。",
            "Combien\u{a0}? « Cinq\u{202f}»",
            "        return None",
            json,
            &nested[..nested.len() - 1],
        ] {
            assert_eq!(seen(text), text);
        }
    }

    #[test]
    fn white_space_that_no_text_needs_counts_nothing() {
        let spaces = " ".repeat(1_000);
        let most = " ".repeat(BLANKS_MAX);
        for (text, expected) in [
            ("word \n\n\t ", "word".to_owned()),
            (" \n ", String::new()),
            ("one  \n \n  two", "one\n\n  two".to_owned()),
            ("one\n\n\n\n\n\ntwo", "one\n\n\ntwo".to_owned()),
            ("one\r\n\r\n\r\n\r\ntwo", "one\r\n\r\n\r\ntwo".to_owned()),
            ("one \t \t \ttwo", "one   two".to_owned()),
            ("one\u{2003}\u{2003}\u{2003}\u{2003}two", "one\u{2003}\u{2003}two".to_owned()),
            (&format!("one{spaces}two"), format!("one{most}two")),
            (&format!("one\n{spaces}\n{spaces}two"), format!("one\n\n{most}two")),
            (&format!("one{spaces}"), "one".to_owned()),
        ] {
            assert_eq!(seen(text), expected, "{text:?}");
        }
        let wide = format!("a{most}").repeat(1_000);
        let white = seen(&wide).chars().filter(|letter| *letter == ' ').count() as u64;
        assert!(white <= WHITE_AT_FIRST + 1_000 * (WHITE_PER_CHARACTER + WHITE_IN_A_ROW), "{white}");
    }

    #[test]
    fn marks_of_every_script_count_and_those_that_are_piled_up_do_not() {
        for text in ["בְּרֵאשִׁ֖ית", "Tiếng Việt", "Tie\u{302}\u{301}ng", "น้ำ ก็ ปู่", "བསྒྲུབས ཧཱུྃ", "ক্ষ্ম্য", "1\u{20e3}"]
        {
            assert_eq!(seen(text), text);
        }
        let piled = format!("e{}x", "\u{301}\u{489}".repeat(500));
        assert_eq!(seen(&piled), "e\u{301}\u{489}\u{301}\u{489}x");
        assert_eq!(seen(&format!("a {}", "\u{336}".repeat(9))), format!("a {}", "\u{336}".repeat(4)));
    }

    proptest! {
        #[test]
        fn however_an_answer_is_cut_the_same_of_it_is_seen(
            letters in proptest::collection::vec(
                prop::sample::select("ab1 \u{a0}\t\n\r\u{3000}\u{301}\u{200d}\u{200c}\u{fe0f}\u{200b}❤🔥क\u{94d}م".chars().collect::<Vec<_>>()),
                0..200,
            ),
            cuts in proptest::collection::vec(1_usize..8, 200),
        ) {
            let whole = seen(&letters.iter().collect::<String>());
            let (mut pieces, mut parts) = (Seen::default(), String::new());
            let mut rest = letters.as_slice();
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                parts += &pieces.of(&piece.iter().collect::<String>());
                rest = behind;
            }
            prop_assert_eq!(&parts, &whole);
            prop_assert!(!whole.ends_with(char::is_whitespace));
            prop_assert_eq!(seen(&whole), whole.clone(), "what is seen is seen");
        }
    }
}
