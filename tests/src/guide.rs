//! The programs in the guides, which stand between fences for their readers to copy.

use anyhow::{Context, Result, ensure};

use crate::built;

/// What a guide has in the place of the reader's relay and key.
const RELAYS: [&str; 2] = ["http://127.0.0.1:3002", "https://rekursing.com"];
const KEY: &str = "rk_…";

/// A program of a guide.
#[derive(Debug)]
pub struct Program {
    /// The language that the fence names.
    pub language: String,
    code: String,
}

/// Reads the programs of a guide in its order, or of its part under this heading.
///
/// # Errors
/// Fails when there is no such guide or part, and when a fence stays open.
pub fn programs(guide: &str, heading: Option<&str>) -> Result<Vec<Program>> {
    let text = std::fs::read_to_string(built::root().join(guide)).with_context(|| format!("no {guide}"))?;
    let mut part = heading.is_none();
    let mut found = Vec::new();
    let mut open: Option<Program> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Program { language: language.to_owned(), code: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take().filter(|_| part)),
            (Some(program), None) => {
                program.code += line;
                program.code.push('\n');
            }
            (None, None) => {
                if let (Some(heading), Some(title)) = (heading, line.strip_prefix("## ")) {
                    part = title == heading;
                }
            }
        }
    }
    ensure!(open.is_none(), "a fence of {guide} stays open");
    ensure!(!found.is_empty(), "no program in {guide}");
    Ok(found)
}

impl Program {
    /// Returns what its reader runs who puts his relay and his key in.
    ///
    /// # Errors
    /// Fails when something is left that he would have to guess.
    pub fn with(&self, relay: &str, key: &str) -> Result<String> {
        let code = RELAYS.iter().fold(self.code.replace(KEY, key), |code, known| code.replace(known, relay));
        ensure!(!code.contains('…') && !code.contains("rekursing.com"), "what is to be put in here? {code}");
        Ok(code)
    }

    /// Tells whether it needs one of the packages that `cargo xtask compat` fetches.
    #[must_use]
    pub fn is_heavy(&self) -> bool {
        ["from mcp ", "'@modelcontextprotocol/"].iter().any(|import| self.code.contains(import))
    }
}
