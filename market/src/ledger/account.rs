//! Accounts: whose money it is.

use std::{fmt, str::FromStr};

use rekursing_protocol::{AccountId, PluginId};

/// Whose money it is. Prints and reads as `page:acc_…`, `advertiser:acc_…`, `free`, `escrow`,
/// `owner:plg_…`, `held:plg_…`, `disputed`, `payout:requested`, `payout:sent`, `platform`, `shortfall`, `outside`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// What a page can spend.
    Page(AccountId),
    /// What an advertiser can spend.
    Advertiser(AccountId),
    /// What pays for free answers: the operator's budget and what ads brought.
    Free,
    /// What is set aside for jobs: the sum of all open holds.
    Escrow,
    /// What an owner has earned and can have paid out.
    Owner(PluginId),
    /// What a new owner has earned and gets later.
    Held(PluginId),
    /// What owners have earned with jobs that are disputed, until that is decided. Whose it is, its entries' ids say.
    Disputed,
    /// What owners have asked to be paid and nobody has sent yet.
    PayoutRequested,
    /// What is on its way to owners.
    PayoutSent,
    /// The platform's fees.
    Platform,
    /// What has left and nobody had, below zero: as much as the operator has to bring, or the platform's
    /// later fees.
    Shortfall,
    /// The rest of the world. Money comes from here, so it is below zero, and the sum over all accounts is
    /// always zero.
    Outside,
}

impl Account {
    /// Tells whether it may be below zero: what others have put in, and what they have still to bring.
    pub const fn may_be_negative(self) -> bool {
        match self {
            Account::Outside | Account::Shortfall => true,
            Account::Page(_)
            | Account::Advertiser(_)
            | Account::Free
            | Account::Escrow
            | Account::Owner(_)
            | Account::Held(_)
            | Account::Disputed
            | Account::PayoutRequested
            | Account::PayoutSent
            | Account::Platform => false,
        }
    }

    /// Returns the class of accounts that it is one of: `page`, `advertiser`, `owner` or `held`. The accounts
    /// that there is one of have none.
    pub const fn class(self) -> Option<&'static str> {
        match self {
            Account::Page(_) => Some("page"),
            Account::Advertiser(_) => Some("advertiser"),
            Account::Owner(_) => Some("owner"),
            Account::Held(_) => Some("held"),
            Account::Free
            | Account::Escrow
            | Account::Disputed
            | Account::PayoutRequested
            | Account::PayoutSent
            | Account::Platform
            | Account::Shortfall
            | Account::Outside => None,
        }
    }
}

/// Why a text is not an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an account is page:acc_…, advertiser:acc_…, free, escrow, owner:plg_…, held:plg_…, disputed, \
     payout:requested, payout:sent, platform, shortfall or outside"
)]
pub struct BadAccount;

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Page(id) => write!(f, "page:{id}"),
            Account::Advertiser(id) => write!(f, "advertiser:{id}"),
            Account::Free => f.write_str("free"),
            Account::Escrow => f.write_str("escrow"),
            Account::Owner(id) => write!(f, "owner:{id}"),
            Account::Held(id) => write!(f, "held:{id}"),
            Account::Disputed => f.write_str("disputed"),
            Account::PayoutRequested => f.write_str("payout:requested"),
            Account::PayoutSent => f.write_str("payout:sent"),
            Account::Platform => f.write_str("platform"),
            Account::Shortfall => f.write_str("shortfall"),
            Account::Outside => f.write_str("outside"),
        }
    }
}

impl FromStr for Account {
    type Err = BadAccount;

    fn from_str(text: &str) -> Result<Account, BadAccount> {
        match text {
            "free" => return Ok(Account::Free),
            "escrow" => return Ok(Account::Escrow),
            "disputed" => return Ok(Account::Disputed),
            "payout:requested" => return Ok(Account::PayoutRequested),
            "payout:sent" => return Ok(Account::PayoutSent),
            "platform" => return Ok(Account::Platform),
            "shortfall" => return Ok(Account::Shortfall),
            "outside" => return Ok(Account::Outside),
            _ => {}
        }
        let (kind, id) = text.split_once(':').ok_or(BadAccount)?;
        match kind {
            "page" => id.parse().map(Account::Page).map_err(|_| BadAccount),
            "advertiser" => id.parse().map(Account::Advertiser).map_err(|_| BadAccount),
            "owner" => id.parse().map(Account::Owner).map_err(|_| BadAccount),
            "held" => id.parse().map(Account::Held).map_err(|_| BadAccount),
            _ => Err(BadAccount),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_print_and_read_back() {
        for account in [
            Account::Page(AccountId::from_bits(7)),
            Account::Free,
            Account::Escrow,
            Account::Owner(PluginId::from_bits(8)),
            Account::Held(PluginId::from_bits(8)),
            Account::Advertiser(AccountId::from_bits(9)),
            Account::Disputed,
            Account::PayoutRequested,
            Account::PayoutSent,
            Account::Platform,
            Account::Shortfall,
            Account::Outside,
        ] {
            assert_eq!(account.to_string().parse(), Ok(account));
        }
        for text in ["", "page", "page:", "page:plg_00000000000000000000000000", "owner:free", "Free"] {
            assert_eq!(text.parse::<Account>(), Err(BadAccount), "{text}");
        }
    }
}
