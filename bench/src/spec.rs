//! What one request asks of the model server. It travels inside the prompt, because every relay
//! passes prompts on unchanged.

use std::fmt;

/// How many tokens, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// Tokens.
    pub tokens: u32,
    /// Microseconds between tokens; 0 is flat out, one write per token.
    pub interval_us: u64,
    /// Microseconds before the first token.
    pub delay_us: u64,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec { tokens: 20, interval_us: 0, delay_us: 0 }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[[n={} i={} d={}]]", self.tokens, self.interval_us, self.delay_us)
    }
}

impl Spec {
    /// Finds the spec in a request's body; the default where there is none.
    pub fn find(body: &[u8]) -> Spec {
        let mut spec = Spec::default();
        let Some(start) = memchr::memmem::find(body, b"[[n=") else { return spec };
        let inner = &body[start + 2..];
        let end = memchr::memmem::find(inner, b"]]").unwrap_or(inner.len());
        for word in String::from_utf8_lossy(&inner[..end]).split_whitespace() {
            let Some((name, number)) = word.split_once('=') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match name {
                "n" => spec.tokens = u32::try_from(number).unwrap_or(u32::MAX),
                "i" => spec.interval_us = number,
                "d" => spec.delay_us = number,
                _ => {}
            }
        }
        spec
    }
}

/// Tells whether a request's body asks for a stream.
pub fn wants_stream(body: &[u8]) -> bool {
    let Some(at) = memchr::memmem::find(body, b"\"stream\"") else { return false };
    let mut rest = body[at + 8..].iter().filter(|byte| !byte.is_ascii_whitespace());
    rest.by_ref().take(5).eq(b":true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_found_in_a_prompt_as_it_was_written() {
        let spec = Spec { tokens: 200, interval_us: 50_000, delay_us: 7 };
        let body = format!("{{\"stream\": true, \"content\":\"{spec} lorem\"}}");
        assert_eq!(Spec::find(body.as_bytes()), spec);
        assert!(wants_stream(body.as_bytes()));
        assert_eq!(Spec::find(b"{\"stream\":false}"), Spec::default());
        assert!(!wants_stream(b"{\"stream\":false}"));
    }
}
