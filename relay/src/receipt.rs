//! Receipts: made of a job's entries, signed with the relay's key, and checked without a relay.
//!
//! The same secret makes the names under which receipts and public lists speak of providers.

mod tokens;

use anyhow::{Context, Result, bail, ensure};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use rekursing_market::ledger::{self, Account, Entry, EntryKind, Parts, Settle};
use rekursing_protocol::{
    Day, KeyId, Moment, Nanos, PluginId,
    receipt::{
        Ad, FullReceipt, Hold, PaidBy, PublicKey, PublicKeys, Rates, Settlement, Signature, SignedReceipt,
        State,
    },
};
use serde_json::Value;
use sha2::{Digest, Sha256};
pub use tokens::{TOKEN_PREFIX, Tokens};

use crate::{
    chance,
    store::{Job, ReceiptKey},
};

/// How many characters a key's id has.
const KEY_ID_CHARS: usize = 16;

/// How many bytes of a hash name a provider.
const PSEUDONYM_BYTES: usize = 8;

/// What signs receipts and names providers.
#[derive(Debug)]
pub struct Seal {
    key: SigningKey,
    id: String,
    public: PublicKeys,
}

impl Seal {
    /// Makes a seal of every key there is; the last one signs.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(keys: &[ReceiptKey]) -> Result<Seal> {
        let last = keys.last().context("there is no key that signs receipts")?;
        let public = keys.iter().map(public).collect();
        let key = SigningKey::from_bytes(&last.seed);
        Ok(Seal { id: id(&key.verifying_key()), key, public: PublicKeys { keys: public } })
    }

    /// Returns the public halves.
    pub fn public(&self) -> &PublicKeys {
        &self.public
    }

    /// Signs a receipt.
    pub fn sign(&self, receipt: FullReceipt) -> SignedReceipt {
        let value = chance::hex(&self.key.sign(receipt.canonical().as_bytes()).to_bytes());
        SignedReceipt { receipt, signature: Signature { key: self.id.clone(), value } }
    }

    /// Makes a job's receipt. `None` when its entries are not those of a job.
    pub fn receipt(&self, job: &Job) -> Option<FullReceipt> {
        let EntryKind::Hold { job: job_id, payer, quote } = &job.hold.kind else { return None };
        let (state, settled) = match job.end.as_ref().map(|end| &end.kind) {
            None => (State::Open, None),
            Some(EntryKind::Void { .. }) => (State::Void, None),
            Some(EntryKind::Settle(settle)) => (State::Settled, Some(settle)),
            Some(EntryKind::Hold { .. } | EntryKind::Transfer(_)) => return None,
        };
        let ended_at = job.end.as_ref().map(|end| end.at);
        Some(FullReceipt {
            job_id: *job_id,
            state,
            paid_by: if *payer == Account::Free { PaidBy::Free } else { PaidBy::Account },
            hold: Hold {
                at: job.hold.at,
                amount: quote.amount(),
                price: quote.price(),
                prompt_tokens: quote.prompt_tokens(),
                answer_tokens: quote.answer_tokens(),
            },
            charge: settled.map(|settle| settle.charge).unwrap_or_default(),
            given_back: Some(job.given_back),
            ended_at,
            settlement: settled.map(|settle| self.settlement(settle, ended_at.unwrap_or_default(), job.ad)),
        })
    }

    fn settlement(&self, settle: &Settle, at: Moment, ad: Option<Ad>) -> Settlement {
        let month = Day(at.day()).month().to_string();
        Settlement {
            model: settle.model.clone(),
            provider: self.pseudonym("receipt", &month, settle.owner),
            lease: settle.lease,
            tier_asked: settle.tier_asked.name().to_owned(),
            tier: settle.tier.name().to_owned(),
            ask: settle.ask,
            price: settle.price,
            prompt_tokens: settle.prompt_tokens,
            answer_tokens: settle.answer_tokens,
            discount: settle.discount,
            fee: settle.fee,
            earned: settle.earned(),
            held_back: settle.held_back,
            release_at: settle.release_at(),
            ad,
            rates: settle.rates.map(|ledger::Rates { tier, fee, discount, holdback }| Rates {
                tier,
                fee,
                discount,
                holdback,
            }),
        }
    }

    /// Returns a name for a provider that is the same for one purpose and period, and tells nothing else:
    /// whoever does not know the key can neither find the plugin behind it nor the name of another period.
    pub fn pseudonym(&self, purpose: &str, period: &str, plugin: PluginId) -> String {
        let secret = Sha256::new().chain_update("rekursing-pseudonym-v1").chain_update(self.key.as_bytes());
        let hash = Sha256::new()
            .chain_update(secret.finalize())
            .chain_update(format!("{purpose}/{period}/{plugin}"))
            .finalize();
        format!("prv_{}", chance::hex(&hash[..PSEUDONYM_BYTES]))
    }
}

/// Makes a key of random bytes.
pub fn key(now: Moment) -> ReceiptKey {
    let seed = chance::bytes();
    ReceiptKey { id: id(&SigningKey::from_bytes(&seed).verifying_key()), seed, created: now }
}

/// Returns a key's public half.
pub fn public(key: &ReceiptKey) -> PublicKey {
    let verifying = SigningKey::from_bytes(&key.seed).verifying_key();
    PublicKey {
        id: id(&verifying),
        algorithm: "Ed25519".to_owned(),
        key: chance::hex(verifying.as_bytes()),
        since: key.created,
    }
}

