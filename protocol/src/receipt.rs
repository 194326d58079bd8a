//! Receipts: what a job cost and who earned it, and the one text of it that the relay signs.
//!
//! This module knows no key: whoever signs or checks does so over the bytes of
//! [`FullReceipt::canonical`].

use std::fmt::{Display, Write};

use serde::{Deserialize, Serialize};

use crate::{CampaignId, ImpressionId, JobId, Moment, Nanos, Price};

/// The first line of what is signed.
const TITLE: &str = "rekursing-receipt-v2";

/// The same of a receipt of the first version, which does not tell what was given back.
const TITLE_V1: &str = "rekursing-receipt-v1";

/// Everything that the ledger knows of a job. It is the same for its page, its owner and the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FullReceipt {
    /// The job.
    pub job_id: JobId,
    /// How far the job has come.
    pub state: State,
    /// Whose money it is.
    pub paid_by: PaidBy,
    /// What was set aside before a provider began.
    pub hold: Hold,
    /// What the page paid; nothing unless the job is settled.
    pub charge: Nanos,
    /// What of the charge was given back since, by a correction. A receipt of the first version does not tell,
    /// and has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_back: Option<Nanos>,
    /// When the hold was resolved; `None` while it is open.
    pub ended_at: Option<Moment>,
    /// How the charge comes about; `None` unless the job is settled.
    pub settlement: Option<Settlement>,
}

/// How far a job has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its hold is open: it waits or runs.
    Open,
    /// It was charged.
    Settled,
    /// Its hold was given back whole; nothing was charged.
    Void,
}

/// Whose money pays for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PaidBy {
    /// A page's account.
    Account,
    /// What there is for free answers.
    Free,
}

/// The most that a job may cost: its price times the most tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// When it was set aside.
    pub at: Moment,
    /// How much.
    pub amount: Nanos,
    /// The price, after the tier, in micro-dollars per million tokens.
    pub price: Price,
    /// Most prompt tokens.
    pub prompt_tokens: u64,
    /// Most answer tokens.
    pub answer_tokens: u64,
}

/// How a charge comes about: price × tokens − discount, of which the fee is the platform's and the rest
/// is earned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settlement {
    /// The model.
    pub model: String,
    /// Who answered: a name that tells neither the plugin nor its owner.
    pub provider: String,
    /// The attempt that was paid.
    pub lease: u32,
    /// The tier that the page asked for.
    pub tier_asked: String,
    /// The tier that it got.
    pub tier: String,
    /// What the owner asked, before the tier, in micro-dollars per million tokens.
    pub ask: Price,
    /// What the page paid, after the tier that it got, in micro-dollars per million tokens.
    pub price: Price,
    /// Prompt tokens charged.
    pub prompt_tokens: u64,
    /// Answer tokens charged.
    pub answer_tokens: u64,
    /// What the page was spared of the cost of the tokens.
    pub discount: Nanos,
    /// The platform's part of the charge.
    pub fee: Nanos,
    /// What the owner earned: charge less fee.
    pub earned: Nanos,
    /// The part of the earning that is held back.
    pub held_back: Nanos,
    /// When what is held back is due; `None` when nothing is.
    pub release_at: Option<Moment>,
    /// The ad that was sent with a free answer.
    pub ad: Option<Ad>,
    /// The rates by which all of it follows from ask and tokens; left out where the ledger does not have them,
    /// of a time before they were stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
}

/// The rates of a settlement, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// What of the ask the price is.
    pub tier: u64,
    /// What of the cost the fee is, before the discount.
    pub fee: u64,
    /// What of the cost the discount is, before it ends where the fee does.
    pub discount: u64,
    /// What of the earning is held back.
    pub holdback: u64,
}

/// An ad beside an answer, with what was agreed when it was chosen. Whether it was seen is another matter:
/// then the ledger has an entry `impression:` or `click:` with its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ad {
    /// This one showing of it.
    pub impression: ImpressionId,
    /// The campaign that it is of.
    pub campaign: CampaignId,
    /// What it brings once it was seen.
    pub per_impression: Nanos,
    /// What it brings once it was clicked.
    pub per_click: Nanos,
}

