//! How much a random test does: little in the usual run, and as much as somebody has time for in
//! `cargo xtask prove`.

/// Returns how many random plans a test makes: what `REKURSING_PLANS` says, or else the usual number.
pub(crate) fn plans(usual: u32) -> u32 {
    std::env::var("REKURSING_PLANS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
