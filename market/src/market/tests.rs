//! The market's promises.
