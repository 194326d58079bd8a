//! Relevance: how close a task is to a project's objectives, from 0 to 1.
//!
//! Where there are vectors of meaning, it is the cosine between them. Where there are none, it is the cosine
//! between the words themselves, weighed by how few of the texts have them (the vector space model of Salton,
//! Wong and Yang 1975, with the smoothed idf that is usual today).

use std::{
    collections::{BTreeMap, HashSet},
    str::FromStr,
    sync::LazyLock,
};

/// Letters of a word that count: a cut makes `optimise` and `optimisation` one. Cutting at a fixed length does
/// about as well as cleverer stemmers, and in every language with endings.
const STEM_LETTERS: usize = 6;

/// Words that say nothing of what a text is about, in English and German.
const COMMON: &str = " a about all also an and any are as at be been but by can could do does for from had has have \
                      how i if in into is it its me my no not of on or our please so that the their them then \
                      there these they this to us was we were what when which who why will with would you your aber \
                      alle als am an auch auf aus bei bin bis bist bitte da das dass dein dem den der des die dir \
                      doch du ein eine einem einen einer eines er es für hat ich im in ist ja kann man mein mir mit \
                      nach nicht noch nur oder sein sich sie sind so über um und uns unser von vom was wenn wer wie \
                      wir wird zu zum zur ";

/// By what closeness is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// By embeddings where somebody serves them, and else by words.
    #[default]
    Auto,
    /// By embeddings alone.
    Embeddings,
    /// By words alone, which costs nothing.
    Lexical,
}

impl Method {
    /// Returns the method's name as pages write it.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Auto => "auto",
            Method::Embeddings => "embeddings",
            Method::Lexical => "lexical",
        }
    }
}

/// Why a text is not a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a method is auto, embeddings or lexical")]
pub struct BadMethod;

impl FromStr for Method {
    type Err = BadMethod;

    fn from_str(text: &str) -> Result<Method, BadMethod> {
        let all = [Method::Auto, Method::Embeddings, Method::Lexical];
        all.into_iter().find(|method| method.name() == text).ok_or(BadMethod)
    }
}

/// How close what is asked must be to a project's objectives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The account's project.
    pub project: String,
    /// The lowest score that is let through, in thousandths.
    pub threshold_permille: u16,
    /// By what it is told.
    pub method: Method,
}

/// How close a task's words are to one objective's.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// From 0 to 1.
    pub score: f64,
    /// The task's words that both have, as the task writes them in lower case, those that weigh most first.
    pub words: Vec<String>,
}

/// Compares a task's words with those of each objective.
pub fn lexical(task: &str, objectives: &[String]) -> Vec<Shared> {
    let task = counted(task);
    let objectives: Vec<Counts> = objectives.iter().map(|objective| counted(objective)).collect();
    let texts = objectives.iter().chain([&task]);
    let mut having: BTreeMap<&str, u32> = BTreeMap::new();
    for stem in texts.flat_map(|counts| counts.keys()) {
        *having.entry(stem).or_default() += 1;
    }
    let all = f64::from(u32::try_from(objectives.len()).unwrap_or(u32::MAX)) + 2.0;
    let weight = |counts: &Counts, stem: &str| {
        let times = counts.get(stem).map_or(0, |(times, _)| *times);
        let rarity = (all / (1.0 + f64::from(having.get(stem).copied().unwrap_or_default()))).ln() + 1.0;
        f64::from(times) * rarity
    };
    let length = |counts: &Counts| counts.keys().map(|stem| weight(counts, stem).powi(2)).sum::<f64>().sqrt();
    let of_task = length(&task);
    let compare = |objective: &Counts| {
        let mut both: Vec<(f64, &str)> = task
            .iter()
            .filter(|(stem, _)| objective.contains_key(*stem))
            .map(|(stem, (_, word))| (weight(&task, stem) * weight(objective, stem), word.as_str()))
            .collect();
        both.sort_by(|(one, first), (other, second)| other.total_cmp(one).then_with(|| first.cmp(second)));
        // A sum of nothing would be -0.
        let dot = both.iter().fold(0.0, |sum, (product, _)| sum + product);
        let lengths = of_task * length(objective);
        let score = if lengths > 0.0 { (dot / lengths).min(1.0) } else { 0.0 };
        Shared { score, words: both.into_iter().map(|(_, word)| word.to_owned()).collect() }
    };
    objectives.iter().map(compare).collect()
}

