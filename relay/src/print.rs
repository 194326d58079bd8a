//! Fingerprints of what was asked and answered, by which an attached text is known again. No text can be read out of
//! one, and none says of two jobs whether they had the same text.

use rekursing_protocol::JobId;
use sha2::{Digest, Sha256};

/// SHA-256 over a job's id, a line feed and a text that comes in pieces.
#[derive(Debug, Clone)]
pub struct Print(Sha256);

impl Print {
    /// Begins a job's.
    pub fn of(job: JobId) -> Print {
        Print(Sha256::new().chain_update(job.to_string()).chain_update("\n"))
    }

    /// Takes the next piece.
    pub fn push(&mut self, text: &str) {
        self.0.update(text);
    }

    /// Takes JSON without the space between its parts.
    pub fn push_json(&mut self, json: &str) {
        parts(json).for_each(|part| self.push(part));
    }

    /// Returns the hash of all of it.
    pub fn hash(&self) -> [u8; 32] {
        self.0.clone().finalize().into()
    }
}

/// Returns JSON without the space between its parts, as pieces.
pub fn parts(json: &str) -> impl Iterator<Item = &str> {
    let (mut is_text, mut is_escaped) = (false, false);
    json.split(move |letter: char| {
        let is_space = !is_text && matches!(letter, ' ' | '\n' | '\r' | '\t');
        if letter == '"' && !is_escaped {
            is_text = !is_text;
        }
        is_escaped = is_text && letter == '\\' && !is_escaped;
        is_space
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(pieces: &[&str]) -> [u8; 32] {
        let mut print = Print::of(JobId::from_bits(1));
        pieces.iter().for_each(|piece| print.push(piece));
        print.hash()
    }

    #[test]
    fn pieces_make_the_print_of_the_whole_and_each_job_has_its_own() {
        assert_eq!(hash(&["a ", "word"]), hash(&["a word"]));
        assert_ne!(hash(&["a word"]), hash(&["a Word"]));
        let mut other = Print::of(JobId::from_bits(2));
        other.push("a word");
        assert_ne!(other.hash(), hash(&["a word"]));
    }

    #[test]
    fn space_between_the_parts_of_json_says_nothing_and_within_a_text_it_does() {
        let told = |json: &str| parts(json).collect::<String>();
        for (json, expected) in [
            (r#"[ { "role" : "user" ,"content":"a  b" } ]"#, r#"[{"role":"user","content":"a  b"}]"#),
            ("{\n\t\"a\": \"\\\" x\" ,\r\n \"b\\\\\" : 1}", "{\"a\":\"\\\" x\",\"b\\\\\":1}"),
            (r#""go on""#, r#""go on""#),
        ] {
            assert_eq!(told(json), expected);
            assert_eq!(told(expected), expected);
        }
    }
}
