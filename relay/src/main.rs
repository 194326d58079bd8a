//! The relay's program: serves, and keeps API keys and the ledger in order.

use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use rekursing_market::Account;
use rekursing_protocol::{AccountId, Nanos, name::is_plain};
use rekursing_relay::{
    chance,
    clock::Clock,
    config::Config,
    example, keys, receipt, relay,
    store::{self, Key, Location, Store},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Holds the owners' sessions, matches pages' jobs to them, streams the answers, keeps the ledger.
#[derive(Debug, Parser)]
#[command(version, after_long_help = settings())]
struct Cli {
    /// What to do; `serve` when nothing is named.
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    place: Place,
}

/// Every setting of the config file with its default, out of the operator's manual.
fn settings() -> String {
    let rows = include_str!("../../docs/running.md").lines().filter_map(|line| {
        let (key, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        let (default, meaning) = rest.trim_end_matches(" |").split_once(" | ")?;
        let is_setting = !key.contains([' ', '-']);
        is_setting.then(|| format!("  {key} = {}\n          {meaning}\n", default.replace('`', "")))
    });
    format!("Settings of the config file (TOML; a dot parts table and key):\n{}", rows.collect::<String>())
}

/// Where things are.
#[derive(Debug, clap::Args)]
struct Place {
    /// Address and port to listen on; port 0 lets the system choose [default: 127.0.0.1:3002]
    #[arg(long, env = "REKURSING_LISTEN", global = true)]
    listen: Option<SocketAddr>,
    /// Folder of the database [default: data]
    #[arg(long, env = "REKURSING_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// PostgreSQL as postgres://user:password@host/name, in place of SQLite in the folder
    #[arg(long, env = "REKURSING_DATABASE", global = true, hide_env_values = true)]
    database: Option<Location>,
    /// TOML file with every other setting; docs/running.md lists them
    #[arg(long, env = "REKURSING_CONFIG", global = true)]
    config: Option<PathBuf>,
}

impl Place {
    /// Tells whether the data folder was named, and is not just the default.
    fn is_named(&self) -> bool {
        self.data_dir.is_some() || self.database.is_some() || self.config.is_some()
    }
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Serves until SIGTERM or SIGINT, then drains
    Serve,
    /// Makes, lists and revokes API keys of pages; works while a relay serves
    Key {
        #[command(subcommand)]
        task: KeyTask,
    },
    /// Checks every rule of the ledger over the whole book; ends with 1 if one is broken
    Audit,
    /// Checks receipts
    Receipt {
        #[command(subcommand)]
        task: ReceiptTask,
    },
    /// Prints how one dollar goes through the ledger, figure by figure
    Example,
    /// Prints the SHA-256 of an operator's token, read from the standard input, for the config
    HashToken,
}

/// The most that is granted at once: a million dollars. All grants together must fit 64 bits.
const GRANT_MAX: Nanos = Nanos::new(1_000_000_000_000_000);

/// Longest name of a key, in characters.
const KEY_NAME_MAX: usize = 60;

#[derive(Debug, Subcommand)]
enum KeyTask {
    /// Makes an account with an opening balance and a key to it, and shows the key this once
    Create {
        /// What to call it
        #[arg(long)]
        name: String,
        /// Opening balance in USD, such as 5.00
        #[arg(long, default_value = "0")]
        balance: Nanos,
    },
    /// Adds to the balance behind a key
    Grant {
        /// The key's first characters, as `list` shows them
        prefix: String,
        /// Amount in USD, such as 5.00
        #[arg(long)]
        amount: Nanos,
        /// Adds to what the account can spend on its ads, in place of answers
        #[arg(long)]
        ads: bool,
    },
    /// Lists keys by their first characters, with balance, money held for running jobs, and money spent, in USD
    List {
        /// Prints one line of JSON, with amounts as texts
        #[arg(long)]
        json: bool,
    },
    /// Closes a key for good; a serving relay knows of it within a second
    Revoke {
        /// The key's first characters, as `list` shows them
        prefix: String,
    },
}

#[derive(Debug, Subcommand)]
enum ReceiptTask {
    /// Checks that a receipt was signed as it is and that its figures add up; ends with 1 if not. Needs
    /// no relay
    Verify {
        /// File with the receipt's JSON; `-` reads the standard input
        file: PathBuf,
        /// The relay's public key in hex, as `/.well-known/rekursing-receipts` tells it; may be given more
        /// than once. Without it the keys in the data folder count
        #[arg(long)]
        key: Vec<String>,
    },
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let config = config(&cli.place)?;
    match cli.task.unwrap_or(Task::Serve) {
        Task::Serve => serve(config),
        Task::Key { task } => {
            if !matches!(task, KeyTask::Create { .. }) || !cli.place.is_named() {
                store::must_exist(&config.location())?;
            }
            key(&config.location(), task)
        }
        Task::Audit => {
            store::must_exist(&config.location())?;
            audit(&config.location())
        }
        Task::Receipt { task: ReceiptTask::Verify { file, key } } => {
            let keys = if key.is_empty() { known_keys(&config.location())? } else { key };
            verify(&file, &keys)
        }
        Task::Example => {
            let text = example::follow_one_dollar().context("the example breaks a rule of the ledger")?;
            say(text.trim_end())
        }
        Task::HashToken => hash_token(),
    }
}

fn config(place: &Place) -> Result<Config> {
    let mut config = match &place.config {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("could not read the config {}", path.display()))?;
            Config::parse(&text)?
        }
        None => Config::default(),
    };
    if let Some(listen) = place.listen {
        config.listen = listen;
    }
    if let Some(folder) = &place.data_dir {
        config.data_dir.clone_from(folder);
    }
    if let Some(database) = &place.database {
        config.database = Some(database.clone());
    }
    Ok(config)
}

