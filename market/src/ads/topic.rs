//! The classifier: what a question is about, and whether any ad may stand beside its answer.
//!
//! It counts words against the lists of [`super::words`], in time that grows with the text. What it cannot
//! read it takes for sensitive: a long text, a language without a list, another script.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::LazyLock,
};

use rekursing_protocol::Topics;

use super::{Category, Subject, text, words};

/// Longest text that is read, in bytes. Beside a longer one there is no ad, because nobody has looked at
/// the rest of it.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Most words of a phrase.
const PHRASE_WORDS_MAX: usize = 3;

/// Known words below which a text is in no language that the lists are in, in thousandths.
const KNOWN_PERMILLE_MIN: usize = 100;

/// Letters of other scripts above which a text is in no language that the lists are in, in thousandths.
const FOREIGN_PERMILLE_MAX: usize = 200;

/// Share of a category, in thousandths of all telling words, from which on a request is about it.
const CATEGORY_PERMILLE_MIN: u32 = 200;

/// What a question is about, as far as ads go. It holds words of the question and prints none.
#[derive(Clone, PartialEq, Eq)]
pub struct Topic {
    /// Thousandths of the question's telling words, by category.
    shares: [u32; Category::ALL.len()],
    /// Words and phrases of the question, folded.
    words: HashSet<String>,
}

/// Why there is no ad beside an answer, whoever would pay for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Silence {
    /// The conversation touches a sensitive subject.
    Sensitive(Subject),
    /// The conversation is longer than what is read.
    TooLong,
    /// The conversation is in a language that the lists are not in.
    Unread,
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = Category::ALL.into_iter().filter(|category| self.share(*category) > 0);
        f.debug_list().entries(told).finish()
    }
}

impl Topic {
    /// Reads a question and what was said before it. The question gives the topic, or what was said before
    /// where the question says nothing; a sensitive word anywhere is the end of it.
    pub fn read(question: &str, before: &str) -> Result<Topic, Silence> {
        if question.len() + before.len() > TEXT_BYTES_MAX {
            return Err(Silence::TooLong);
        }
        let (asked, said) = (Tally::of(question), Tally::of(before));
        if let Some(subject) = asked.sensitive.or(said.sensitive) {
            return Err(Silence::Sensitive(subject));
        }
        if !asked.is_read() || (!before.is_empty() && !said.is_read()) {
            return Err(Silence::Unread);
        }
        let shares = shares(&asked, &said);
        Ok(Topic { shares, words: asked.words })
    }

    /// Returns the share of a category in thousandths of all telling words.
    pub const fn share(&self, category: Category) -> u32 {
        self.shares[category.place()]
    }

    /// Tells whether the question holds a keyword, which is folded.
    pub(super) fn holds(&self, keyword: &str) -> bool {
        self.words.contains(keyword)
    }
}

/// Returns everything that a request is about: categories as [`Topic::read`] tells them, every sensitive
/// subject that is touched anywhere, and [`Topics::UNREAD`] where nobody can tell.
pub fn topics(question: &str, before: &str) -> Topics {
    if question.len() + before.len() > TEXT_BYTES_MAX {
        return Topics::UNREAD;
    }
    let (asked, said) = (Tally::of(question), Tally::of(before));
    let shares = shares(&asked, &said);
    let categories = Category::ALL.into_iter().filter(|&of| shares[of.place()] >= CATEGORY_PERMILLE_MIN);
    let subjects =
        Subject::ALL.into_iter().filter(|of| (asked.subjects | said.subjects) >> of.place() & 1 > 0);
    let is_read = asked.is_read() && (before.is_empty() || said.is_read());
    let unread = (!is_read).then_some(Topics::UNREAD);
    categories.map(Topics::from).chain(subjects.map(Topics::from)).chain(unread).collect()
}

/// Returns the share of each category in a question, or in what was said before it where the question
/// says nothing.
fn shares(asked: &Tally, said: &Tally) -> [u32; Category::ALL.len()] {
    let hits = if asked.hits.iter().any(|&hits| hits > 0) { asked.hits } else { said.hits };
    let all = hits.iter().sum::<u32>().max(1);
    hits.map(|hits| hits * 1_000 / all)
}

/// Returns the sensitive subject that a text touches, if it does.
pub(super) fn subject(text: &str) -> Option<Subject> {
    Tally::of(text).sensitive
}

