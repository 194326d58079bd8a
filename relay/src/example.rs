//! The worked examples of `docs/ledger.md`, walked through the very rules that serve jobs: the book, the board
//! of ads, the market and the steps of a payout. `rekursing-relay example` prints them, and a test holds the
//! document against what it prints, line by line and row by row.

mod ad;
mod dollar;
mod free;
mod paid;
mod payout;

use std::fmt;

use anyhow::Result;
use rekursing_market::{Account, Book};
use rekursing_protocol::{Moment, Nanos, PluginId, Span};

/// An example under its heading in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The heading.
    pub heading: &'static str,
    /// Its figures: lines of a list, an empty line, and a table.
    pub figures: String,
}

/// Walks through all examples, in the document's order.
///
/// # Errors
/// When one breaks a rule, which none does.
pub fn all() -> Result<Vec<Example>> {
    Ok(vec![
        paid::usual()?,
        paid::small()?,
        paid::missed()?,
        ad::example()?,
        free::example()?,
        dollar::example()?,
        payout::example()?,
    ])
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "## {}\n\n{}", self.heading, self.figures)
    }
}

/// The owner of every example.
const OWNER: PluginId = PluginId::from_bits(2);

/// When every example begins: 2026-03-01.
const BEGIN: Moment = Moment(20_513 * Span::DAY.0);

/// What accounts have after each step, as a table.
struct Table {
    columns: Vec<(&'static str, Account)>,
    text: String,
}

impl Table {
    /// Begins one whose first columns have these headings and whose others are accounts.
    fn new(first: &str, columns: Vec<(&'static str, Account)>) -> Table {
        let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
        let line = "---|".repeat(first.split(" | ").count() + columns.len() + 1);
        let text = format!("| {first} | {} | together |\n|{line}\n", headings.join(" | "));
        Table { columns, text }
    }

    /// Adds what they have, and all of them together.
    fn row(&mut self, after: &str, book: &Book) {
        let balances: Vec<Nanos> = self.columns.iter().map(|(_, account)| book.balance(*account)).collect();
        let together = balances.iter().map(|balance| balance.get()).sum();
        let cells: Vec<String> = balances.into_iter().chain([Nanos::new(together)]).map(usd).collect();
        self.text += &format!("| {after} | {} |\n", cells.join(" | "));
    }

    /// Returns it behind the lines of a list.
    fn behind(self, lines: &[String]) -> String {
        format!("{}\n{}", list(lines), self.text)
    }
}

/// Writes lines as a list.
fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("- {line}\n")).collect()
}

/// Writes an amount with a minus sign.
fn usd(amount: Nanos) -> String {
    amount.to_string().replace('-', "−")
}

fn minus(whole: Nanos, part: Nanos) -> Nanos {
    Nanos::new(whole.get() - part.get())
}

/// Writes a number with a comma before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the document's text from a heading to the next.
    fn section(heading: &str) -> &'static str {
        let document = include_str!("../../docs/ledger.md");
        let (_, rest) = document.split_once(&format!("\n## {heading}\n")).expect("there is such a heading");
        rest.split("\n## ").next().unwrap_or(rest)
    }

    #[test]
    fn the_document_shows_exactly_what_the_command_prints() {
        for Example { heading, figures } in all().unwrap() {
            let section = section(heading);
            for block in figures.split_inclusive("\n\n") {
                let block = block.trim_end();
                assert!(
                    section.contains(block),
                    "docs/ledger.md, {heading}, has other figures than:\n{block}"
                );
            }
            // Nor does it show a row or a line of figures that nobody has worked out.
            let rows = |text: &str| text.lines().filter(|line| line.starts_with('|')).count();
            assert_eq!(rows(section), rows(&figures) + rows_in_words(heading), "{heading}");
        }
    }

    /// How many rows of a section's tables have words in place of figures.
    fn rows_in_words(heading: &str) -> usize {
        // The entries of each state of a payout, with their heading.
        if heading == "A payout" { 11 } else { 0 }
    }

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
