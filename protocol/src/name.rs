//! Names that one side chooses and another reads: which characters may stand in them.
//!
//! What cannot be seen can make two names look alike, turn a line around or hide words in it. One rule
//! for all names, by what Unicode says of a character: labels are stripped of it, names by which
//! something is found are refused with it.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};

/// The categories of which nothing is seen.
const HIDDEN: [GeneralCategory; 7] = [
    GeneralCategory::Control,
    GeneralCategory::Format,
    GeneralCategory::LineSeparator,
    GeneralCategory::ParagraphSeparator,
    GeneralCategory::PrivateUse,
    GeneralCategory::Surrogate,
    GeneralCategory::Unassigned,
];

/// A symbol by its category, and yet nothing to see.
const BRAILLE_BLANK: char = '\u{2800}';

/// Tells whether a character may stand in a name. Not: controls, line and paragraph separators, format
/// characters (bidirectional controls, zero-width spaces and joiners, tags), whatever else Unicode calls
/// ignorable when displayed (fillers, variation selectors), private use, what is not assigned, and the
/// blank among the Braille patterns.
pub fn is_visible(character: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    !HIDDEN.contains(&category) && !ignorable.contains(character) && character != BRAILLE_BLANK
}

/// Tells whether all of a text may stand in a name.
pub fn is_plain(text: &str) -> bool {
    text.chars().all(is_visible)
}

/// Returns the first `characters_max` characters of a text that may stand in a name, without spaces
/// around them.
pub fn plain(text: &str, characters_max: usize) -> String {
    let kept: String = text.chars().filter(|character| is_visible(*character)).take(characters_max).collect();
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_no_part_of_a_name() {
        for (kind, hidden) in [
            ("controls", "\0\t\n\r\u{7f}\u{85}"),
            ("marks of direction", "\u{200e}\u{200f}\u{61c}"),
            ("embeddings and overrides", "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}"),
            ("isolates", "\u{2066}\u{2067}\u{2068}\u{2069}"),
            ("zero-width spaces and joiners", "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}"),
            ("separators of lines and paragraphs", "\u{2028}\u{2029}"),
            ("soft hyphens and invisible operators", "\u{ad}\u{2061}\u{2062}\u{2063}\u{2064}"),
            ("fillers", "\u{115f}\u{1160}\u{3164}\u{ffa0}\u{2800}"),
            ("joiners and selectors among marks", "\u{34f}\u{180b}\u{fe00}\u{fe0f}\u{e0100}"),
            ("tags", "\u{e0001}\u{e0041}\u{e007f}"),
            ("private use and what is not assigned", "\u{e000}\u{10ffff}\u{378}"),
        ] {
            for character in hidden.chars() {
                let code = u32::from(character);
                assert!(!is_visible(character), "{kind}: U+{code:04X}");
                assert!(!is_plain(&format!("a{character}b")), "{kind}: U+{code:04X}");
                assert_eq!(plain(&format!("a{character}b"), 9), "ab", "{kind}: U+{code:04X}");
            }
        }
    }

    #[test]
    fn names_of_all_scripts_are_left_as_they_are() {
        for name in [
            "",
            "Qwen/Qwen2.5-7B-Instruct-GGUF:Q4_K_M@1",
            "GeForce RTX 4090 (Ti™)",
            "Zoë's Gerät №5",
            "日本語 の モデル",
            "ครู ไทย ทำ",
            "عربي فارسی",
            "हिन्दी",
            "e\u{301}",
            "🦙 🚀",
        ] {
            assert!(is_plain(name), "{name}");
            assert_eq!(plain(name, 100), name);
        }
    }

    #[test]
    fn a_label_is_cut_after_it_was_stripped() {
        assert_eq!(plain("\u{202e} a\u{200b}bcd ", 3), "ab");
        assert_eq!(plain("\u{200b}\u{200b}abc", 2), "ab");
    }
}
