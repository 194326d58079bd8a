//! Every number that an operator may turn, in one place, each with its unit.
//!
//! The TOML file has the same tables and keys as the structs here; what it leaves out keeps the
//! default, and a key that does not exist is refused.

mod free;
mod money;
mod payouts;
mod tiers;
mod top_ups;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result, ensure};
use rekursing_market::{
    Steps, Terms,
    ads::{AdTerms, Bid},
};
use rekursing_protocol::{Nanos, Price, Span};
use serde::Deserialize;

pub use payouts::{Payouts, Paypal, Stripe, Usdc};

use crate::{
    chance,
    store::{Location, Quota},
};
pub use tiers::{Tiers, Turned};
pub use top_ups::TopUps;

/// The id of the published extension, by its public key in `manifest.json`.
pub const EXTENSION_ID: &str = "hcmaooakdekehmhhbjmbifiljdchnaeo";

/// What the relay is told at its start.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Folder of the database.
    pub data_dir: PathBuf,
    /// PostgreSQL in place of SQLite in the folder.
    pub database: Option<Location>,
    /// Threads that serve sockets. One is quickest where the machine has few cores.
    pub threads: usize,
    /// Origins of web pages that may call the relay from a browser, among them the relay's own where it
    /// has a name; beside those under its IP address and `localhost`. `*` lets pages of all origins ask.
    pub origins: Vec<String>,
    /// Ids of Chrome extensions that may register and connect, beside the published one and those in
    /// `downloads`.
    pub extensions: Vec<String>,
    /// Folder of signed extensions that are served at `/download`.
    pub downloads: Option<PathBuf>,
    /// Whether a proxy stands in front, so that the last address of `X-Forwarded-For` is the visitor's.
    pub behind_proxy: bool,
    /// Plugins that must have served a family of models in an hour for its jobs to be told with model, provider
    /// and money in the public list of that hour.
    pub public_providers_min: usize,
    /// SHA-256, in hex, of the operator's token. Without it the operator's routes are closed.
    pub operator_token_sha256: Option<String>,
    /// Address and port for the operator's routes alone, which are then on no other. None: they are with
    /// the others.
    pub operator_listen: Option<SocketAddr>,
    /// Free answers.
    pub free: Free,
    /// Ads beside free answers.
    pub ads: Ads,
    /// Prices and fee.
    pub money: Money,
    /// What each tier costs and asks for.
    pub tiers: Tiers,
    /// Payouts to owners.
    pub payouts: Payouts,
    /// Top-ups by card; none where the table is left out.
    pub top_ups: Option<TopUps>,
    /// Limits on sockets, bodies, frames and queues.
    pub limits: Limits,
    /// Deadlines.
    pub time: Time,
}

/// Free answers: what the operator gives.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Free {
    /// USD that the operator gives for free answers in all, as a decimal string. Raise it to give more.
    pub budget: Nanos,
    /// Free answers per visitor and UTC day.
    pub jobs_per_day: u32,
    /// Longest free answer, in tokens.
    pub answer_tokens: u64,
    /// Longest prompt of a free answer, in tokens.
    pub prompt_tokens: u64,
    /// Highest ask of an owner who serves free answers: micro-dollars per million prompt tokens.
    pub input_max: u64,
    /// Highest ask of an owner who serves free answers: micro-dollars per million answer tokens.
    pub output_max: u64,
    /// USD that one free answer may be expected to cost beyond what its ad is expected to bring, as a decimal
    /// string; as much as there is where it is left out.
    pub per_answer: Option<Nanos>,
    /// USD above which what there is for free answers becomes the platform's at midnight UTC, as a decimal
    /// string, no less than the budget; never where it is left out.
    pub keep: Option<Nanos>,
}

