//! The roll: every registered plugin, and how it is known again.

use std::sync::Arc;

use dashmap::{DashMap, mapref::entry::Entry};
use rekursing_protocol::{AccountId, Moment, PluginId};
use subtle::ConstantTimeEq;

use crate::{
    chance,
    devices::Key,
    store::{Pairing, Plugin},
};

/// Every registered plugin.
#[derive(Debug, Default)]
pub struct Roll {
    plugins: DashMap<PluginId, Identity>,
    /// Whose key it is.
    keys: DashMap<Key, PluginId>,
    /// Whose own they are, their names and which are revoked changes one after the other, so that the store has it as
    /// it is here.
    pub changing: tokio::sync::Mutex<()>,
}

/// How one plugin is known again.
#[derive(Debug, Clone)]
pub struct Identity {
    /// SHA-256 of its secret, of one that has a secret.
    pub secret_hash: Option<[u8; 32]>,
    /// Its device key, of one that has a key.
    pub key: Option<Key>,
    /// Whose own it is, if anybody's.
    pub pairing: Option<Pairing>,
    /// When its account has revoked its key or secret, if it has.
    pub revoked: Option<Moment>,
    /// Its name for pages, or empty.
    pub name: Arc<str>,
    /// When the nonce was made that it signed last for a pass.
    asked_at: Moment,
}

impl Identity {
    /// Takes what is stored of a plugin.
    pub fn of(plugin: &Plugin) -> Identity {
        let Plugin { secret_hash, key, pairing, revoked, name, .. } = plugin;
        let name = name.as_str().into();
        Identity {
            secret_hash: *secret_hash,
            key: *key,
            pairing: *pairing,
            revoked: *revoked,
            name,
            asked_at: Moment::default(),
        }
    }

    /// Tells whether it is this account's own.
    pub fn is_of(&self, account: AccountId) -> bool {
        self.pairing.is_some_and(|pairing| pairing.account == account)
    }

    /// Tells whether this is its secret.
    pub fn has_secret(&self, secret: &str) -> bool {
        let given = chance::digest(secret);
        self.secret_hash.is_some_and(|known| bool::from(given.ct_eq(&known)))
    }
}

impl Roll {
    /// Enters a plugin, in place of an older one with the same id.
    pub fn enter(&self, plugin: &Plugin) {
        if let Some(key) = plugin.key {
            self.keys.insert(key, plugin.id);
        }
        match self.plugins.entry(plugin.id) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                (known.secret_hash, known.name) = (plugin.secret_hash, plugin.name.as_str().into());
            }
            Entry::Vacant(place) => drop(place.insert(Identity::of(plugin))),
        }
    }

    /// Returns how a plugin is known again.
    pub fn find(&self, plugin: PluginId) -> Option<Identity> {
        self.plugins.get(&plugin).map(|known| known.clone())
    }

    /// Returns a plugin's name for pages: empty where it has none, or is not known.
    pub fn name(&self, plugin: PluginId) -> Arc<str> {
        self.plugins.get(&plugin).map(|known| Arc::clone(&known.name)).unwrap_or_default()
    }

    /// Returns whose key it is.
    pub fn with_key(&self, key: &Key) -> Option<PluginId> {
        self.keys.get(key).map(|plugin| *plugin)
    }

    /// Lets a key take the place of a plugin's secret.
    pub fn rekey(&self, plugin: PluginId, key: Key) {
        if let Some(mut known) = self.plugins.get_mut(&plugin) {
            (known.secret_hash, known.key) = (None, Some(key));
            self.keys.insert(key, plugin);
        }
    }

    /// Notes whose own a plugin is, if anybody's.
    pub fn pair(&self, plugin: PluginId, pairing: Option<Pairing>) {
        if let Some(mut known) = self.plugins.get_mut(&plugin) {
            known.pairing = pairing;
        }
    }

    /// Notes that a plugin's key or secret is revoked.
    pub fn revoke(&self, plugin: PluginId, at: Moment) {
        if let Some(mut known) = self.plugins.get_mut(&plugin) {
            known.revoked.get_or_insert(at);
        }
    }

    /// Gives a plugin another name.
    pub fn rename(&self, plugin: PluginId, name: &str) {
        if let Some(mut known) = self.plugins.get_mut(&plugin) {
            known.name = name.into();
        }
    }

    /// Notes that a plugin has signed a nonce of this moment. `false` when it has signed that one or a later
    /// one before: each serves once.
    pub fn use_nonce(&self, plugin: PluginId, asked_at: Moment) -> bool {
        let Some(mut known) = self.plugins.get_mut(&plugin) else { return false };
        let is_new = asked_at > known.asked_at;
        known.asked_at = known.asked_at.max(asked_at);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(secret: Option<&str>, key: Option<Key>) -> Plugin {
        Plugin {
            id: PluginId::from_bits(1),
            secret_hash: secret.map(chance::digest),
            key,
            pairing: None,
            revoked: None,
            name: "Ada".to_owned(),
            gpu: rekursing_protocol::Gpu::default(),
        }
    }

    #[test]
    fn a_key_takes_the_place_of_the_secret() {
        let (roll, id) = (Roll::default(), PluginId::from_bits(1));
        roll.enter(&plugin(Some("shh"), None));
        assert!(roll.find(id).unwrap().has_secret("shh"));
        roll.rekey(id, [1; 32]);
        let known = roll.find(id).unwrap();
        assert!(!known.has_secret("shh") && !known.has_secret(""));
        assert_eq!((known.key, roll.with_key(&[1; 32])), (Some([1; 32]), Some(id)));
    }

    #[test]
    fn a_nonce_serves_once() {
        let (roll, id) = (Roll::default(), PluginId::from_bits(1));
        roll.enter(&plugin(None, Some([1; 32])));
        assert!(roll.use_nonce(id, Moment(5)));
        assert!(!roll.use_nonce(id, Moment(5)) && !roll.use_nonce(id, Moment(4)));
        assert!(roll.use_nonce(id, Moment(6)));
        assert!(!roll.use_nonce(PluginId::from_bits(2), Moment(7)));
    }
}
