//! Accounts: whose money it is.

use std::{fmt, str::FromStr};

use rekursing_protocol::{AccountId, PluginId};

/// Whose money it is. Prints and reads as `page:acc_…`, `free`, `escrow`, `owner:plg_…`, `platform`,
/// `outside`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// What a page can spend.
    Page(AccountId),
    /// What the operator gives for free answers.
    Free,
    /// What is set aside for jobs: the sum of all open holds.
    Escrow,
    /// What an owner has earned.
    Owner(PluginId),
    /// The platform's fees.
    Platform,
    /// The rest of the world. Money comes from here, so it is the one account that may be negative,
    /// and the sum over all accounts is always zero.
    Outside,
}

/// Why a text is not an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an account is page:acc_…, free, escrow, owner:plg_…, platform or outside")]
pub struct BadAccount;

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Account::Page(id) => write!(f, "page:{id}"),
            Account::Free => f.write_str("free"),
            Account::Escrow => f.write_str("escrow"),
            Account::Owner(id) => write!(f, "owner:{id}"),
            Account::Platform => f.write_str("platform"),
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
            "platform" => return Ok(Account::Platform),
            "outside" => return Ok(Account::Outside),
            _ => {}
        }
        let (kind, id) = text.split_once(':').ok_or(BadAccount)?;
        match kind {
            "page" => id.parse().map(Account::Page).map_err(|_| BadAccount),
            "owner" => id.parse().map(Account::Owner).map_err(|_| BadAccount),
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
            Account::Platform,
            Account::Outside,
        ] {
            assert_eq!(account.to_string().parse(), Ok(account));
        }
        for text in ["", "page", "page:", "page:plg_00000000000000000000000000", "owner:free", "Free"] {
            assert_eq!(text.parse::<Account>(), Err(BadAccount), "{text}");
        }
    }
}
