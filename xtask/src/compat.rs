//! `cargo xtask compat`: the relay is asked through the libraries and programs that most people ask through,
//! whose packages are too heavy for `cargo xtask test`.

use anyhow::Result;

use crate::{outfit, test};

/// Fetches the packages and runs the tests that need them.
pub(crate) fn compat() -> Result<()> {
    outfit::python()?;
    outfit::compat()?;
    test::build()?;
    test::cargo(&["test", "--test", "compat"], &[&test::WORKSPACE, &["--", "--ignored"]])
}
