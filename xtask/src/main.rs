//! Chores of the project: `cargo xtask <chore>`.

mod bench;
mod clock;
mod compat;
mod demo;
mod extension;
mod outfit;
mod pack;
mod prove;
mod suites;
mod test;

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
    /// Shows the whole product at work: relay, model server and the extension in Chromium.
    Demo {
        /// Shows no window: asks one question, prints the answer and what it cost, and ends.
        #[arg(long)]
        headless: bool,
    },
    /// Checks everything: formatting, lints, tests, documentation.
    Test,
    /// Runs the tests of what must hold however often it is tried, far longer than `test` does.
    Prove {
        /// The proofs to run; all if left out.
        names: Vec<String>,
    },
    /// Measures what the relay adds; takes about ten minutes on a quiet machine.
    Bench {
        /// How often each load is sent over each way; medians are reported.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// Writes the report to `docs/performance.md`.
        #[arg(long)]
        write: bool,
    },
    /// Asks a relay through the libraries and programs that speak OpenAI's format, which take 850 MB.
    Compat,
    /// Finds or sets up what the tests need beside the compiler.
    Setup,
    /// Builds the extension into `dist/extension/`, ready to load unpacked.
    Extension,
    /// Takes the store's pictures of the real extension at work, into `extension/store/`.
    Shots,
    /// Packs the extension as `dist/rekursing-VERSION.zip` for the store and as a signed `.crx`.
    Pack(pack::Packing),
}

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::Demo { headless } => demo::demo(headless),
        Chore::Test => test::test(),
        Chore::Prove { names } => prove::prove(&names),
        Chore::Bench { rounds, write } => bench::bench(rounds, write),
        Chore::Compat => compat::compat(),
        Chore::Setup => outfit::all(),
        Chore::Extension => extension::build().map(drop),
        Chore::Shots => demo::shots(),
        Chore::Pack(packing) => pack::pack(&packing),
    }
}

/// Tells whoever runs the chore what happens.
fn say(text: &str) {
    eprintln!("xtask: {text}");
}
