//! Pairing codes: a page makes one, and an owner types it into the plugin that is to be the page's own; or a plugin
//! makes one, and its owner's phone reads it off the screen.
//!
//! They live for minutes and in memory alone: after a restart of the relay another is made. Of a code its hash is
//! kept.

use std::{collections::HashMap, hash::Hash, net::IpAddr};

use parking_lot::Mutex;
use rekursing_protocol::{AccountId, Moment, PluginId, Span};

use crate::chance;

/// What a code is made of: no two look alike.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Characters of a code that a person types: 40 bits.
const TYPED_CHARS: usize = 8;

/// How long a code opens that a person types.
const TYPED_FOR: Span = Span::secs(600);

/// Characters of a code that a camera reads: 80 bits, because whoever guesses one has a hand in a plugin.
const READ_CHARS: usize = 16;

/// How long a code opens that a camera reads.
const READ_FOR: Span = Span::secs(300);

/// Most codes that are open at once; whoever makes them has one each.
const CODES_MAX: usize = 10_000;

/// Most wrong codes of one who tries them, for as long as a code opens.
const TRIES_MAX: u32 = 5;

/// Most wrong codes of all together within a minute, which also bounds how many are remembered.
const TRIES_MAX_OF_ALL: u32 = 600;

/// Open codes of those who make them, and who has tried wrong ones.
#[derive(Debug)]
pub struct Pairings<Of, By> {
    chars: usize,
    lasts: Span,
    book: Mutex<Book<Of, By>>,
}

#[derive(Debug)]
struct Book<Of, By> {
    /// By the hash of the code.
    open: HashMap<[u8; 32], Open<Of>>,
    tries: HashMap<By, Tries>,
    tries_of_all: Tries,
}

#[derive(Debug)]
struct Open<Of> {
    of: Of,
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

impl Pairings<AccountId, PluginId> {
    /// Codes of accounts, which owners type.
    pub fn typed() -> Pairings<AccountId, PluginId> {
        Pairings::new(TYPED_CHARS, TYPED_FOR)
    }
}

impl Pairings<PluginId, IpAddr> {
    /// Codes of plugins, which owners' phones read.
    pub fn read() -> Pairings<PluginId, IpAddr> {
        Pairings::new(READ_CHARS, READ_FOR)
    }
}

impl<Of: Copy + PartialEq, By: Eq + Hash> Pairings<Of, By> {
    fn new(chars: usize, lasts: Span) -> Pairings<Of, By> {
        let book = Book { open: HashMap::new(), tries: HashMap::new(), tries_of_all: Tries::default() };
        Pairings { chars, lasts, book: Mutex::new(book) }
    }

    /// Makes a code for somebody, in the place of his last one. Returns it with when it is over, or nothing
    /// when as many are open as may be.
    pub fn open(&self, now: Moment, of: Of) -> Option<(String, Moment)> {
        let mut book = self.book.lock();
        book.open.retain(|_, open| now < open.until && open.of != of);
        if book.open.len() >= CODES_MAX {
            return None;
        }
        let drawn = chance::bytes::<READ_CHARS>();
        let chars = drawn.iter().take(self.chars);
        let code: String = chars.map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
        let until = now + self.lasts;
        book.open.insert(chance::digest(&code), Open { of, until });
        Some((code, until))
    }

