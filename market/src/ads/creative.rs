//! Creatives: what readers see of an ad, and which characters it may be made of.

/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 60;

/// Longest text, in characters.
pub const TEXT_CHARS_MAX: usize = 140;

/// Longest link, in bytes.
pub const LINK_BYTES_MAX: usize = 1_000;

/// What readers see of an ad. Every part has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creative {
    title: String,
    text: String,
    link: String,
}

/// Why a creative is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCreative {
    /// No title, or one that is too long.
    #[error("a title has 1 to {TITLE_CHARS_MAX} characters")]
    TitleLength,
    /// No text, or one that is too long.
    #[error("a text has 1 to {TEXT_CHARS_MAX} characters")]
    TextLength,
    /// A character that is hidden, changes the direction of writing, or is no writing at all.
    #[error("title and text are letters, digits, common signs and single spaces, without hidden characters")]
    Characters,
    /// Not an `https` link to a named host.
    #[error(
        "a link is https:// and a host's name, without a user, in at most {LINK_BYTES_MAX} ASCII characters"
    )]
    Link,
}

impl Creative {
    /// Checks and takes the parts.
    pub fn new(title: &str, text: &str, link: &str) -> Result<Creative, BadCreative> {
        if !(1..=TITLE_CHARS_MAX).contains(&title.chars().count()) {
            return Err(BadCreative::TitleLength);
        }
        if !(1..=TEXT_CHARS_MAX).contains(&text.chars().count()) {
            return Err(BadCreative::TextLength);
        }
        if !is_writing(title) || !is_writing(text) {
            return Err(BadCreative::Characters);
        }
        if host(link).is_none() {
            return Err(BadCreative::Link);
        }
        Ok(Creative { title: title.to_owned(), text: text.to_owned(), link: link.to_owned() })
    }

    /// Returns the title.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns where a click leads: `https://…`, printable ASCII.
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Returns the host that the link leads to.
    pub fn host(&self) -> &str {
        host(&self.link).unwrap_or_default()
    }
}

/// Tells whether a text is plain writing: words with single spaces between them.
fn is_writing(text: &str) -> bool {
    text.split(' ').all(|word| !word.is_empty() && word.chars().all(is_allowed))
}

/// Tells whether a character can be seen, is itself alone, and is read in the order in which it is written.
fn is_allowed(letter: char) -> bool {
    // Fillers are letters to Unicode, and nobody sees them.
    let is_filler =
        matches!(letter, '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}');
    let is_sign = letter.is_ascii_punctuation()
        || matches!(
            letter,
            '–' | '—'
                | '‘'
                | '’'
                | '“'
                | '”'
                | '„'
                | '…'
                | '•'
                | '·'
                | '«'
                | '»'
                | '¡'
                | '¿'
                | '°'
                | '€'
                | '£'
                | '¥'
                | '©'
                | '®'
                | '™'
                | '×'
                | '→'
                | '、'
                | '。'
                | '「'
                | '」'
                | '！'
                | '？'
                | '，'
        );
    // Signs that join or stress letters in scripts of India and Thailand.
    let is_joint = matches!(
        letter,
        '\u{93c}'
            | '\u{94d}'
            | '\u{9bc}'
            | '\u{9cd}'
            | '\u{a4d}'
            | '\u{acd}'
            | '\u{b4d}'
            | '\u{bcd}'
            | '\u{c4d}'
            | '\u{ccd}'
            | '\u{d4d}'
            | '\u{e47}'..='\u{e4e}'
    );
    let is_letter = letter.is_alphanumeric() && !is_filler && !super::text::is_unseen(letter);
    is_letter || is_joint || is_sign
}

/// Returns the host of a link, if the link is one that may be followed.
fn host(link: &str) -> Option<&str> {
    let rest = link.strip_prefix("https://")?;
    let is_printable = |byte: u8| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    if link.len() > LINK_BYTES_MAX || !link.bytes().all(is_printable) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let (_, top) = host.rsplit_once('.')?;
    // An address in numbers names nobody.
    let is_named = top.bytes().any(|byte| byte.is_ascii_lowercase());
    (is_port && host.len() <= 253 && host.split('.').all(is_label) && is_named).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://example.com/offer?from=rekursing";

    #[test]
    fn takes_plain_writing_in_any_script() {
        for title in
            ["Schöne Räder – ab 99 €", "Learn C++ (fast)!", "日本語を学ぶ。", "नमस्ते दुनिया", "50% off*"]
        {
            assert!(Creative::new(title, title, LINK).is_ok(), "{title}");
        }
    }

    #[test]
    fn refuses_hidden_and_turning_characters_and_odd_spaces() {
        for title in [
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{200d}b",
            "a\nb",
            "a\u{0}b",
            "a\u{feff}b",
            "a\u{2066}b",
            "a\u{3164}b",
            "a\u{ad}b",
            "a\u{301}b",
            " a",
            "a ",
            "a  b",
            "a\u{a0}b",
            "\u{e0041}",
            "\u{f8ff}",
            "a\tb",
            "\u{1b}[0m",
        ] {
            assert_eq!(Creative::new(title, "Text", LINK), Err(BadCreative::Characters), "{title:?}");
            assert_eq!(Creative::new("Title", title, LINK), Err(BadCreative::Characters), "{title:?}");
        }
        assert_eq!(Creative::new("", "Text", LINK), Err(BadCreative::TitleLength));
        assert_eq!(Creative::new(&"x".repeat(61), "Text", LINK), Err(BadCreative::TitleLength));
        assert_eq!(Creative::new("Title", &"x".repeat(141), LINK), Err(BadCreative::TextLength));
    }

    #[test]
    fn a_link_is_https_to_a_named_host_and_nothing_else() {
        for (link, host) in [
            (LINK, Some("example.com")),
            ("https://shop.example.co.uk:8443#top", Some("shop.example.co.uk")),
            ("https://xn--bcher-kva.example/", Some("xn--bcher-kva.example")),
            ("http://example.com", None),
            ("https://", None),
            ("https://localhost/", None),
            ("https://127.0.0.1/", None),
            ("https://[::1]/", None),
            ("https://user@example.com/", None),
            ("https://example.com\\@evil.example/", None),
            ("https://example.com:0/", None),
            ("https://example.com:99999/", None),
            ("https://EXAMPLE.com/", None),
            ("https://-a.example/", None),
            ("https://a..example/", None),
            ("https://example.com/a b", None),
            ("https://example.com/\r\nSet-Cookie:x", None),
            ("https://exämple.com/", None),
            ("javascript:alert(1)", None),
        ] {
            let made = Creative::new("Title", "Text", link);
            assert_eq!(made.as_ref().ok().map(Creative::host), host, "{link}");
        }
    }
}
