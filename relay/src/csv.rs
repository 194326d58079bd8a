//! CSV by RFC 4180 that no spreadsheet takes for a formula.

/// Rows of cells as text. A row ends with CR LF.
#[derive(Debug, Default)]
pub struct Csv {
    text: String,
}

impl Csv {
    /// Begins with a heading.
    pub fn new(heading: &[&str]) -> Csv {
        let mut csv = Csv::default();
        csv.row(heading);
        csv
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[impl AsRef<str>]) {
        for (at, text) in cells.iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            self.text.push_str(&cell(text.as_ref()));
        }
        self.text.push_str("\r\n");
    }

    /// Returns all of it.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// Writes a cell. What a spreadsheet would compute gets an apostrophe in front, which makes it a text there.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_no_text_leaves_its_cell() {
        for (text, written) in [
            ("qwen2.5-7b", "qwen2.5-7b"),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"\n=1", "\"say \"\"hi\"\"\n=1\""),
            ("", ""),
        ] {
            assert_eq!(cell(text), written, "{text:?}");
        }
    }

    #[test]
    fn rows_end_as_the_standard_says() {
        let mut csv = Csv::new(&["model", "jobs"]);
        csv.row(&["tiny".to_owned(), "3".to_owned()]);
        assert_eq!(csv.into_text(), "model,jobs\r\ntiny,3\r\n");
    }
}
