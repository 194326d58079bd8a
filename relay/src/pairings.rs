//! Pairing codes: a page makes one, and an owner types it into the plugin that is to be the page's own.
//!
//! They live for minutes and in memory alone: after a restart of the relay the page makes another. Of a code
//! its hash is kept.

use std::collections::HashMap;

use parking_lot::Mutex;
use rekursing_protocol::{AccountId, Moment, PluginId, Span};

use crate::chance;

/// Characters of a code: 40 bits.
const CODE_CHARS: usize = 8;

/// What a code is made of: no two look alike.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// How long a code opens.
const CODE_FOR: Span = Span::secs(600);

/// Most codes that are open at once; each account has one.
const CODES_MAX: usize = 10_000;

/// Most wrong codes of one plugin within [`CODE_FOR`].
const TRIES_MAX: u32 = 5;

/// Most wrong codes of all plugins together within a minute.
const TRIES_MAX_OF_ALL: u32 = 600;

/// Open codes, and who has tried wrong ones.
#[derive(Debug, Default)]
pub struct Pairings(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    /// By the hash of the code.
    open: HashMap<[u8; 32], Open>,
    tries: HashMap<PluginId, Tries>,
    tries_of_all: Tries,
}

#[derive(Debug)]
struct Open {
    account: AccountId,
    until: Moment,
}

#[derive(Debug, Default)]
struct Tries {
    count: u32,
    /// When they are forgotten.
    until: Moment,
}

/// Why a code pairs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// There is no such code, or none any more.
    Code,
    /// Too many wrong ones were tried.
    TooOften,
}

impl Pairings {
    /// Makes a code for an account, in the place of its last one. Returns it with when it is over, or nothing
    /// when as many are open as may be.
    pub fn open(&self, now: Moment, account: AccountId) -> Option<(String, Moment)> {
        let mut book = self.0.lock();
        book.open.retain(|_, open| now < open.until && open.account != account);
        if book.open.len() >= CODES_MAX {
            return None;
        }
        let drawn = chance::bytes::<CODE_CHARS>();
        let code: String = drawn.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
        let until = now + CODE_FOR;
        book.open.insert(chance::digest(&code), Open { account, until });
        Some((code, until))
    }

    /// Uses a code up. Returns whose it is.
    ///
    /// # Errors
    /// When it opens nothing, or the plugin or all together have tried too often.
    pub fn redeem(&self, now: Moment, plugin: PluginId, code: &str) -> Result<AccountId, Wrong> {
        let mut book = self.0.lock();
        let book = &mut *book;
        book.tries.retain(|_, tries| now < tries.until);
        let tried = book.tries.get(&plugin).map_or(0, |tries| tries.count);
        if tried >= TRIES_MAX || book.tries_of_all.at(now) >= TRIES_MAX_OF_ALL {
            return Err(Wrong::TooOften);
        }
        let found = book.open.remove(&chance::digest(&plain(code))).filter(|open| now < open.until);
        found.map(|open| open.account).ok_or_else(|| {
            let tries = book.tries.entry(plugin).or_insert(Tries { count: 0, until: now + CODE_FOR });
            tries.count += 1;
            book.tries_of_all.count += 1;
            Wrong::Code
        })
    }
}

impl Tries {
    /// Returns how many there were within this minute.
    fn at(&mut self, now: Moment) -> u32 {
        if now >= self.until {
            *self = Tries { count: 0, until: now + Span::secs(60) };
        }
        self.count
    }
}

/// Forgives what people write into a code: spaces, dashes, small letters.
fn plain(code: &str) -> String {
    let letters = code.chars().filter(|char| !char.is_whitespace() && *char != '-').take(CODE_CHARS + 1);
    letters.map(|char| char.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_000_000);

    fn plugin(number: u128) -> PluginId {
        PluginId::from_bits(number)
    }

    #[test]
    fn a_code_pairs_once_and_within_ten_minutes() {
        let (pairings, account) = (Pairings::default(), AccountId::from_bits(1));
        let (code, until) = pairings.open(NOW, account).unwrap();
        assert_eq!((code.len(), until), (8, NOW + CODE_FOR));
        let written = format!(" {}-{} ", code[..4].to_ascii_lowercase(), &code[4..]);
        assert_eq!(pairings.redeem(NOW, plugin(1), &written), Ok(account));
        assert_eq!(pairings.redeem(NOW, plugin(1), &code), Err(Wrong::Code));

        let (code, until) = pairings.open(NOW, account).unwrap();
        assert_eq!(pairings.redeem(until, plugin(1), &code), Err(Wrong::Code));
    }

    #[test]
    fn an_account_has_one_code_and_a_new_one_ends_the_last() {
        let (pairings, account) = (Pairings::default(), AccountId::from_bits(1));
        let (first, _) = pairings.open(NOW, account).unwrap();
        let (second, _) = pairings.open(NOW, account).unwrap();
        let (others, _) = pairings.open(NOW, AccountId::from_bits(2)).unwrap();
        assert_eq!(pairings.redeem(NOW, plugin(1), &first), Err(Wrong::Code));
        assert_eq!(pairings.redeem(NOW, plugin(1), &second), Ok(account));
        assert_eq!(pairings.redeem(NOW, plugin(1), &others), Ok(AccountId::from_bits(2)));
    }

    #[test]
    fn a_plugin_tries_five_times_and_then_not_even_the_right_code() {
        let (pairings, account) = (Pairings::default(), AccountId::from_bits(1));
        let (code, _) = pairings.open(NOW, account).unwrap();
        for _ in 0..TRIES_MAX {
            assert_eq!(pairings.redeem(NOW, plugin(1), "AAAAAAAA"), Err(Wrong::Code));
        }
        assert_eq!(pairings.redeem(NOW, plugin(1), &code), Err(Wrong::TooOften));
        assert_eq!(pairings.redeem(NOW, plugin(2), &code), Ok(account), "others are not kept from it");
        let later = NOW + CODE_FOR;
        let (code, _) = pairings.open(later, account).unwrap();
        assert_eq!(pairings.redeem(later, plugin(1), &code), Ok(account));
    }

    #[test]
    fn all_plugins_together_try_only_so_often() {
        let pairings = Pairings::default();
        for number in 0..u128::from(TRIES_MAX_OF_ALL) {
            assert_eq!(pairings.redeem(NOW, plugin(number), "AAAAAAAA"), Err(Wrong::Code));
        }
        assert_eq!(pairings.redeem(NOW, plugin(9_999), "AAAAAAAA"), Err(Wrong::TooOften));
        let later = NOW + Span::secs(60);
        assert_eq!(pairings.redeem(later, plugin(9_999), "AAAAAAAA"), Err(Wrong::Code));
    }
}