/// Ads beside free answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ads {
    /// USD that a thousand impressions cost at least, as a decimal string.
    pub floor_per_thousand: Nanos,
    /// USD that a click costs at least, as a decimal string.
    pub floor_per_click: Nanos,
    /// Milliseconds that a free answer which hangs on its ad waits for the choice. Then it goes on without what
    /// the ad would bring.
    pub choose_within_ms: u64,
    /// Milliseconds from the choice of an ad until it must have been seen.
    pub seen_within_ms: u64,
    /// Milliseconds from the sending of an ad until it can have been seen: a little less than the second that
    /// it must be visible, because clocks differ.
    pub seen_after_ms: u64,
    /// Milliseconds from its being seen until it can have been clicked.
    pub click_after_ms: u64,
    /// Milliseconds from its being seen until it must have been clicked.
    pub click_within_ms: u64,
    /// Campaigns in all.
    pub campaigns: usize,
    /// Campaigns of one account.
    pub campaigns_per_account: usize,
    /// Ads that wait to be seen or clicked.
    pub open: usize,
    /// Pairs of campaign and visitor that are counted per UTC day.
    pub visitors: usize,
    /// Clicks of one visitor that count per UTC day, on all ads together.
    pub clicks_per_visitor: u32,
    /// Header in which the proxy in front names the visitor's country by two letters. Without it, and
    /// without a proxy, ads for certain countries are shown to nobody.
    pub country_header: Option<String>,
}

/// Prices and fee.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Money {
    /// The platform's part of each cost, in thousandths.
    pub fee_permille: u64,
    /// The same for owners whose jobs have been charged so much this month.
    pub fee_steps: Vec<Step>,
    /// A page's discount on each cost, taken from the fee, by what it has been charged this month.
    pub discount_steps: Vec<Step>,
    /// USD that a page pays for a premium period, in which its jobs have no fee, as a decimal string;
    /// 0 when none is sold.
    pub premium_price: Nanos,
    /// Days of such a period, at least 1.
    pub premium_days: u64,
    /// The part of a new owner's earnings that is held back, in thousandths.
    pub holdback_permille: u64,
    /// Days for which it is held back.
    pub holdback_days: u64,
    /// Days since a trusted owner's first paid job.
    pub trusted_days: u64,
    /// Paid jobs of a trusted owner.
    pub trusted_jobs: u64,
    /// Accounts that paid them.
    pub trusted_accounts: usize,
    /// USD that a job must have been charged to count for that, as a decimal string.
    pub trusted_charge_min: Nanos,
    /// USD that an account has paid in by card to be verified, as a decimal string.
    pub verified_from: Nanos,
    /// The ask of owners who set none: micro-dollars per million prompt tokens.
    pub default_input: u64,
    /// The ask of owners who set none: micro-dollars per million answer tokens.
    pub default_output: u64,
    /// How many times what is usual for a model a page pays that names no highest price.
    pub usual_times: u64,
    /// What such a page pays at most, whatever is usual: micro-dollars per million prompt tokens.
    pub unnamed_input_max: u64,
    /// What such a page pays at most, whatever is usual: micro-dollars per million answer tokens.
    pub unnamed_output_max: u64,
    /// Paid jobs from which on what an owner asks tells what is usual.
    pub voice_jobs: u64,
    /// Accounts that must have paid them.
    pub voice_accounts: usize,
    /// Days since the first of them.
    pub voice_days: u64,
    /// Such owners of models of a family from which on their median is usual, and is what others follow.
    pub voices: usize,
    /// The most by which who follows the market changes his ask in ten seconds, in thousandths.
    pub follow_step_permille: u64,
    /// Longest answer when the page names no limit, in tokens.
    pub answer_tokens_default: u64,
}

