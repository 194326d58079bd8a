//! An offer: one model that a provider serves, and on what terms.

use serde::{Deserialize, Serialize};

use crate::{
    money::{Price, Pricing},
    name,
};

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfferKind {
    /// Answers chats and completions.
    #[default]
    Text,
    /// Turns texts into vectors.
    Embedding,
}

/// Whom a plugin serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Serves {
    /// Whoever asks.
    #[default]
    Everyone,
    /// Accounts that are known: they have paid in, or the operator has said so.
    Verified,
    /// Accounts of the plugin's own group.
    Group,
}

impl Serves {
    /// Tells whether nobody is turned away.
    pub fn is_everyone(&self) -> bool {
        *self == Serves::Everyone
    }
}

/// One model that a provider serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The model's name as pages ask for it, which is also its name at the owner's server unless
    /// that is a file path; then it is the file's name without folders.
    pub model: String,
    /// Text or embeddings.
    #[serde(default)]
    pub kind: OfferKind,
    /// The architecture that the server names (`llama`, `qwen2`), or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// The parameters that the server names (`7B`, `135M`), or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub parameters: String,
    /// The quantisation that the server names (`Q4_K_M`, `F16`), or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub quantization: String,
    /// Tokens that prompt and answer may have together right now.
    pub context: u32,
    /// Jobs that this model can do at once, at least 1.
    pub slots: u16,
    /// Whether the model is loaded; a model that is not takes long to begin.
    pub loaded: bool,
    /// Whether images are understood.
    #[serde(default)]
    pub vision: bool,
    /// Whether the model was trained to call tools.
    #[serde(default)]
    pub tools: bool,
    /// Whether a last message of the assistant is gone on with instead of being answered, so that an answer which
    /// another provider has begun can be ended here.
    #[serde(default)]
    pub continues: bool,
    /// Whether the model runs in a browser, without a model server. It is of the lowest tier alone, and pages see it.
    #[serde(default, skip_serializing_if = "is_not")]
    pub browser: bool,
    /// The owner's price, or the relay's default ask when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Pricing>,
    /// What the owner never asks less than, also of friends; nothing where he does not care.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least: Option<Price>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_not(flag: &bool) -> bool {
    !flag
}

/// Most offers one plugin may make.
pub const OFFERS_MAX: usize = 64;

/// Longest name of a model, in bytes.
pub const MODEL_NAME_BYTES_MAX: usize = 200;

/// Why an offer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadOffer {
    /// An empty, overlong or unprintable text.
    #[error("a model needs a printable name of at most {MODEL_NAME_BYTES_MAX} bytes")]
    Name,
    /// A text beside the name is overlong or unprintable.
    #[error("architecture, parameters and quantization are printable texts of at most 64 bytes")]
    Label,
    /// No context at all, or no slot.
    #[error("context and slots must be at least 1")]
    Empty,
    /// A price past the highest.
    #[error("a price is at most 10,000 dollars per million tokens, and an hour at most 1,000 dollars")]
    Price,
}

impl Offer {
    /// Checks what came from the other end of a socket.
    pub fn check(&self) -> Result<(), BadOffer> {
        let printable = |text: &str, bytes_max: usize| text.len() <= bytes_max && name::is_plain(text);
        if self.model.trim().is_empty() || !printable(&self.model, MODEL_NAME_BYTES_MAX) {
            return Err(BadOffer::Name);
        }
        if ![&self.architecture, &self.parameters, &self.quantization].iter().all(|text| printable(text, 64))
        {
            return Err(BadOffer::Label);
        }
        if self.context == 0 || self.slots == 0 {
            return Err(BadOffer::Empty);
        }
        let least = self.least.map(Pricing::Fixed);
        if [self.price, least].into_iter().flatten().any(|pricing| !pricing.is_sane()) {
            return Err(BadOffer::Price);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pages_read_of_an_offer_can_be_seen() {
        let offer = Offer {
            model: "qwen2.5-7b-instruct".to_owned(),
            kind: OfferKind::Text,
            architecture: String::new(),
            parameters: String::new(),
            quantization: "Q4_K_M".to_owned(),
            context: 4_096,
            slots: 1,
            loaded: true,
            vision: false,
            tools: false,
            continues: false,
            browser: false,
            price: None,
            least: None,
        };
        assert_eq!(offer.check(), Ok(()));
        for hidden in ["a\nb", "\u{202e}ab", "a\u{200b}b", "a\u{3164}"] {
            let hidden = || hidden.to_owned();
            assert_eq!(Offer { model: hidden(), ..offer.clone() }.check(), Err(BadOffer::Name));
            assert_eq!(Offer { quantization: hidden(), ..offer.clone() }.check(), Err(BadOffer::Label));
            assert_eq!(Offer { architecture: hidden(), ..offer.clone() }.check(), Err(BadOffer::Label));
            assert_eq!(Offer { parameters: hidden(), ..offer.clone() }.check(), Err(BadOffer::Label));
        }
    }
}
