//! Reading text: words, folded so that accents, capitals and hidden characters make no difference.

/// Longest word that is looked up, in bytes; the rest of a longer one is dropped.
pub(super) const WORD_BYTES_MAX: usize = 48;

/// Folds a text into words and hands them on, one after the other, in time that grows with the text.
pub(super) fn words(text: &str, mut take: impl FnMut(&str)) {
    let mut word = String::with_capacity(WORD_BYTES_MAX);
    for letter in text.chars() {
        if letter.is_alphanumeric() {
            if word.len() < WORD_BYTES_MAX {
                fold(letter, &mut word);
            }
        } else if !is_unseen(letter) && !word.is_empty() {
            take(&word);
            word.clear();
        }
    }
    if !word.is_empty() {
        take(&word);
    }
}

/// Returns a text's words with single spaces between them.
pub(super) fn folded(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    words(text, |word| {
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(word);
    });
    all
}

/// Tells whether a character is written within a word without being a letter of its own: accents that
/// stand alone, and characters that nobody sees.
pub(super) fn is_unseen(letter: char) -> bool {
    matches!(letter,
        '\u{300}'..='\u{36f}'
        | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Writes a letter in lower case and without its accent.
fn fold(letter: char, word: &mut String) {
    if letter.is_ascii() {
        word.push(letter.to_ascii_lowercase());
        return;
    }
    for lower in letter.to_lowercase() {
        match lower {
            'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' => word.push('a'),
            'ç' | 'ć' | 'č' => word.push('c'),
            'è' | 'é' | 'ê' | 'ë' | 'ē' => word.push('e'),
            'ì' | 'í' | 'î' | 'ï' | 'ī' => word.push('i'),
            'ñ' | 'ń' => word.push('n'),
            'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' => word.push('o'),
            'ù' | 'ú' | 'û' | 'ü' | 'ū' => word.push('u'),
            'ý' | 'ÿ' => word.push('y'),
            'ß' => word.push_str("ss"),
            'æ' => word.push_str("ae"),
            'œ' => word.push_str("oe"),
            other if is_unseen(other) => {}
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accents_capitals_and_hidden_characters_make_no_difference() {
        for (text, read) in [
            ("Depresión, DEPRESIO\u{301}N", "depresion depresion"),
            ("sui\u{200b}ci\u{ad}de", "suicide"),
            ("Straße œuvre", "strasse oeuvre"),
            ("l'argent—vite", "l argent vite"),
            ("", ""),
        ] {
            assert_eq!(folded(text), read, "{text:?}");
        }
    }

    #[test]
    fn a_word_without_end_is_read_to_its_limit() {
        assert!(folded(&"é".repeat(10_000)).len() <= WORD_BYTES_MAX + 2);
    }
}