    /// Uses a code up. Returns whose it is.
    ///
    /// # Errors
    /// When it opens nothing, or whoever tries, or all together, have tried too often.
    pub fn redeem(&self, now: Moment, by: By, code: &str) -> Result<Of, Wrong> {
        let mut book = self.book.lock();
        let book = &mut *book;
        book.tries.retain(|_, tries| now < tries.until);
        let tried = book.tries.get(&by).map_or(0, |tries| tries.count);
        if tried >= TRIES_MAX || book.tries_of_all.at(now) >= TRIES_MAX_OF_ALL {
            return Err(Wrong::TooOften);
        }
        let written = plain(code, self.chars);
        let found = book.open.remove(&chance::digest(&written)).filter(|open| now < open.until);
        found.map(|open| open.of).ok_or_else(|| {
            let tries = book.tries.entry(by).or_insert(Tries { count: 0, until: now + self.lasts });
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
fn plain(code: &str, chars: usize) -> String {
    let letters = code.chars().filter(|char| !char.is_whitespace() && *char != '-').take(chars + 1);
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
        let (pairings, account) = (Pairings::typed(), AccountId::from_bits(1));
        let (code, until) = pairings.open(NOW, account).unwrap();
        assert_eq!((code.len(), until), (8, NOW + TYPED_FOR));
        let written = format!(" {}-{} ", code[..4].to_ascii_lowercase(), &code[4..]);
        assert_eq!(pairings.redeem(NOW, plugin(1), &written), Ok(account));
        assert_eq!(pairings.redeem(NOW, plugin(1), &code), Err(Wrong::Code));

        let (code, until) = pairings.open(NOW, account).unwrap();
        assert_eq!(pairings.redeem(until, plugin(1), &code), Err(Wrong::Code));
    }

    #[test]
    fn an_account_has_one_code_and_a_new_one_ends_the_last() {
        let (pairings, account) = (Pairings::typed(), AccountId::from_bits(1));
        let (first, _) = pairings.open(NOW, account).unwrap();
        let (second, _) = pairings.open(NOW, account).unwrap();
        let (others, _) = pairings.open(NOW, AccountId::from_bits(2)).unwrap();
        assert_eq!(pairings.redeem(NOW, plugin(1), &first), Err(Wrong::Code));
        assert_eq!(pairings.redeem(NOW, plugin(1), &second), Ok(account));
        assert_eq!(pairings.redeem(NOW, plugin(1), &others), Ok(AccountId::from_bits(2)));
    }

    #[test]
    fn a_plugin_tries_five_times_and_then_not_even_the_right_code() {
        let (pairings, account) = (Pairings::typed(), AccountId::from_bits(1));
        let (code, _) = pairings.open(NOW, account).unwrap();
        for _ in 0..TRIES_MAX {
            assert_eq!(pairings.redeem(NOW, plugin(1), "AAAAAAAA"), Err(Wrong::Code));
        }
        assert_eq!(pairings.redeem(NOW, plugin(1), &code), Err(Wrong::TooOften));
        assert_eq!(pairings.redeem(NOW, plugin(2), &code), Ok(account), "others are not kept from it");
        let later = NOW + TYPED_FOR;
        let (code, _) = pairings.open(later, account).unwrap();
        assert_eq!(pairings.redeem(later, plugin(1), &code), Ok(account));
    }

    #[test]
    fn all_plugins_together_try_only_so_often() {
        let pairings = Pairings::typed();
        for number in 0..u128::from(TRIES_MAX_OF_ALL) {
            assert_eq!(pairings.redeem(NOW, plugin(number), "AAAAAAAA"), Err(Wrong::Code));
        }
        assert_eq!(pairings.redeem(NOW, plugin(9_999), "AAAAAAAA"), Err(Wrong::TooOften));
        let later = NOW + Span::secs(60);
        assert_eq!(pairings.redeem(later, plugin(9_999), "AAAAAAAA"), Err(Wrong::Code));
    }

    #[test]
    fn a_code_for_a_camera_is_twice_as_long_and_over_in_half_the_time() {
        let (pairings, phone) = (Pairings::read(), IpAddr::from([127, 0, 0, 1]));
        let (code, until) = pairings.open(NOW, plugin(1)).unwrap();
        assert_eq!((code.len(), until), (16, NOW + READ_FOR));
        assert_eq!(pairings.redeem(until, phone, &code), Err(Wrong::Code));
        let (code, _) = pairings.open(NOW, plugin(1)).unwrap();
        assert_eq!(pairings.redeem(NOW, phone, &code[..8]), Err(Wrong::Code));
        assert_eq!(pairings.redeem(NOW, phone, &code), Ok(plugin(1)));
        assert_eq!(pairings.redeem(NOW, phone, &code), Err(Wrong::Code));
    }
}