/// Returns the cosine between two vectors, and 0 for what points away from each other; `None` where they cannot
/// be compared: they are of different lengths, or one of them is nothing.
pub fn cosine(one: &[f64], other: &[f64]) -> Option<f64> {
    if one.len() != other.len() {
        return None;
    }
    let dot = |one: &[f64], other: &[f64]| -> f64 { one.iter().zip(other).map(|(a, b)| a * b).sum() };
    let lengths = (dot(one, one) * dot(other, other)).sqrt();
    let cosine = dot(one, other) / lengths;
    (lengths > 0.0 && cosine.is_finite()).then(|| cosine.clamp(0.0, 1.0))
}

/// How often a stem occurs, and the first word that had it.
type Counts = BTreeMap<String, (u32, String)>;

/// The words of [`COMMON`].
static COMMON_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| COMMON.split_whitespace().collect());

fn counted(text: &str) -> Counts {
    let mut counts = Counts::new();
    for word in text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        if COMMON_WORDS.contains(word.as_str()) {
            continue;
        }
        let stem = word.chars().take(STEM_LETTERS).collect();
        counts.entry(stem).or_insert((0, word)).0 += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objectives() -> Vec<String> {
        ["Make the checkout of the shop faster", "Translate the manual into German", "Keep the garden alive"]
            .map(str::to_owned)
            .to_vec()
    }

    fn scores(task: &str) -> Vec<f64> {
        lexical(task, &objectives()).into_iter().map(|shared| shared.score).collect()
    }

    #[test]
    fn the_objective_with_the_tasks_words_is_closest() {
        let [shop, manual, garden] = scores("Why is the checkout slow, can it be made faster?")[..] else {
            panic!("one score each")
        };
        assert!(shop > 0.3 && manual == 0.0 && garden == 0.0, "{shop} {manual} {garden}");
        let translated = &lexical("Translation of chapter 3 of the manuals", &objectives())[1];
        assert_eq!(translated.words, ["manuals", "translation"]);
        assert!(translated.score > 0.4, "{translated:?}");
    }

    #[test]
    fn the_same_words_are_as_close_as_can_be_and_none_are_nothing() {
        let same = scores("KEEP the garden: alive!");
        assert!((same[2] - 1.0).abs() < 1e-9, "{same:?}");
        for nothing in ["", "the of and", "…!?", "zebra"] {
            assert_eq!(scores(nothing), [0.0, 0.0, 0.0], "{nothing}");
        }
        assert_eq!(lexical("garden", &[]), []);
        assert_eq!(lexical("garden", &[String::new()])[0].score, 0.0);
    }

    #[test]
    fn a_word_that_every_objective_has_says_less() {
        let objectives = ["shop checkout", "shop search", "shop orders"].map(str::to_owned);
        let rare = lexical("checkout", &objectives)[0].score;
        let usual = lexical("shop", &objectives)[0].score;
        assert!(rare > usual, "{rare} {usual}");
    }

    #[test]
    fn vectors_are_compared_by_their_angle() {
        for (one, other, expected) in [
            (vec![1.0, 0.0], vec![2.0, 0.0], Some(1.0)),
            (vec![1.0, 0.0], vec![0.0, 5.0], Some(0.0)),
            (vec![1.0, 0.0], vec![-1.0, 0.0], Some(0.0)),
            (vec![1.0, 0.0], vec![1.0], None),
            (vec![0.0, 0.0], vec![1.0, 0.0], None),
            (vec![f64::NAN, 0.0], vec![1.0, 0.0], None),
            (vec![f64::MAX, 0.0], vec![f64::MAX, 0.0], None),
            (vec![], vec![], None),
        ] {
            assert_eq!(cosine(&one, &other), expected, "{one:?} {other:?}");
        }
        let slanted = cosine(&[1.0, 1.0], &[1.0, 0.0]).unwrap();
        assert!((slanted - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-9);
    }
}
