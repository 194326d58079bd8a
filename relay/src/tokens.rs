//! Counting tokens: a real tokenizer for the families that have one here, a rule for the rest.
//!
//! | family, by the model's name | tokenizer |
//! |---|---|
//! | gpt-oss, gpt-4o, o1, o3, o4 | `o200k_base` |
//! | gpt-4, gpt-3.5 | `cl100k_base` |
//! | llama 3 and its descendants | `llama3` |
//! | qwen 2, 2.5, 3 and qwq | `qwen2` |
//! | deepseek | `deepseek_v3` |
//! | mistral, mixtral, ministral, codestral, devstral | `mistral_v3` |
//! | anything else | one token for every four bytes of UTF-8, rounded up |
//!
//! Where a model's name tells nothing, the architecture that its server names may: `qwen2` and `qwen3` in
//! all their kinds, `gptoss`, `mllama` and `llama4`. Others, such as `llama`, are shared by families.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use rekursing_market::Seen;
use rekursing_protocol::Offer;
use tiktoken::CoreBpe;

use crate::print::Print;

/// Bytes per token where no tokenizer is known.
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens that a chat template puts around each message.
pub const TOKENS_PER_MESSAGE: u64 = 4;

/// Tokens that an image counts for.
pub const TOKENS_PER_IMAGE: u64 = 1_000;

/// Longest token of any vocabulary here, in bytes: so many spaces.
pub const TOKEN_BYTES_MAX: u64 = 128;

/// Text is cut at word boundaries and counted once this many bytes have gathered.
const GATHERED_BYTES: usize = 512;

/// Text without any boundary is counted all the same once it is this long.
const GATHERED_BYTES_MAX: usize = 8 * 1024;

/// How the tokens of a model are counted.
#[derive(Clone, Copy)]
pub enum Tokenizer {
    /// By its family's vocabulary.
    Family(&'static CoreBpe),
    /// By the rule.
    Rule,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Tokenizer::Family(_) => "Family",
            Tokenizer::Rule => "Rule",
        })
    }
}

impl PartialEq for Tokenizer {
    fn eq(&self, other: &Tokenizer) -> bool {
        match (self, other) {
            (Tokenizer::Family(one), Tokenizer::Family(other)) => std::ptr::eq(*one, *other),
            (Tokenizer::Rule, Tokenizer::Rule) => true,
            (Tokenizer::Family(_), Tokenizer::Rule) | (Tokenizer::Rule, Tokenizer::Family(_)) => false,
        }
    }
}

impl Tokenizer {
    /// Finds the tokenizer for a model by its name. The first use of a family unpacks its
    /// vocabulary, which takes some tens of milliseconds.
    pub fn of(model: &str) -> Tokenizer {
        family(model).and_then(tiktoken::get_encoding).map_or(Tokenizer::Rule, Tokenizer::Family)
    }

    /// Finds the tokenizer for an offer: by its model's name, or else by its architecture.
    pub fn of_offer(offer: &Offer) -> Tokenizer {
        encoding(offer).and_then(tiktoken::get_encoding).map_or(Tokenizer::Rule, Tokenizer::Family)
    }

    /// Counts the tokens of a text, in time that grows with its length alone.
    pub fn count(self, text: &str) -> u64 {
        match self {
            Tokenizer::Family(vocabulary) if text.len() <= GATHERED_BYTES_MAX => {
                vocabulary.count(text) as u64
            }
            Tokenizer::Rule => (text.len() as u64).div_ceil(BYTES_PER_TOKEN),
            Tokenizer::Family(_) => {
                let mut counter = Counter::new(self);
                counter.take(text);
                counter.total()
            }
        }
    }
}

/// Unpacks the vocabularies of these offers in the background, so that no job waits for it.
pub fn warm(offers: &[Offer]) {
    static WARM: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    for encoding in offers.iter().filter_map(encoding) {
        if WARM.lock().insert(encoding) {
            tokio::task::spawn_blocking(move || tiktoken::get_encoding(encoding));
        }
    }
}

fn encoding(offer: &Offer) -> Option<&'static str> {
    family(&offer.model).or_else(|| of_architecture(&offer.architecture))
}

/// The name of the encoding that an architecture calls for, where it is one family's own.
fn of_architecture(architecture: &str) -> Option<&'static str> {
    let name: String = architecture.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.to_ascii_lowercase();
    const ARCHITECTURES: &[(&str, &str)] = &[
        ("qwen2", "qwen2"),
        ("qwen3", "qwen2"),
        ("gptoss", "o200k_base"),
        ("mllama", "llama3"),
        ("llama4", "llama3"),
    ];
    ARCHITECTURES.iter().find(|(start, _)| name.starts_with(start)).map(|(_, encoding)| *encoding)
}