/// Limits on what others can make the relay hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections in all, those of plugins among them.
    pub connections: usize,
    /// Open connections from one address, those of plugins among them; all of a proxy's are one address's.
    pub connections_per_address: usize,
    /// Live sessions of plugins, and as many that wait to be resumed.
    pub sessions: usize,
    /// Bytes of a request's body.
    pub request_bytes: usize,
    /// Bytes of all requests that are being read, wait or run, together, and of what is kept of their answers in
    /// case an owner leaves in the middle. Past half of it nothing more is kept.
    pub requests_bytes: usize,
    /// Bytes of a request's line and headers together, and of a response that wait for a slow page;
    /// at least 8192.
    pub header_bytes: usize,
    /// Bytes of one frame from a plugin.
    pub frame_bytes: usize,
    /// Frames per second from a plugin, beside pieces of answers.
    pub control_frames_per_second: u32,
    /// Bytes of a session's read buffer and of its write buffer.
    pub session_buffer_bytes: usize,
    /// Commands that wait to be written to one session.
    pub session_queue: usize,
    /// Bytes of an answer that may be under way between a plugin and its page.
    pub credit_bytes: u32,
    /// Bytes of a whole (not streamed) answer.
    pub answer_bytes: usize,
    /// Jobs that wait for a free slot.
    pub queue: usize,
    /// Ledger entries that wait to be stored; past it no job is taken.
    pub store_queue: usize,
    /// Registrations per minute from one address.
    pub registrations_per_minute: u32,
    /// Connections of plugins per minute from one address.
    pub connects_per_minute: u32,
    /// Requests for answers per minute from one address without an API key.
    pub free_requests_per_minute: u32,
    /// Estimates per minute of one account, and requests that leave model and tier to the market; those without an
    /// API key count among a visitor's requests.
    pub estimates_per_minute: u32,
    /// Calls per minute with one key about its account, and of one plugin about its own.
    pub own_calls_per_minute: u32,
    /// Changes of its channel per minute of one plugin.
    pub channel_changes_per_minute: u32,
    /// Open API keys of one account, the operator's apart.
    pub keys_per_account: u64,
    /// Bytes of answers that are kept for callers who ask again with the same `Idempotency-Key`.
    pub replay_bytes: usize,
    /// Bytes of one such answer that is stored, so that it outlives a restart.
    pub kept_answer_bytes: usize,
    /// Such answers of one account that are stored, the latest.
    pub kept_answers_per_account: u64,
    /// Such answers of all accounts that are stored. Past it an account's next one takes the place of its own
    /// oldest.
    pub kept_answers: u64,
    /// Bytes of an extension to download; the two newest are kept in memory.
    pub download_bytes: u64,
    /// Keys that pages make per minute from one address.
    pub keys_per_minute: u32,
    /// Wrong tokens of the operator per minute from one address; behind them none is looked at for a minute.
    pub wrong_tokens_per_minute: u32,
    /// Those who watch `/api/live` at once.
    pub watchers: usize,
    /// Groups of friends.
    pub groups: usize,
    /// Members of a group, plugins and accounts together.
    pub group_members: usize,
    /// Groups that an account may be in.
    pub groups_per_account: usize,
    /// Changes of groups and tries of codes per minute from one address.
    pub group_tries_per_minute: u32,
    /// Projects with objectives of one account.
    pub projects_per_account: u64,
    /// Sessions of agents over MCP.
    pub mcp_sessions: usize,
    /// Those of them from one address.
    pub mcp_sessions_per_address: usize,
    /// Messages of agents over MCP per minute from one address.
    pub mcp_messages_per_minute: u32,
}

/// Deadlines, in milliseconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Time {
    /// From the first byte of a request, or from a connection's start, to the end of its headers.
    pub header_ms: u64,
    /// Until an idle connection that has asked before asks again; longer than a proxy in front keeps one.
    pub keep_alive_ms: u64,
    /// Until a request's body must be there.
    pub body_ms: u64,
    /// Until a plugin must have said who it is.
    pub identify_ms: u64,
    /// Between heartbeats of a plugin.
    pub heartbeat_ms: u64,
    /// Until a frame must have been taken by the plugin's socket.
    pub write_ms: u64,
    /// That a session may be resumed after its socket was lost; 0 is never.
    pub resume_ms: u64,
    /// That a job may wait for a free slot.
    pub queue_ms: u64,
    /// Until the first token, from the start at the plugin.
    pub first_token_ms: u64,
    /// Between tokens.
    pub idle_ms: u64,
    /// For one job at its plugin.
    pub total_ms: u64,
    /// Until a page that reads nothing is given up.
    pub page_stall_ms: u64,
    /// That a stopping relay lets running answers finish.
    pub drain_ms: u64,
    /// That a streamed answer goes on without its page, where the page said that it comes back.
    pub return_ms: u64,
    /// That an answer is kept for callers who ask again with the same `Idempotency-Key`.
    pub replay_ms: u64,
    /// That an `Idempotency-Key` keeps a call that came to something from being made again.
    pub idempotency_ms: u64,
    /// From one audit of the whole book to the next; 0 is never.
    pub audit_ms: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 3002)),
            data_dir: PathBuf::from("data"),
            database: None,
            threads: 1,
            origins: vec!["https://rekursing.com".to_owned(), "https://www.rekursing.com".to_owned()],
            extensions: Vec::new(),
            downloads: None,
            behind_proxy: false,
            public_providers_min: 3,
            operator_token_sha256: None,
            operator_listen: None,
            free: Free::default(),
            ads: Ads::default(),
            money: Money::default(),
            tiers: Tiers::default(),
            payouts: Payouts::default(),
            top_ups: None,
            limits: Limits::default(),
            time: Time::default(),
        }
    }
}

