//! Where money goes.

use std::fmt;

use crate::Method;

/// Where money goes, in the form that the rail wants. Its `Debug` form names the method alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    method: Method,
    text: String,
}

/// Why a text is no destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDestination {
    /// Not an e-mail address.
    #[error("a PayPal destination is an e-mail address such as ada@example.com")]
    Email,
    /// Not the id of a connected account.
    #[error("a Stripe destination is the id of a connected account such as acct_1MTfjCQ9PRzxEwkZ")]
    ConnectedAccount,
    /// Not 20 bytes of hex.
    #[error("an address is 0x and 40 hexadecimal digits")]
    Address,
    /// The case of the letters is not the checksum (EIP-55).
    #[error("the address does not match its checksum: copy it as the wallet shows it, in both cases")]
    Checksum,
    /// The zero address, from which nothing comes back.
    #[error("money sent to the zero address is lost")]
    Zero,
    /// The token's own contract, from which nothing comes back.
    #[error("money sent to the token's own contract is lost")]
    Token,
    /// The program was built without this method.
    #[error("this relay does not pay out in this way")]
    Absent,
    /// The address that the operator pays from.
    #[error("this is the address that payouts come from")]
    Payer,
}

impl Destination {
    /// Reads where an owner wants money to go by a method, as far as that can be told without a rail. What
    /// a rail refuses beyond that, [`crate::Rail::destination`] says.
    ///
    /// # Errors
    /// When it is no destination of the method, or one where money would be lost.
    pub fn read(method: Method, text: &str) -> Result<Destination, BadDestination> {
        match method {
            Method::Paypal => Destination::paypal(text),
            Method::Stripe => Destination::stripe(text),
            #[cfg(feature = "evm")]
            Method::Usdc => text.parse().and_then(Destination::usdc),
            #[cfg(not(feature = "evm"))]
            Method::Usdc => Err(BadDestination::Absent),
        }
    }

    /// Reads an e-mail address. Its domain is written in lower case.
    pub(crate) fn paypal(text: &str) -> Result<Destination, BadDestination> {
        let (local, domain) = text.rsplit_once('@').ok_or(BadDestination::Email)?;
        // PayPal takes a receiver of at most 127 characters.
        if text.len() > 127 || !is_local(local) || !is_domain(domain) {
            return Err(BadDestination::Email);
        }
        let text = format!("{local}@{}", domain.to_ascii_lowercase());
        Ok(Destination { method: Method::Paypal, text })
    }

    /// Reads the id of a connected account.
    pub(crate) fn stripe(text: &str) -> Result<Destination, BadDestination> {
        let plain = |rest: &str| {
            (8..=64).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if !text.strip_prefix("acct_").is_some_and(plain) {
            return Err(BadDestination::ConnectedAccount);
        }
        Ok(Destination { method: Method::Stripe, text: text.to_owned() })
    }

    /// Takes an address that somebody may have the key of.
    #[cfg(feature = "evm")]
    pub(crate) fn usdc(address: crate::Address) -> Result<Destination, BadDestination> {
        if address == crate::Address::ZERO {
            return Err(BadDestination::Zero);
        }
        Ok(Destination { method: Method::Usdc, text: address.to_string() })
    }

    /// Returns the method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the text to store and to show.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({}, …)", self.method)
    }
}

fn is_local(local: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&byte);
    let dotted = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    (1..=64).contains(&local.len()) && local.bytes().all(allowed) && !dotted
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        let edges = label.starts_with('-') || label.ends_with('-');
        let allowed = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && allowed && !edges
    };
    let named = |(_, top): (&str, &str)| top.len() > 1 && !top.bytes().all(|byte| byte.is_ascii_digit());
    domain.split('.').all(is_label) && domain.rsplit_once('.').is_some_and(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_e_mail_address_is_taken_with_its_domain_in_lower_case() {
        for (text, taken) in [
            ("ada@example.com", "ada@example.com"),
            ("Ada.L+gpu@Mail.Example.ORG", "Ada.L+gpu@mail.example.org"),
            ("o'neil@xn--bcher-kva.example", "o'neil@xn--bcher-kva.example"),
        ] {
            assert_eq!(Destination::paypal(text).unwrap().text(), taken);
        }
    }

    #[test]
    fn what_is_no_e_mail_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@localhost",
            "ada@example.c",
            "ada@127.0.0.1",
            ".ada@example.com",
            "a..da@example.com",
            "ada @example.com",
            "ada@exa mple.com",
            "ada@-example.com",
            "ada@example.com\n",
            "ada@example.com,eve@example.com",
            "ada@eve@example.com",
            "\"ada\"@example.com",
            "ädä@example.com",
            &long,
        ] {
            assert_eq!(Destination::paypal(text), Err(BadDestination::Email), "{text}");
        }
    }

    #[test]
    fn the_id_of_a_connected_account_is_taken_and_no_other() {
        assert!(Destination::stripe("acct_1MTfjCQ9PRzxEwkZ").is_ok());
        for text in
            ["", "acct_", "acct_1", "cus_1MTfjCQ9PRzxEwkZ", "acct_1MTfjCQ9/../x", "ACCT_1MTfjCQ9PRzxEwkZ"]
        {
            assert_eq!(Destination::stripe(text), Err(BadDestination::ConnectedAccount), "{text}");
        }
    }
}