/// What models' names begin with whose encoding is known.
const FAMILIES: &[(&[&str], &str)] = &[
    (&["deepseek-r1-distill-llama"], "llama3"),
    (&["deepseek-r1-distill-qwen"], "qwen2"),
    (&["gpt-oss", "gpt-4o", "gpt-4.1", "o1-", "o3-", "o4-"], "o200k_base"),
    (&["gpt-4", "gpt-3.5"], "cl100k_base"),
    (&["llama-3", "llama3", "llama-4", "hermes-3", "nemotron"], "llama3"),
    (&["qwen2", "qwen-2", "qwen3", "qwen-3", "qwq", "qvq"], "qwen2"),
    (&["deepseek"], "deepseek_v3"),
    (&["mistral", "mixtral", "ministral", "codestral", "devstral", "magistral"], "mistral_v3"),
];

/// The name of the encoding that a model's name calls for.
fn family(model: &str) -> Option<&'static str> {
    let name = model.to_ascii_lowercase().replace('_', "-");
    let name = name.rsplit('/').next().unwrap_or(&name);
    FAMILIES
        .iter()
        .find(|(starts, _)| starts.iter().any(|start| begins_a_word(name, start)))
        .map(|(_, encoding)| *encoding)
}

/// Tells whether `start` stands at the beginning of a name or behind a hyphen.
fn begins_a_word(name: &str, start: &str) -> bool {
    name.match_indices(start).any(|(at, _)| at == 0 || name.as_bytes()[at - 1] == b'-')
}

/// Counts an answer that comes in pieces, and keeps no more of it than a few kilobytes. What cannot be seen of it
/// counts nothing.
///
/// The pieces are joined and cut before a space that stands between a visible character and a letter:
/// there every vocabulary above begins a new word, so that the parts' counts add up to the whole's.
#[derive(Debug)]
pub struct Counter {
    tokenizer: Tokenizer,
    counted: u64,
    gathered: String,
    /// The last place in `gathered` where a word surely begins; 0 when there is none.
    boundary: usize,
    bytes: u64,
    words: u64,
    seen: Seen,
    /// The print of what a reader is told, where one is kept.
    print: Option<Print>,
}

impl Counter {
    /// Begins to count.
    pub fn new(tokenizer: Tokenizer) -> Counter {
        let (gathered, seen) = Default::default();
        Counter { tokenizer, counted: 0, gathered, boundary: 0, bytes: 0, words: 0, seen, print: None }
    }

    /// Keeps a print of what a reader is told, too.
    #[must_use]
    pub fn printing(self, print: Option<Print>) -> Counter {
        Counter { print, ..self }
    }

    /// Takes the next piece of what a reader is told, like [`Counter::push`].
    pub fn say(&mut self, piece: &str) {
        self.push(piece);
        if let Some(print) = &mut self.print {
            print.push(piece);
        }
    }

    /// Returns the hash of what a reader was told, where a print of it is kept.
    pub fn print(&self) -> Option<[u8; 32]> {
        self.print.as_ref().map(Print::hash)
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &str) {
        let piece = self.seen.of(piece);
        self.take(&piece);
    }

    fn take(&mut self, piece: &str) {
        self.bytes += piece.len() as u64;
        self.words += u64::from(piece.contains(|letter: char| !letter.is_whitespace()));
        let Tokenizer::Family(vocabulary) = self.tokenizer else { return };
        let mut rest = piece;
        while !rest.is_empty() {
            let (slice, behind) = rest.split_at(rest.floor_char_boundary(GATHERED_BYTES_MAX / 2));
            self.gather(vocabulary, slice);
            rest = behind;
        }
    }

    fn gather(&mut self, vocabulary: &CoreBpe, piece: &str) {
        // A boundary needs one byte behind it, so the last one looked at may have become one.
        let looked = self.gathered.len().saturating_sub(2);
        self.gathered.push_str(piece);
        if let Some(at) = boundary(&self.gathered, looked) {
            self.boundary = at;
        }
        let end = match self.gathered.len() {
            GATHERED_BYTES.. if self.boundary > 0 => self.boundary,
            length @ GATHERED_BYTES_MAX.. => length,
            _ => return,
        };
        self.counted += vocabulary.count(&self.gathered[..end]) as u64;
        self.gathered.drain(..end);
        self.boundary = 0;
    }

    /// Returns the tokens of all pieces so far.
    pub fn total(&self) -> u64 {
        match self.tokenizer {
            Tokenizer::Family(vocabulary) => self.counted + vocabulary.count(&self.gathered) as u64,
            Tokenizer::Rule => self.bytes.div_ceil(BYTES_PER_TOKEN),
        }
    }

    /// Returns how many pieces so far hold more than white space.
    pub fn words(&self) -> u64 {
        self.words
    }