/// A receipt with the relay's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReceipt {
    /// What is signed.
    #[serde(flatten)]
    pub receipt: FullReceipt,
    /// By which key, and how.
    pub signature: Signature,
}

/// An Ed25519 signature over the bytes of [`FullReceipt::canonical`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The key's id.
    pub key: String,
    /// The 64 bytes in hex.
    pub value: String,
}

/// A public key of the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicKey {
    /// Its id: the first 16 hex digits of the SHA-256 of its 32 bytes.
    pub id: String,
    /// What it is for: `Ed25519`.
    pub algorithm: String,
    /// The 32 bytes in hex.
    pub key: String,
    /// Since when it signs.
    pub since: Moment,
}

/// What `GET /.well-known/rekursing-receipts` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKeys {
    /// Every key that the relay ever signed with; the last one signs.
    pub keys: Vec<PublicKey>,
}

impl FullReceipt {
    /// Writes every field as one text that no other receipt has. Behind the title each line is a field's
    /// name, `=`, its value's length in bytes, `:` and the value; what there is not is empty, but for rates,
    /// which are left out. The length keeps a model's name, the one text that others choose, from pretending
    /// to be another line.
    pub fn canonical(&self) -> String {
        let title = if self.given_back.is_some() { TITLE } else { TITLE_V1 };
        let mut text = format!("{title}\n");
        let mut line = |name: &str, value: &dyn Display| {
            let value = value.to_string();
            writeln!(text, "{name}={}:{value}", value.len()).expect("a text takes what is written to it");
        };
        line("jobId", &self.job_id);
        line("state", &self.state.name());
        line("paidBy", &self.paid_by.name());
        line("hold.at", &self.hold.at.0);
        line("hold.amount", &self.hold.amount);
        line("hold.price", &sides(self.hold.price));
        line("hold.promptTokens", &self.hold.prompt_tokens);
        line("hold.answerTokens", &self.hold.answer_tokens);
        line("charge", &self.charge);
        if let Some(given_back) = self.given_back {
            line("givenBack", &given_back);
        }
        line("endedAt", &or_empty(self.ended_at.map(|at| at.0)));
        let settlement = self.settlement.as_ref();
        let mut of = |name: &str, value: &dyn Fn(&Settlement) -> String| {
            line(name, &settlement.map(value).unwrap_or_default());
        };
        of("model", &|of| of.model.clone());
        of("provider", &|of| of.provider.clone());
        of("lease", &|of| of.lease.to_string());
        of("tierAsked", &|of| of.tier_asked.clone());
        of("tier", &|of| of.tier.clone());
        of("ask", &|of| sides(of.ask));
        of("price", &|of| sides(of.price));
        of("promptTokens", &|of| of.prompt_tokens.to_string());
        of("answerTokens", &|of| of.answer_tokens.to_string());
        of("discount", &|of| of.discount.to_string());
        of("fee", &|of| of.fee.to_string());
        of("earned", &|of| of.earned.to_string());
        of("heldBack", &|of| of.held_back.to_string());
        of("releaseAt", &|of| or_empty(of.release_at.map(|at| at.0)));
        of("ad", &|of| of.ad.map(Ad::canonical).unwrap_or_default());
        // A receipt of a time before rates were stored has no such line, and keeps its signature.
        if let Some(Rates { tier, fee, discount, holdback }) = settlement.and_then(|of| of.rates) {
            line("rates", &format!("{tier}/{fee}/{discount}/{holdback}"));
        }
        text
    }
}

impl Ad {
    fn canonical(self) -> String {
        let Ad { impression, campaign, per_impression, per_click } = self;
        format!("{impression}/{campaign}/{per_impression}/{per_click}")
    }
}

impl State {
    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::Settled => "settled",
            State::Void => "void",
        }
    }
}

impl PaidBy {
    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            PaidBy::Account => "account",
            PaidBy::Free => "free",
        }
    }
}

fn sides(price: Price) -> String {
    format!("{}/{}", price.input, price.output)
}

fn or_empty(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}
