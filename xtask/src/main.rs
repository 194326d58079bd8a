//! Chores of the project: `cargo xtask <chore>`.

mod extension;
mod pack;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Chores of the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Builds the extension into `dist/extension/`, ready to load unpacked.
    Extension,
    /// Packs `dist/extension/` as `dist/rekursing-VERSION.zip`.
    Pack,
}

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::Extension => extension::build().map(drop),
        Chore::Pack => pack::pack().map(drop),
    }
}