    /// Returns the bytes of all pieces so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The last place behind `from` where a word surely begins.
fn boundary(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (from.max(1)..bytes.len().saturating_sub(1)).rev().find(|&at| {
        bytes[at] == b' ' && bytes[at - 1].is_ascii_graphic() && bytes[at + 1].is_ascii_alphabetic()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_family() {
        for (model, encoding) in [
            ("openai/gpt-oss-20b", Some("o200k_base")),
            ("meta-llama-3.1-8b-instruct", Some("llama3")),
            ("Qwen/Qwen2.5-7B-Instruct-GGUF", Some("qwen2")),
            ("deepseek-r1-distill-qwen-7b", Some("qwen2")),
            ("deepseek-r1:latest", Some("deepseek_v3")),
            ("mistral-7b-instruct-v0.3", Some("mistral_v3")),
            ("lmstudio-community/Meta-Llama-3.1-8B", Some("llama3")),
            ("tiny-chat", None),
            ("gemma-3-4b", None),
        ] {
            assert_eq!(family(model), encoding, "{model}");
        }
    }

    #[test]
    fn an_architecture_tells_the_family_of_a_name_that_tells_nothing() {
        for (model, architecture, expected) in [
            ("my-model", "qwen2", Some("qwen2")),
            ("my-model", "qwen3_moe", Some("qwen2")),
            ("my-model", "Qwen2.5-VL", Some("qwen2")),
            ("my-model", "gpt-oss", Some("o200k_base")),
            ("my-model", "mllama", Some("llama3")),
            ("my-model", "llama", None),
            ("my-model", "", None),
            ("mistral-7b", "qwen2", Some("mistral_v3")),
        ] {
            let offer = crate::stream::tests::offer(model, architecture);
            assert_eq!(encoding(&offer), expected, "{model} {architecture}");
        }
    }

    #[test]
    fn an_unknown_family_is_counted_by_bytes() {
        assert_eq!(Tokenizer::of("tiny-chat").count(""), 0);
        assert_eq!(Tokenizer::of("tiny-chat").count("a"), 1);
        assert_eq!(Tokenizer::of("tiny-chat").count("four bytes…"), 4);
    }

    #[test]
    fn no_vocabulary_has_a_token_of_more_bytes_than_are_said_of_the_longest() {
        for encoding in FAMILIES.iter().map(|(_, encoding)| encoding) {
            let vocabulary = tiktoken::get_encoding(encoding).unwrap();
            let sizes = (0..u32::try_from(vocabulary.vocab_size()).unwrap())
                .map(|token| vocabulary.decode(&[token]).len() as u64);
            assert!(sizes.max().unwrap() <= TOKEN_BYTES_MAX, "{encoding}");
        }
    }

    #[test]
    fn pieces_count_like_the_whole() {
        let words = "The quick brown fox — isn't it? — jumps over 12345 lazy dogs;\n\n  and 日本語 too. ";
        let text = words.repeat(60);
        // White space at the end counts nothing.
        let text = text.trim_end();
        for model in ["qwen2.5-7b", "llama-3.1-8b", "gpt-oss-20b"] {
            let tokenizer = Tokenizer::of(model);
            for size in [1, 3, 7, 1_000] {
                let mut counter = Counter::new(tokenizer);
                let characters: Vec<char> = text.chars().collect();
                for piece in characters.chunks(size) {
                    counter.push(&piece.iter().collect::<String>());
                }
                assert_eq!(counter.total(), tokenizer.count(text), "{model} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_long_text_counts_like_its_pieces_and_takes_no_longer() {
        let tokenizer = Tokenizer::of("qwen2.5-7b");
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(1_000);
        let Tokenizer::Family(vocabulary) = tokenizer else { panic!("qwen has a vocabulary") };
        assert_eq!(tokenizer.count(&text), vocabulary.count(&text) as u64);
        assert!(tokenizer.count(&"a".repeat(1_000_000)) > 10_000);
    }

    #[test]
    fn an_answer_that_is_padded_with_what_nobody_sees_counts_as_if_it_were_not() {
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(20);
        for model in ["qwen2.5-7b", "llama-3.1-8b", "tiny-chat"] {
            let count = |text: &str| {
                let mut counter = Counter::new(Tokenizer::of(model));
                text.split_inclusive('o').for_each(|piece| counter.push(piece));
                (counter.total(), counter.words())
            };
            let expected = count(&text);
            for padding in ["\u{200b}", "\u{fe0f}\u{fe0f}", "\u{e0041}\u{e007f}", "\u{200d}\u{2060}\u{ad}"] {
                let padded: String = text.chars().map(|letter| format!("{letter}{padding}")).collect();
                assert_eq!(count(&padded), expected, "{model} {padding:?}");
            }
            assert_eq!(count(&"\u{200b}".repeat(1_000)), (0, 0), "{model}");
            assert_eq!(count(&" \n".repeat(1_000)), (0, 0), "{model}");
            let (expected, _) = count(text.trim_end());
            assert_eq!(count(&format!("{text}{}", "\n \t".repeat(1_000))).0, expected, "{model}");
        }
    }

    #[test]
    fn a_text_without_boundaries_is_not_kept() {
        let mut counter = Counter::new(Tokenizer::of("qwen2.5-7b"));
        for _ in 0..10_000 {
            counter.push("日本");
        }
        assert!(counter.gathered.len() <= GATHERED_BYTES_MAX);
        assert!(counter.total() > 5_000);
    }
}
