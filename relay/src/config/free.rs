//! What must hold of the figures about free answers.

use anyhow::{Result, ensure};

use super::Free;

impl Free {
    /// Checks that no amount is below zero, and that no less is kept than is given.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(!self.budget.is_negative(), "free.budget must not be below zero");
        ensure!(
            self.per_answer.is_none_or(|most| !most.is_negative()),
            "free.per_answer must not be below zero"
        );
        // Else what the operator gives would be taken back at midnight.
        ensure!(
            self.keep.is_none_or(|keep| keep >= self.budget),
            "free.keep must not be less than free.budget"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rekursing_protocol::Nanos;

    use crate::config::Config;

    #[test]
    fn what_is_kept_for_free_answers_is_no_less_than_what_is_given_for_them() {
        let terms =
            Config::parse("[free]\nbudget = \"1\"\nper_answer = \"0\"\nkeep = \"1\"").unwrap().terms();
        assert_eq!(terms.free_per_answer_max, Some(Nanos::ZERO));
        assert_eq!(terms.free_keep_max, Some(Nanos::DOLLAR));
        for (text, said) in [
            ("budget = \"-1\"", "free.budget must not be below zero"),
            ("per_answer = \"-0.1\"", "free.per_answer must not be below zero"),
            ("budget = \"2\"\nkeep = \"1\"", "free.keep must not be less than free.budget"),
        ] {
            let refused = Config::parse(&format!("[free]\n{text}")).unwrap_err();
            assert_eq!(refused.to_string(), said);
        }
    }
}