impl Default for Free {
    fn default() -> Free {
        let terms = Terms::default();
        Free {
            budget: Nanos::ZERO,
            jobs_per_day: terms.free_jobs_per_day,
            answer_tokens: terms.free_answer_tokens_max,
            prompt_tokens: terms.free_prompt_tokens_max,
            input_max: terms.free_price_max.input,
            output_max: terms.free_price_max.output,
            per_answer: terms.free_per_answer_max,
            keep: terms.free_keep_max,
        }
    }
}

impl Default for Ads {
    fn default() -> Ads {
        let terms = AdTerms::default();
        Ads {
            floor_per_thousand: terms.floor.thousand,
            floor_per_click: terms.floor.click,
            choose_within_ms: 250,
            seen_within_ms: terms.impression_within.0,
            seen_after_ms: terms.impression_after.0,
            click_after_ms: terms.click_after.0,
            click_within_ms: terms.click_within.0,
            campaigns: terms.campaigns_max,
            campaigns_per_account: terms.campaigns_per_account_max,
            open: terms.open_max,
            visitors: terms.pairs_max,
            clicks_per_visitor: terms.clicks_per_visitor_day,
            country_header: None,
        }
    }
}

impl Default for Money {
    fn default() -> Money {
        let terms = Terms::default();
        Money {
            fee_permille: terms.fee.base_permille(),
            fee_steps: Step::all(&terms.fee),
            discount_steps: Step::all(&terms.discount),
            premium_price: terms.premium_price.unwrap_or_default(),
            premium_days: terms.premium_period.0 / Span::DAY.0,
            holdback_permille: terms.holdback_permille,
            holdback_days: terms.holdback.0 / Span::DAY.0,
            trusted_days: terms.trusted_after.0 / Span::DAY.0,
            trusted_jobs: terms.trusted_jobs,
            trusted_accounts: terms.trusted_pages,
            trusted_charge_min: terms.trusted_charge_min,
            verified_from: Nanos::new(5 * Nanos::DOLLAR.get()),
            default_input: terms.price_default.input,
            default_output: terms.price_default.output,
            usual_times: terms.price_times_max,
            unnamed_input_max: terms.price_unnamed_max.input,
            unnamed_output_max: terms.price_unnamed_max.output,
            voice_jobs: terms.voice_jobs_min,
            voice_accounts: terms.voice_pages_min,
            voice_days: terms.voice_after.0 / Span::DAY.0,
            voices: terms.voices_min,
            follow_step_permille: terms.follow_step_permille,
            answer_tokens_default: terms.answer_tokens_default,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 16_384,
            connections_per_address: 16_384,
            sessions: 12_000,
            request_bytes: 8 * 1024 * 1024,
            requests_bytes: 256 * 1024 * 1024,
            header_bytes: 32 * 1024,
            frame_bytes: 256 * 1024,
            control_frames_per_second: 4,
            session_buffer_bytes: 1_024,
            session_queue: 1_024,
            credit_bytes: 64 * 1024,
            answer_bytes: 8 * 1024 * 1024,
            queue: Terms::default().queue_max,
            store_queue: 200_000,
            registrations_per_minute: 20,
            connects_per_minute: 120,
            free_requests_per_minute: 60,
            estimates_per_minute: 120,
            own_calls_per_minute: 3_000,
            channel_changes_per_minute: 30,
            keys_per_account: 100,
            replay_bytes: 64 * 1024 * 1024,
            download_bytes: 32 * 1024 * 1024,
            kept_answer_bytes: 16 * 1024,
            kept_answers_per_account: 1_000,
            kept_answers: 50_000,
            keys_per_minute: 20,
            wrong_tokens_per_minute: 10,
            watchers: 1_000,
            groups: Terms::default().groups_max,
            group_members: Terms::default().group_members_max,
            groups_per_account: Terms::default().account_groups_max,
            group_tries_per_minute: 10,
            projects_per_account: 100,
            mcp_sessions: 2_000,
            mcp_sessions_per_address: 200,
            mcp_messages_per_minute: 600,
        }
    }
}

