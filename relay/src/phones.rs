//! Owners' phones: who may see and steer a plugin from afar, and wishes that wait for the plugin's word.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Result;
use dashmap::DashMap;
use parking_lot::Mutex;
use rekursing_protocol::{
    Moment, PhoneId, PluginId, SessionId,
    frame::{Steered, Unwilling},
};
use tokio::sync::oneshot;

use crate::{
    chance,
    pairings::Pairings,
    store::{Phone, Store},
};

/// What the token of a phone begins with.
pub const TOKEN_PREFIX: &str = "rph_";

/// Most phones of one plugin.
pub const PHONES_MAX: usize = 5;

/// Where the word of a plugin goes: why it does not follow, or nothing where it does.
type Said = oneshot::Sender<Option<Unwilling>>;

/// Every phone, the codes by which another is let in, and wishes under way.
#[derive(Debug)]
pub struct Phones {
    /// Codes of plugins, which their owners' phones read off the screen.
    pub codes: Pairings<PluginId, IpAddr>,
    /// Each plugin's, who was let in first first.
    of: DashMap<PluginId, Vec<Seen>>,
    /// Whose it is, by the hash of its token.
    plugins: DashMap<[u8; 32], PluginId>,
    /// They come and go one after the other, so that none is one too many and the store has them as they are here.
    changing: tokio::sync::Mutex<()>,
    wishes: AtomicU64,
    waiting: Mutex<HashMap<SessionId, (u64, Said)>>,
}

/// A phone, and when it last asked for something since the relay runs.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The phone.
    pub phone: Phone,
    /// When it asked last.
    pub at: Option<Moment>,
}

/// A wish under way. Dropping it ends the wait.
#[derive(Debug)]
pub struct Waiting<'a> {
    phones: &'a Phones,
    session: SessionId,
    /// Its number.
    pub n: u64,
    /// Comes when the plugin has said what became of it.
    pub answer: oneshot::Receiver<Option<Unwilling>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.phones.waiting.lock();
        if waiting.get(&self.session).is_some_and(|(n, _)| *n == self.n) {
            waiting.remove(&self.session);
        }
    }
}

impl Phones {
    /// Takes the phones that are stored.
    pub fn new(known: Vec<Phone>) -> Phones {
        let phones = Phones {
            codes: Pairings::read(),
            of: DashMap::new(),
            plugins: DashMap::new(),
            changing: tokio::sync::Mutex::default(),
            wishes: AtomicU64::new(0),
            waiting: Mutex::default(),
        };
        known.into_iter().for_each(|phone| phones.enter(phone));
        phones
    }

    /// Tells whether a plugin may have one more.
    pub fn is_room(&self, plugin: PluginId) -> bool {
        self.of.get(&plugin).is_none_or(|phones| phones.len() < PHONES_MAX)
    }

    /// Lets a phone in, durably. `false` where its plugin has as many as it may have.
    ///
    /// # Errors
    /// When it could not be stored.
    pub async fn let_in(&self, store: &Store, phone: Phone) -> Result<bool> {
        let _alone = self.changing.lock().await;
        if !self.is_room(phone.plugin) {
            return Ok(false);
        }
        store.put_phone(phone.clone()).await?;
        self.enter(phone);
        Ok(true)
    }

    /// Puts a phone out, durably.
    ///
    /// # Errors
    /// When that could not be stored.
    pub async fn put_out(&self, store: &Store, phone: &Phone) -> Result<()> {
        let _alone = self.changing.lock().await;
        store.remove_phone(phone.hash).await?;
        self.leave(phone);
        Ok(())
    }

    fn enter(&self, phone: Phone) {
        self.plugins.insert(phone.hash, phone.plugin);
        self.of.entry(phone.plugin).or_default().push(Seen { phone, at: None });
    }

    /// Returns the phone that shows this token, and notes that it was there.
    pub fn bearer(&self, now: Moment, token: &str) -> Option<Phone> {
        let hash = token.starts_with(TOKEN_PREFIX).then(|| chance::digest(token))?;
        let plugin = *self.plugins.get(&hash)?;
        let mut phones = self.of.get_mut(&plugin)?;
        let seen = phones.iter_mut().find(|seen| seen.phone.hash == hash)?;
        seen.at = Some(now);
        Some(seen.phone.clone())
    }

    /// Returns a plugin's phones.
    pub fn list(&self, plugin: PluginId) -> Vec<Seen> {
        self.of.get(&plugin).map(|phones| phones.clone()).unwrap_or_default()
    }

    /// Returns one of a plugin's phones.
    pub fn find(&self, plugin: PluginId, id: PhoneId) -> Option<Phone> {
        self.list(plugin).into_iter().map(|seen| seen.phone).find(|phone| phone.id == id)
    }