/// What was counted in a text.
#[derive(Default)]
struct Tally {
    hits: [u32; Category::ALL.len()],
    /// The sensitive subject that was touched first.
    sensitive: Option<Subject>,
    /// A bit for each one that was touched.
    subjects: u16,
    words: HashSet<String>,
    all: usize,
    known: usize,
    letters: usize,
    foreign: usize,
    /// The words before, nearest first.
    last: [String; PHRASE_WORDS_MAX - 1],
}

impl Tally {
    fn of(text: &str) -> Tally {
        let mut tally = Tally::default();
        text::words(text, |word| tally.take(word));
        tally
    }

    fn take(&mut self, word: &str) {
        let mark = LEXICON.look(word, &self.last);
        for category in Category::ALL {
            self.hits[category.place()] += u32::from(mark.categories >> category.place() & 1);
        }
        self.sensitive = self.sensitive.or_else(|| mark.subject());
        self.subjects |= mark.subjects;
        self.all += 1;
        self.known += usize::from(mark.known);
        let letters = word.chars().filter(|letter| letter.is_alphabetic());
        for letter in letters {
            self.letters += 1;
            self.foreign += usize::from(letter > '\u{24f}');
        }
        if !self.last[0].is_empty() {
            self.words.insert(format!("{} {word}", self.last[0]));
        }
        self.words.insert(word.to_owned());
        self.last.rotate_right(1);
        word.clone_into(&mut self.last[0]);
    }

    /// Tells whether the text is in a language that the lists are in.
    const fn is_read(&self) -> bool {
        self.known * 1_000 >= self.all * KNOWN_PERMILLE_MIN
            && self.foreign * 1_000 <= self.letters * FOREIGN_PERMILLE_MAX
    }
}

/// What a word says.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// A bit for each category.
    categories: u16,
    /// A bit for each sensitive subject.
    subjects: u16,
    known: bool,
}

impl Mark {
    fn add(&mut self, other: Mark) {
        self.categories |= other.categories;
        self.subjects |= other.subjects;
        self.known |= other.known;
    }

    /// Returns the first sensitive subject.
    fn subject(self) -> Option<Subject> {
        Subject::ALL.into_iter().find(|subject| self.subjects >> subject.place() & 1 > 0)
    }
}

/// The lists, ready to be looked up.
#[derive(Debug, Default)]
struct Lexicon {
    words: HashMap<&'static str, Mark>,
    /// Beginnings of words.
    stems: HashMap<&'static str, Mark>,
    stem_bytes_max: usize,
    /// Phrases by their last word: the words before it, nearest first.
    phrases: HashMap<&'static str, Vec<(Vec<&'static str>, Mark)>>,
}

/// The lists are the same for every text.
static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::of_lists);

impl Lexicon {
    fn of_lists() -> Lexicon {
        let mut lexicon = Lexicon::default();
        for (category, list) in words::TOPICS {
            let mark = Mark { categories: 1 << category.place(), subjects: 0, known: true };
            lexicon.add_all(list, mark);
        }
        for (subject, list) in words::SENSITIVE {
            lexicon.add_all(list, Mark { categories: 0, subjects: 1 << subject.place(), known: true });
        }
        lexicon.add_all(words::SMALL, Mark { known: true, ..Mark::default() });
        lexicon
    }

    fn add_all(&mut self, list: &'static str, mark: Mark) {
        for entry in list.split_whitespace() {
            if let Some(stem) = entry.strip_suffix('*') {
                self.stem_bytes_max = self.stem_bytes_max.max(stem.len());
                self.stems.entry(stem).or_default().add(mark);
                continue;
            }
            let mut parts = entry.rsplit('_');
            let last = parts.next().unwrap_or(entry);
            let before: Vec<_> = parts.collect();
            if before.is_empty() {
                self.words.entry(last).or_default().add(mark);
            } else {
                self.phrases.entry(last).or_default().push((before, mark));
            }
        }
    }

    /// Returns what a word says behind the words before it, nearest first.
    fn look(&self, word: &str, last: &[String]) -> Mark {
        let mut mark = self.words.get(word).copied().unwrap_or_default();
        let ends = word.char_indices().map(|(at, letter)| at + letter.len_utf8());
        for end in ends.take_while(|&end| end <= self.stem_bytes_max) {
            if let Some(stem) = self.stems.get(&word[..end]) {
                mark.add(*stem);
            }
        }
        for (before, phrase) in self.phrases.get(word).into_iter().flatten() {
            if before.iter().zip(last).all(|(wanted, said)| wanted == said) {
                mark.add(*phrase);
            }
        }
        mark
    }
}

#[cfg(test)]
mod tests;