fn id(key: &VerifyingKey) -> String {
    let mut id = chance::hex(&Sha256::digest(key.as_bytes()));
    id.truncate(KEY_ID_CHARS);
    id
}

/// Checks a receipt's JSON against public keys in hex, and that its figures follow from each other.
/// Returns it.
///
/// # Errors
/// When it is no receipt, when it says anything that is not signed, when none of the keys signed it as it is, and when its figures do not add up.
pub fn verify(json: &str, keys: &[String]) -> Result<FullReceipt> {
    let signed: SignedReceipt = serde_json::from_str(json).context("this is no receipt of a relay")?;
    let (given, own) = (serde_json::from_str(json)?, serde_json::to_value(&signed)?);
    if let Some(field) = unsigned(&given, &own) {
        bail!("{field:?} is not what the relay has written, so nobody has signed it");
    }
    let SignedReceipt { receipt, signature } = signed;
    let bytes: [u8; 64] = chance::unhex(&signature.value).context("the signature is not 64 bytes in hex")?;
    let text = receipt.canonical();
    for key in keys {
        let key: [u8; 32] = chance::unhex(key).context("a key is 32 bytes in hex")?;
        let key = VerifyingKey::from_bytes(&key).ok().context("this is no key of Ed25519")?;
        if id(&key) == signature.key {
            let is_signed = key.verify_strict(text.as_bytes(), &ed25519_dalek::Signature::from_bytes(&bytes));
            ensure!(is_signed.is_ok(), "the signature is not that of this receipt: something was changed");
            check(&receipt)?;
            return Ok(receipt);
        }
    }
    bail!("the receipt was signed by the key {}, which is none of those to check with", signature.key)
}

/// Returns the first field that is given and is not the relay's own, or is written in another way: the
/// signature says nothing of it, and whoever reads the receipt would believe it.
fn unsigned(given: &Value, own: &Value) -> Option<String> {
    match (given, own) {
        (Value::Object(given), Value::Object(own)) => given.iter().find_map(|(name, field)| {
            let inner = own.get(name).map_or(Some(String::new()), |own| unsigned(field, own))?;
            Some(if inner.is_empty() { name.clone() } else { format!("{name}.{inner}") })
        }),
        (given, own) => (given != own).then(String::new),
    }
}

/// Works a receipt's figures out again.
fn check(receipt: &FullReceipt) -> Result<()> {
    let Hold { price, prompt_tokens, answer_tokens, amount, .. } = receipt.hold;
    let held = price.cost(prompt_tokens, answer_tokens);
    ensure!(held == Some(amount), "the hold is not the cost of its tokens");
    let (none, back) = (Nanos::ZERO, receipt.given_back.unwrap_or_default());
    ensure!(back >= none, "less than nothing was given back");
    let Some(settled) = &receipt.settlement else {
        ensure!((receipt.charge, back) == (none, none), "a charge without a settlement");
        return Ok(());
    };
    let cost = settled.price.cost(settled.prompt_tokens, settled.answer_tokens);
    let charged = receipt.charge.checked_add(settled.discount);
    ensure!(cost == charged, "charge and discount are not the cost of the tokens");
    let parts = settled.earned.checked_add(settled.fee);
    ensure!(parts == Some(receipt.charge), "fee and earning are not the charge");
    ensure!(receipt.charge <= amount, "the charge is more than was set aside");
    ensure!(back <= receipt.charge, "more was given back than was charged");
    ensure!(settled.held_back <= settled.earned, "more is held back than was earned");
    if let Some(Rates { tier, fee, discount, holdback }) = settled.rates {
        ensure!(
            settled.price == settled.ask.scaled(tier),
            "the price does not follow from the ask and its rate"
        );
        let rates = ledger::Rates { tier, fee, discount, holdback };
        let parts = Parts::of(settled.price, settled.prompt_tokens, settled.answer_tokens, rates);
        let told = Parts {
            discount: settled.discount,
            charge: receipt.charge,
            fee: settled.fee,
            held_back: settled.held_back,
        };
        ensure!(parts == Some(told), "discount, fee or what is held back do not follow from their rates");
    }
    let is_free = receipt.paid_by == PaidBy::Free;
    ensure!(is_free || settled.ad.is_none(), "an ad beside an answer that was paid for");
    Ok(())
}

/// Tells whether the job was this account's.
pub fn is_of(job: &Job, account: Account) -> bool {
    matches!(&job.hold.kind, EntryKind::Hold { payer, .. } if *payer == account)
}

/// Returns who served the job, once it is settled.
pub fn owner(job: &Job) -> Option<PluginId> {
    settle(job).map(|settle| settle.owner)
}

/// Returns what was charged for the job, once it is settled.
pub fn charge(job: &Job) -> Option<Nanos> {
    settle(job).map(|settle| settle.charge)
}

/// Returns the key that paid for the job, once it is settled.
pub fn payer_key(job: &Job) -> Option<KeyId> {
    settle(job).and_then(|settle| settle.api_key)
}

fn settle(job: &Job) -> Option<&Settle> {
    match job.end.as_ref().map(|end: &Entry| &end.kind) {
        Some(EntryKind::Settle(settle)) => Some(settle),
        Some(EntryKind::Hold { .. } | EntryKind::Void { .. } | EntryKind::Transfer(_)) | None => None,
    }
}

#[cfg(test)]
mod tests;
