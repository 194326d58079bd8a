//! The relay's program: serves, and keeps API keys and the ledger in order.

use std::{
    io::{IsTerminal, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use rekursing_market::{Account, Limits};
use rekursing_protocol::{AccountId, KeyId, Moment, Nanos, Price, Span, name};
use rekursing_relay::{
    chance,
    clock::Clock,
    config::Config,
    example, keys, limits, receipt, relay,
    store::{self, Act, End, GRANT_MAX, Key, Location, Made, NewKey, Standing, Store, Unstarted},
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
    /// Says which accounts are verified, so that owners who want to know whom they serve serve them; works
    /// while a relay serves
    Account {
        #[command(subcommand)]
        task: AccountTask,
    },
    /// Prints what the operator did, by command or over HTTP, newest first
    Log {
        /// How many lines
        #[arg(long, default_value_t = 100)]
        limit: u64,
        /// Prints one line of JSON, with amounts as texts
        #[arg(long)]
        json: bool,
    },
    /// Checks every rule of the ledger over the whole book; ends with 1 if one is broken
    Audit {
        /// Where the ledger ended once, as an audit printed it: the entry's number, a colon, its hash
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<End>,
    },
    /// Checks receipts
    Receipt {
        #[command(subcommand)]
        task: ReceiptTask,
    },
    /// Prints the examples of docs/ledger.md, among them one dollar on its way, figure by figure
    Example,
    /// Prints the SHA-256 of an operator's token, read from the standard input, for the config
    HashToken,
}

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
        /// Makes another key to this account, acc_…, and no new account
        #[arg(long)]
        account: Option<AccountId>,
        #[command(flatten)]
        limits: LimitFlags,
    },
    /// Adds to the balance behind a key
    Grant {
        /// The key's first characters, as `list` shows them
        prefix: KeyId,
        /// Amount in USD, such as 5.00
        #[arg(long)]
        amount: Nanos,
        /// Adds to what the account can spend on its ads, in place of answers
        #[arg(long)]
        ads: bool,
    },
    /// Lists keys by their first characters, with balance, money held for running jobs, money spent, in USD, and limits
    List {
        /// Prints one line of JSON, with amounts as texts
        #[arg(long)]
        json: bool,
    },
    /// Closes a key for good, and those made with it; a serving relay knows of it within a second
    Revoke {
        /// The key's first characters, as `list` shows them
        prefix: KeyId,
        /// Leaves the keys that were made with it open
        #[arg(long)]
        keep_made: bool,
    },
}

