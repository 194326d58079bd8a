//! A page's wishes about who answers: the object `provider`, in `OpenRouter`'s terms, and what stands behind a
//! model's name.

use std::borrow::Cow;

use rekursing_market::{Routing, Sort};
use rekursing_protocol::{PluginId, Price, object::Object};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::number;
use crate::{body, http::Problem};

/// Most plugins in one list.
const NAMED_MAX: usize = 64;

/// The shortcuts behind a model's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shortcuts {
    /// `:free`, a free answer with an ad.
    pub(super) is_free: bool,
    /// `:floor`, the lowest price, or `:nitro`, the highest speed.
    sort: Option<Sort>,
}

/// The object `provider`. What it has beside these fields is passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object of wishes about who answers")]
pub(super) struct Wishes<'a> {
    #[serde(default)]
    order: Option<Vec<String>>,
    #[serde(default)]
    only: Option<Vec<String>>,
    #[serde(default)]
    ignore: Option<Vec<String>>,
    #[serde(default)]
    allow_fallbacks: Option<bool>,
    #[serde(default)]
    pub(super) quantizations: Option<Vec<String>>,
    #[serde(borrow, default)]
    max_price: Option<&'a RawValue>,
    #[serde(borrow, default)]
    sort: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data_collection: Option<Cow<'a, str>>,
    #[serde(default)]
    zdr: Option<bool>,
}

/// Takes the shortcuts off a model's name.
pub(super) fn cut(mut model: &str) -> Result<(&str, Shortcuts), Problem> {
    let mut shortcuts = Shortcuts::default();
    while let Some((name, last)) = model.rsplit_once(':') {
        let sort = match last {
            "free" => None,
            "floor" => Some(Sort::Price),
            "nitro" => Some(Sort::Throughput),
            _ => break,
        };
        if shortcuts.sort.is_some_and(|other| sort.is_some_and(|sort| sort != other)) {
            let message = "the lowest price and the highest speed are two wishes: give `:floor` or `:nitro`";
            return Err(Problem::field("model", message));
        }
        shortcuts = Shortcuts { is_free: shortcuts.is_free || last == "free", sort: shortcuts.sort.or(sort) };
        model = name;
    }
    Ok((model, shortcuts))
}

impl<'a> Wishes<'a> {
    /// Reads the object.
    pub(super) fn read(raw: Option<&'a RawValue>) -> Result<Wishes<'a>, Problem> {
        let Some(raw) = raw else { return Ok(Wishes::default()) };
        let wishes: Option<Object<Wishes<'_>>> = body::read_within("provider", raw.get())?;
        Ok(wishes.map(|Object(wishes)| wishes).unwrap_or_default())
    }

    /// Returns the highest price that it names, in USD per million tokens; what an image or a request may cost
    /// is passed over, because neither has a price of its own.
    pub(super) fn price_max(&self) -> Result<Option<Price>, Problem> {
        #[derive(Deserialize)]
        struct Sides<'a> {
            #[serde(borrow, default)]
            prompt: Option<&'a RawValue>,
            #[serde(borrow, default)]
            completion: Option<&'a RawValue>,
        }
        let Some(raw) = self.max_price else { return Ok(None) };
        let wrong = || Problem::field("provider", "provider.max_price has the sides prompt and completion");
        let sides: Option<Object<Sides<'_>>> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
        let Some(Object(Sides { prompt, completion })) = sides else { return Ok(None) };
        let side = |raw: Option<&RawValue>| raw.map_or(Ok(u64::MAX), |raw| number::side("provider", raw));
        Ok(Some(Price::new(side(prompt)?, side(completion)?)))
    }

    /// Returns who may answer and who should; `None` where that is left to the market.
    pub(super) fn routing(&self, shortcuts: Shortcuts) -> Result<Option<Box<Routing>>, Problem> {
        let denies_collection = match self.data_collection.as_deref() {
            None | Some("allow") => self.zdr == Some(true),
            Some("deny") => true,
            Some(_) => {
                return Err(Problem::field("provider", "provider.data_collection is allow or deny"));
            }
        };
        let routing = Routing {
            only: plugins(self.only.as_deref(), "only")?,
            ignore: plugins(self.ignore.as_deref(), "ignore")?,
            order: plugins(self.order.as_deref(), "order")?,
            allows_fallbacks: self.allow_fallbacks != Some(false),
            sort: self.sort()?.or(shortcuts.sort),
            denies_collection,
        };
        Ok((routing != Routing::default()).then(|| Box::new(routing)))
    }

    fn sort(&self) -> Result<Option<Sort>, Problem> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written<'a> {
            Plain(#[serde(borrow)] Cow<'a, str>),
            By(#[serde(borrow)] Object<By<'a>>),
        }
        #[derive(Deserialize)]
        struct By<'a> {
            #[serde(borrow)]
            by: Cow<'a, str>,
        }
        let wrong = || Problem::field("provider", "provider.sort is price, throughput or latency");
        let Some(raw) = self.sort else { return Ok(None) };
        let written: Option<Written<'_>> = serde_json::from_str(raw.get()).map_err(|_| wrong())?;
        let Some(Written::Plain(by) | Written::By(Object(By { by }))) = written else { return Ok(None) };
        match &*by {
            "price" => Ok(Some(Sort::Price)),
            "throughput" => Ok(Some(Sort::Throughput)),
            "latency" => Ok(Some(Sort::Latency)),
            _ => Err(wrong()),
        }
    }
}

/// Reads a list of plugins. Their names are no identity: anybody may take any.
fn plugins(named: Option<&[String]>, list: &str) -> Result<Vec<PluginId>, Problem> {
    let named = named.unwrap_or_default();
    let wrong = || {
        let message = format!(
            "provider.{list} has at most {NAMED_MAX} providers, each by the `id` that answers name it by (plg_…)"
        );
        Problem::field("provider", &message)
    };
    if named.len() > NAMED_MAX {
        return Err(wrong());
    }
    named.iter().map(|id| id.parse().map_err(|_| wrong())).collect()
}
