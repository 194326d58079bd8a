//! Crowds: the families of models that so many plugins served in an hour that none of them stands out there.
//! Who is live with which models is public, so a row about any other family would name its plugin.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use anyhow::Result;
use parking_lot::Mutex;
use rekursing_market::model_name;
use rekursing_protocol::{Hour, PluginId};

use crate::store::Store;

/// Hours whose crowds are remembered: a little more than the list of hours has.
const HOURS_KNOWN_MAX: usize = 800;

/// The families of an hour that are told.
pub type Crowd = BTreeSet<String>;

/// The crowds of hours that are over, as far as somebody asked for them: to find them takes a look at all of
/// an hour.
#[derive(Debug)]
pub struct Crowds {
    providers_min: usize,
    known: Mutex<BTreeMap<Hour, Arc<Crowd>>>,
}

impl Crowds {
    /// A family is a crowd's that so many plugins served.
    pub fn new(providers_min: usize) -> Crowds {
        Crowds { providers_min, known: Mutex::default() }
    }

    /// Returns the families of an hour that is over and stored.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn of(&self, store: &Store, hour: Hour) -> Result<Arc<Crowd>> {
        if let Some(crowd) = self.known.lock().get(&hour) {
            return Ok(Arc::clone(crowd));
        }
        let crowd = Arc::new(crowd(self.providers_min, store.served_by(hour).await?));
        let mut known = self.known.lock();
        if known.len() >= HOURS_KNOWN_MAX {
            known.pop_first();
        }
        known.insert(hour, Arc::clone(&crowd));
        Ok(crowd)
    }
}

/// Finds the families that at least so many plugins served, among who served which model.
fn crowd(providers_min: usize, served: Vec<(String, PluginId)>) -> Crowd {
    let mut owners: HashMap<String, BTreeSet<PluginId>> = HashMap::new();
    for (model, owner) in served {
        owners.entry(model_name::family(&model)).or_default().insert(owner);
    }
    let is_crowd =
        |(family, owners): (String, BTreeSet<_>)| (owners.len() >= providers_min).then_some(family);
    owners.into_iter().filter_map(is_crowd).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_told_from_the_third_plugin_on_whatever_each_calls_the_model() {
        let served = |rows: &[(&str, u128)]| {
            rows.iter().map(|(model, owner)| ((*model).to_owned(), PluginId::from_bits(*owner))).collect()
        };
        let two = [("qwen2.5-7b", 1), ("Qwen/Qwen2.5-7B-GGUF", 1), ("qwen2.5:7b", 2), ("bobs-own", 3)];
        assert_eq!(crowd(3, served(&two)), Crowd::new());
        let three = [two.as_slice(), &[("Qwen2.5-7B-Q4_K_M.gguf", 3)]].concat();
        assert_eq!(crowd(3, served(&three)), Crowd::from(["qwen2.5-7b".to_owned()]));
        assert_eq!(crowd(1, served(&two)).len(), 2);
    }
}