    fn leave(&self, phone: &Phone) {
        self.plugins.remove(&phone.hash);
        if let Some(mut phones) = self.of.get_mut(&phone.plugin) {
            phones.retain(|seen| seen.phone.hash != phone.hash);
        }
        self.of.remove_if(&phone.plugin, |_, phones| phones.is_empty());
    }

    /// Begins to wait for what becomes of a wish; there is one at a time for each session.
    pub fn wish(&self, session: SessionId) -> Option<Waiting<'_>> {
        let mut waiting = self.waiting.lock();
        if waiting.contains_key(&session) {
            return None;
        }
        let n = self.wishes.fetch_add(1, Ordering::Relaxed) + 1;
        let (said, answer) = oneshot::channel();
        waiting.insert(session, (n, said));
        Some(Waiting { phones: self, session, n, answer })
    }

    /// Takes in what a plugin says of a wish. One that nobody waits for any more is dropped.
    pub fn steered(&self, session: SessionId, steered: &Steered) {
        let mut waiting = self.waiting.lock();
        if waiting.get(&session).is_some_and(|(n, _)| *n == steered.n)
            && let Some((_, said)) = waiting.remove(&session)
        {
            // Whoever waited may have left.
            let _ = said.send(steered.refused);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Location;

    const NOW: Moment = Moment(1_000_000);

    fn phone(number: u128, plugin: u128, token: &str) -> Phone {
        Phone {
            id: PhoneId::from_bits(number),
            hash: chance::digest(token),
            plugin: PluginId::from_bits(plugin),
            name: format!("phone {number}"),
            paired: NOW,
        }
    }

    #[test]
    fn a_phone_is_known_by_its_token_until_it_is_put_out() {
        let phones =
            Phones::new(vec![phone(1, 7, "rph_one"), phone(2, 7, "rph_two"), phone(3, 8, "rph_three")]);
        assert_eq!(phones.bearer(NOW, "rph_two"), Some(phone(2, 7, "rph_two")));
        assert_eq!(phones.bearer(NOW, "rph_four"), None);
        assert_eq!(phones.bearer(NOW, "two"), None);
        let plugin = PluginId::from_bits(7);
        let seen: Vec<_> =
            phones.list(plugin).into_iter().map(|seen| (seen.phone.id.bits(), seen.at)).collect();
        assert_eq!(seen, [(1, None), (2, Some(NOW))]);
        phones.leave(&phone(2, 7, "rph_two"));
        assert_eq!(phones.bearer(NOW, "rph_two"), None);
        assert_eq!(phones.find(plugin, PhoneId::from_bits(3)), None, "it is another plugin's");
        phones.leave(&phone(1, 7, "rph_one"));
        assert!(phones.list(plugin).is_empty());
    }

    #[tokio::test]
    async fn of_phones_that_pair_at_once_no_more_come_in_than_may() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Folder(folder.path().to_owned());
        let mut unstarted = Store::open(&location).unwrap();
        let last = unstarted.opening().unwrap().last;
        let store = unstarted.start(last, Box::new(|_| true)).unwrap();
        let phones = Phones::new(Vec::new());
        let pairing = (0..8_u128).map(|n| phones.let_in(&store, phone(n, 7, &format!("rph_{n}"))));
        let paired = futures_util::future::join_all(pairing).await;
        assert_eq!(paired.iter().filter(|paired| *paired.as_ref().unwrap()).count(), PHONES_MAX);
        let plugin = PluginId::from_bits(7);
        let listed = phones.list(plugin);
        assert_eq!(listed.len(), PHONES_MAX);
        phones.put_out(&store, &listed[0].phone).await.unwrap();
        assert!(phones.is_room(plugin));
        store.stop();
        let mut stored = Store::open(&location).unwrap().phones().unwrap();
        stored.sort_by_key(|phone| phone.id);
        let mut known: Vec<Phone> = phones.list(plugin).into_iter().map(|seen| seen.phone).collect();
        known.sort_by_key(|phone| phone.id);
        assert_eq!(stored, known);
    }

    #[test]
    fn a_wish_waits_for_the_word_of_its_session_and_number_alone() {
        let phones = Phones::new(Vec::new());
        let [one, other] = [1, 2].map(SessionId::from_bits);
        let mut waiting = phones.wish(one).unwrap();
        assert!(phones.wish(one).is_none(), "one at a time");
        let said = |n, refused| Steered { n, refused };
        phones.steered(other, &said(waiting.n, None));
        phones.steered(one, &said(waiting.n + 1, None));
        assert!(waiting.answer.try_recv().is_err());
        phones.steered(one, &said(waiting.n, Some(Unwilling::Off)));
        assert_eq!(waiting.answer.try_recv(), Ok(Some(Unwilling::Off)));
        drop(waiting);
        let given_up = phones.wish(one).unwrap().n;
        phones.steered(one, &said(given_up, None));
        assert!(phones.wish(one).is_some());
    }
}