impl Limits {
    /// Returns how many answers the store keeps for an account.
    pub(crate) fn quota(&self, whose: String) -> Quota {
        Quota { whose, own_max: self.kept_answers_per_account, all_max: self.kept_answers }
    }
}

impl Default for Time {
    fn default() -> Time {
        Time {
            header_ms: 10_000,
            keep_alive_ms: 75_000,
            body_ms: 30_000,
            identify_ms: 5_000,
            heartbeat_ms: 20_000,
            write_ms: 10_000,
            resume_ms: 30_000,
            queue_ms: 30_000,
            first_token_ms: 120_000,
            idle_ms: 20_000,
            total_ms: 600_000,
            page_stall_ms: 30_000,
            drain_ms: 30_000,
            return_ms: 30_000,
            replay_ms: 600_000,
            idempotency_ms: 24 * 60 * 60 * 1_000,
            audit_ms: 24 * 60 * 60 * 1_000,
        }
    }
}

/// A rate from a volume on.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// USD of a UTC month's charges from which it holds, as a decimal string.
    pub volume: Nanos,
    /// Thousandths of the cost.
    pub permille: u64,
}

impl Step {
    fn all(steps: &Steps) -> Vec<Step> {
        steps.iter().map(|(volume, permille)| Step { volume, permille }).collect()
    }

    fn steps(base_permille: u64, steps: &[Step]) -> Steps {
        Steps::new(base_permille, steps.iter().map(|step| (step.volume, step.permille)).collect())
    }
}

/// Checks that an operator's token is a hash, and not that of nothing: a variable that is not set opens no doors.
fn check_token(hash: &str) -> Result<()> {
    let is_hash = hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit());
    ensure!(
        is_hash,
        "operator_token_sha256 is 64 hexadecimal digits, as `rekursing-relay hash-token` prints them"
    );
    let is_empty = hash.eq_ignore_ascii_case(&chance::hex(&chance::digest("")));
    ensure!(!is_empty, "operator_token_sha256 is the hash of no token at all");
    Ok(())
}

/// Makes a span of whole days, of a thousand years at most.
fn days(days: u64) -> Span {
    Span(days.min(365_000) * Span::DAY.0)
}

impl Config {
    /// Reads a config from TOML text.
    pub fn parse(text: &str) -> Result<Config> {
        let config: Config = toml::from_str(text).context("the config file does not hold")?;
        config.free.check()?;
        config.money.check()?;
        config.tiers.check()?;
        if let Some(token) = &config.operator_token_sha256 {
            check_token(token)?;
        }
        let is_nameless = !config.origins.is_empty() && config.origins.iter().all(|origin| origin == "*");
        ensure!(
            !is_nameless || config.downloads.is_none(),
            "origins has to name the relay's own origin beside \"*\", because `downloads` tells browsers where it is"
        );
        Ok(config)
    }

    /// Returns where the database is.
    pub fn location(&self) -> Location {
        self.database.clone().unwrap_or_else(|| Location::Folder(self.data_dir.clone()))
    }