fn serve(config: Config) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("REKURSING_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let to_reader = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(to_reader)
        .with_writer(std::io::stderr)
        .init();
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok()
        .context("another TLS provider is installed in this process")?;
    let runtime = if config.threads <= 1 {
        tokio::runtime::Builder::new_current_thread().enable_all().build()
    } else {
        tokio::runtime::Builder::new_multi_thread().worker_threads(config.threads).enable_all().build()
    };
    runtime.context("could not start the runtime")?.block_on(async {
        let listener = relay::bind(&config)?;
        let address = listener.local_addr().context("the listener has no address")?;
        let open = tokio::task::spawn_blocking(move || relay::open(config));
        let house = open.await.context("the relay could not be set up")??;
        // Before anybody is told of it: whoever starts a relay may stop it at once.
        let shutdown = signals()?;
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
        say(&format!("LISTENING http://{address}"))?;
        relay::run(house, listener, shutdown).await;
        Ok(())
    })
}

/// Completes at the first SIGTERM or SIGINT.
fn signals() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn key(location: &Location, task: KeyTask) -> Result<()> {
    let mut store = Store::open(location)?;
    let now = Clock::start().now();
    match task {
        KeyTask::Create { name, balance } => {
            if balance.is_negative() || balance > GRANT_MAX {
                bail!("a balance is from 0 to {GRANT_MAX} USD");
            }
            if name.chars().count() > KEY_NAME_MAX || !is_plain(&name) {
                bail!("a key's name has at most {KEY_NAME_MAX} characters, all of them visible");
            }
            let secret = chance::secret("rk_");
            let (ms, random) = chance::id(now);
            let key = Key {
                hash: chance::digest(&secret),
                prefix: secret.chars().take(11).collect(),
                name,
                account: AccountId::new(ms, random),
                revoked: false,
            };
            store.create_key(now, &key, balance)?;
            say(&secret)
        }
        KeyTask::Grant { prefix, amount, ads } => {
            if amount <= Nanos::ZERO || amount > GRANT_MAX {
                bail!("an amount is above 0 and at most {GRANT_MAX} USD");
            }
            let purse = if ads { Account::Advertiser } else { Account::Page };
            let Some(key) = store.grant(now, &prefix, purse, amount)? else {
                bail!("no key begins with {prefix}")
            };
            say(&format!("granted {amount} USD to {}", key.account))
        }
        KeyTask::List { json } => {
            let purses = store.purses()?;
            let listed = if json { keys::json(&purses) } else { keys::table(&purses) };
            say(listed.trim_end())
        }
        KeyTask::Revoke { prefix } => {
            if store.revoke_key(now, &prefix)? {
                return say(&format!("revoked {prefix}…"));
            }
            bail!("no open key begins with {prefix}")
        }
    }
}

fn audit(location: &Location) -> Result<()> {
    let audit = store::audit(location)?;
    if let Some(wrong) = audit.wrong {
        bail!("{wrong}");
    }
    say(&format!("{} entries, {} open holds, every rule holds", audit.entries, audit.open_holds))
}

/// Reads the public keys of the relay whose database this is.
fn known_keys(location: &Location) -> Result<Vec<String>> {
    store::must_exist(location)?;
    let keys = Store::open(location)?.known_receipt_keys()?;
    Ok(keys.iter().map(|key| receipt::public(key).key).collect())
}

fn verify(file: &Path, keys: &[String]) -> Result<()> {
    let json = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("could not read the standard input")?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?
    };
    let receipt = receipt::verify(&json, keys)?;
    say(&format!(
        "{}: {}, {} USD charged, signed as it is",
        receipt.job_id,
        receipt.state.name(),
        receipt.charge
    ))
}

fn hash_token() -> Result<()> {
    let mut token = String::new();
    std::io::stdin().read_line(&mut token).context("could not read the token")?;
    let token = token.trim();
    if token.len() < 16 {
        bail!("a token has at least 16 characters");
    }
    say(&chance::hex(&chance::digest(token)))
}

/// Writes one line to the standard output, at once.
fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("could not write to the standard output")
}