#[derive(Debug, Subcommand)]
enum AccountTask {
    /// Marks an account as verified
    Verify {
        /// The account, acc_…, as `key list` shows it
        account: AccountId,
        /// Why, for the log
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Takes the mark back; an account that has paid in stays verified
    Unverify {
        /// The account
        account: AccountId,
        /// Why, for the log
        #[arg(long, default_value = "")]
        note: String,
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

/// What a key may do with its account's money.
#[derive(Debug, clap::Args)]
struct LimitFlags {
    /// Most that the key may spend in a UTC day, in USD
    #[arg(long)]
    budget_day: Option<Nanos>,
    /// Most that the key may spend in all, in USD
    #[arg(long)]
    budget_total: Option<Nanos>,
    /// Models that the key may ask, by family or exact name, parted by commas
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Highest price of prompts that the key pays, in USD per million tokens
    #[arg(long, value_name = "USD")]
    max_price_input: Option<Nanos>,
    /// Highest price of answers that the key pays, in USD per million tokens
    #[arg(long, value_name = "USD")]
    max_price_output: Option<Nanos>,
    /// How long the key opens anything, in days or hours: 90d, 12h
    #[arg(long, value_parser = span)]
    expires: Option<Span>,
}

impl LimitFlags {
    fn limits(self, now: Moment) -> Result<Limits> {
        let side = |most: Option<Nanos>| most.map_or(u64::MAX, |most| most.get().unsigned_abs() / 1_000);
        let (input, output) = (self.max_price_input, self.max_price_output);
        let amounts = [self.budget_day, self.budget_total, input, output];
        if amounts.into_iter().flatten().any(Nanos::is_negative) {
            bail!("a budget or a price is not below 0");
        }
        let price = Price::new(side(input), side(output));
        let limits = Limits {
            budget_day: self.budget_day,
            budget_total: self.budget_total,
            models: self.models,
            price_max: (input.is_some() || output.is_some()).then_some(price),
            expires: self.expires.map(|span| now + span),
            gate: None,
        };
        limits::check(&limits).map_err(|(_, message)| anyhow::anyhow!(message))?;
        Ok(limits)
    }
}

/// Reads a length of time in days or hours.
fn span(text: &str) -> Result<Span, String> {
    let wrong = || "a length of time is a number of days or hours, such as 90d or 12h".to_owned();
    let (number, seconds) = match (text.strip_suffix('d'), text.strip_suffix('h')) {
        (Some(days), _) => (days, 86_400),
        (None, Some(hours)) => (hours, 3_600),
        (None, None) => return Err(wrong()),
    };
    // Ten thousand of either is long enough, and short enough to be added to any moment.
    let number: u64 = number.parse().map_err(|_| wrong())?;
    if (1..=10_000).contains(&number) { Ok(Span::secs(number * seconds)) } else { Err(wrong()) }
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
        Task::Account { task } => {
            store::must_exist(&config.location())?;
            match task {
                AccountTask::Verify { account, note } => {
                    mark(&config.location(), account, Standing::Verified, &note)
                }
                AccountTask::Unverify { account, note } => {
                    mark(&config.location(), account, Standing::Unverified, &note)
                }
            }
        }
        Task::Log { limit, json } => {
            store::must_exist(&config.location())?;
            log(&config.location(), limit, json)
        }
        Task::Audit { expect } => {
            store::must_exist(&config.location())?;
            audit(&config.location(), expect)
        }
        Task::Receipt { task: ReceiptTask::Verify { file, key } } => {
            let keys = if key.is_empty() { known_keys(&config.location())? } else { key };
            verify(&file, &keys)
        }
        Task::Example => {
            let examples = example::all().context("an example breaks a rule of the ledger")?;
            let text: Vec<String> = examples.iter().map(ToString::to_string).collect();
            say(text.join("\n").trim_end())
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
    // The library of MCP would log what agents ask.
    let filter = filter.add_directive("rmcp=off".parse().context("the log's filter")?);
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
        let listener = relay::bind(config.listen)?;
        let address = listener.local_addr().context("the listener has no address")?;
        let operator = config.operator_listen.map(relay::bind).transpose()?;
        let open = tokio::task::spawn_blocking(move || relay::open(config));
        let house = open.await.context("the relay could not be set up")??;
        // Before anybody is told of it: whoever starts a relay may stop it at once.
        let shutdown = signals()?;
        tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
        say(&format!("LISTENING http://{address}"))?;
        if let Some(operator) = &operator {
            let address = operator.local_addr().context("the operator's listener has no address")?;
            say(&format!("OPERATOR http://{address}"))?;
        }
        relay::run(house, listener, operator, shutdown).await;
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
        KeyTask::Create { name, balance, account, limits } => {
            if balance.is_negative() || balance > GRANT_MAX {
                bail!("a balance is from 0 to {GRANT_MAX} USD");
            }
            if !keys::is_name(&name) {
                bail!("{}", keys::BAD_NAME);
            }
            if let Some(account) = account
                && !store.has_account(account)?
            {
                bail!("no key opens the account {account}");
            }
            let limits = limits.limits(now)?;
            let (ms, random) = chance::id(now);
            let account = account.unwrap_or_else(|| AccountId::new(ms, random));
            let new = |secret: &str| Key::new(secret, now, name.clone(), account, None, limits.clone());
            say(&create(&mut store, new, balance)?)
        }
        KeyTask::Grant { prefix, amount, ads } => {
            if amount <= Nanos::ZERO || amount > GRANT_MAX {
                bail!("an amount is above 0 and at most {GRANT_MAX} USD");
            }
            let purse = if ads { Account::Advertiser } else { Account::Page };
            let Some(key) = store.grant(now, prefix, purse, amount, &who())? else {
                bail!("no key begins with {prefix}")
            };
            say(&format!("granted {amount} USD to {}", key.account))
        }
        KeyTask::List { json } => {
            let purses = store.purses()?;
            let listed = if json { keys::json(&purses) } else { keys::table(now, &purses) };
            say(listed.trim_end())
        }
        KeyTask::Revoke { prefix, keep_made } => {
            let made = if keep_made { Made::Kept } else { Made::RevokedToo };
            match store.revoke_key(now, prefix, made, &who())? {
                0 => bail!("no open key begins with {prefix}"),
                1 => say(&format!("revoked {prefix}…")),
                count => say(&format!("revoked {prefix}… and {} keys that were made with it", count - 1)),
            }
        }
    }
}

fn mark(location: &Location, account: AccountId, standing: Standing, note: &str) -> Result<()> {
    if !name::is_plain(note) {
        bail!("a note holds visible characters alone");
    }
    let act = Act::of(&who(), standing.deed(), account, note);
    if !Store::open(location)?.mark(Clock::start().now(), account, standing, &act)? {
        bail!("no key opens the account {account}");
    }
    say(match standing {
        Standing::Verified => "verified",
        Standing::Unverified => "no longer marked as verified",
    })
}

/// Makes a key, in the rare case that it begins like another one a second time, and returns it.
fn create(store: &mut Unstarted, new: impl Fn(&str) -> Key, balance: Nanos) -> Result<String> {
    loop {
        let secret = chance::secret(KeyId::PREFIX);
        match store.create_key(&new(&secret), balance, &who())? {
            NewKey::Made => return Ok(secret),
            NewKey::Taken => {}
            NewKey::TooMany | NewKey::MakerRevoked => bail!("the key could not be made"),
        }
    }
}

/// Prints what the operator did, newest first.
fn log(location: &Location, count: u64, json: bool) -> Result<()> {
    let lines = Store::open(location)?.operator_log(count)?;
    if json {
        return say(&serde_json::to_string(&lines).context("could not write the log as JSON")?);
    }
    for line in lines {
        let amount = line.amount.map(|amount| format!("{amount} USD ")).unwrap_or_default();
        let at = limits::time(line.at);
        say(format!("{at} {} {} {} {amount}{}", line.who, line.what, line.about, line.note).trim_end())?;
    }
    Ok(())
}

/// Says who gives a command: the user as the machine calls him.
fn who() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    of_user(user.as_deref().unwrap_or_default())
}

fn of_user(user: &str) -> String {
    match name::plain(user, keys::NAME_CHARS_MAX) {
        unknown if unknown.is_empty() => "cli".to_owned(),
        user => format!("cli:{user}"),
    }
}

fn audit(location: &Location, expected: Option<End>) -> Result<()> {
    let (audit, end) = store::audit_to_end(location, expected)?;
    if let Some(wrong) = audit.wrong {
        bail!("{wrong}");
    }
    say(&format!("{} entries, {} open holds, every rule holds", audit.entries, audit.open_holds))?;
    say(&format!("the ledger ends with {end}"))
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
    let given_back = match receipt.given_back {
        Some(amount) if amount > Nanos::ZERO => format!(", {amount} USD given back"),
        _ => String::new(),
    };
    say(&format!(
        "{}: {}, {} USD charged{given_back}, signed as it is",
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