    /// Returns the market's numbers out of this config.
    pub fn terms(&self) -> Terms {
        let price = Price::new(self.money.default_input, self.money.default_output);
        Terms {
            fee: Step::steps(self.money.fee_permille, &self.money.fee_steps),
            discount: Step::steps(0, &self.money.discount_steps),
            premium_price: Some(self.money.premium_price).filter(|price| *price > Nanos::ZERO),
            premium_period: days(self.money.premium_days.max(1)),
            holdback_permille: self.money.holdback_permille.min(1_000),
            holdback: days(self.money.holdback_days),
            trusted_after: days(self.money.trusted_days),
            trusted_jobs: self.money.trusted_jobs,
            trusted_pages: self.money.trusted_accounts,
            trusted_charge_min: self.money.trusted_charge_min,
            price_default: price,
            tiers: self.tiers.table(),
            price_times_max: self.money.usual_times,
            price_unnamed_max: Price::new(self.money.unnamed_input_max, self.money.unnamed_output_max),
            voice_jobs_min: self.money.voice_jobs,
            voice_pages_min: self.money.voice_accounts,
            voice_after: days(self.money.voice_days),
            voices_min: self.money.voices.max(1),
            follow_step_permille: self.money.follow_step_permille,
            answer_tokens_default: self.money.answer_tokens_default,
            free_answer_tokens_max: self.free.answer_tokens,
            free_prompt_tokens_max: self.free.prompt_tokens,
            free_jobs_per_day: self.free.jobs_per_day,
            free_price_max: Price::new(self.free.input_max, self.free.output_max),
            free_per_answer_max: self.free.per_answer,
            free_keep_max: self.free.keep,
            groups_max: self.limits.groups,
            group_members_max: self.limits.group_members,
            account_groups_max: self.limits.groups_per_account,
            queue_max: self.limits.queue,
            queue_wait: Span::millis(self.time.queue_ms),
            // One beat may be late by a quarter; after two that never came the session is gone.
            suspect_after: Span::millis(self.time.heartbeat_ms * 5 / 4),
            dead_after: Span::millis(self.time.heartbeat_ms * 9 / 4),
            resume_within: Span::millis(self.time.resume_ms),
            answer_time_max: Span::millis(self.time.total_ms),
            suspended_max: self.limits.sessions,
            ..Terms::default()
        }
    }

    /// Returns the longest that money can be set aside for a job: its time in the queue, and every attempt with
    /// all the time that it may take, with its session away once and taken for gone at last. Besides its
    /// retries a job may be asked of one more provider, when one says that the page is at fault.
    pub fn hold_max(&self) -> Span {
        let (time, terms) = (&self.time, self.terms());
        let attempt = [time.total_ms, time.total_ms / 4, time.resume_ms, terms.dead_after.0];
        let attempt = attempt.into_iter().fold(0, u64::saturating_add);
        let attempts = u64::from(terms.retries_max) + 2;
        Span::millis(attempt.saturating_mul(attempts).saturating_add(time.queue_ms))
    }

    /// Returns the board's numbers out of this config.
    pub fn ad_terms(&self) -> AdTerms {
        let ads = &self.ads;
        AdTerms {
            floor: Bid { thousand: ads.floor_per_thousand, click: ads.floor_per_click },
            campaigns_max: ads.campaigns,
            campaigns_per_account_max: ads.campaigns_per_account,
            open_max: ads.open,
            pairs_max: ads.visitors,
            clicks_per_visitor_day: ads.clicks_per_visitor,
            impression_after: Span::millis(ads.seen_after_ms),
            click_after: Span::millis(ads.click_after_ms),
            impression_within: Span::millis(ads.seen_within_ms),
            click_within: Span::millis(ads.click_within_ms),
            ..AdTerms::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        let config = Config::parse("").unwrap();
        assert_eq!(config.listen.port(), 3002);
        assert_eq!(config.free.budget, Nanos::ZERO);
    }

    #[test]
    fn reads_money_as_text_and_refuses_unknown_keys() {
        let config = Config::parse("[free]\nbudget = \"1.50\"\n[limits]\nqueue = 3").unwrap();
        assert_eq!(config.free.budget, Nanos::new(1_500_000_000));
        assert_eq!(config.limits.queue, 3);
        assert!(Config::parse("[limits]\nqeue = 3").is_err());
        assert!(Config::parse("[free]\nbudget = 1.5").is_err());
        assert!(Config::parse("operator_token_sha256 = \"hunter2\"").is_err());
        let of_nothing = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
        let refused = Config::parse(&format!("operator_token_sha256 = \"{of_nothing}\"")).unwrap_err();
        assert!(refused.to_string().contains("no token"), "{refused}");
        let refused = Config::parse("origins = [\"*\"]\ndownloads = \"d\"").unwrap_err();
        assert!(refused.to_string().contains("own origin"), "{refused}");
        Config::parse("origins = [\"*\", \"https://a.example\"]\ndownloads = \"d\"").unwrap();
    }
}
