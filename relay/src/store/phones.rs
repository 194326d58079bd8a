//! Phones that owners have let in.

use anyhow::{Context, Result};
use rekursing_protocol::{Moment, PhoneId, PluginId};

use super::{Store, Unstarted};

/// A phone that may see and steer one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    /// Its id.
    pub id: PhoneId,
    /// SHA-256 of the token that it shows.
    pub hash: [u8; 32],
    /// The plugin.
    pub plugin: PluginId,
    /// What its owner calls it.
    pub name: String,
    /// When it was let in.
    pub paired: Moment,
}

impl Unstarted {
    /// Reads every phone, who was let in first first.
    pub fn phones(&mut self) -> Result<Vec<Phone>> {
        let phones = "SELECT hash, phone, plugin, name, paired FROM phone ORDER BY paired, phone";
        let phones = self.sql.list(phones, &[], |row| {
            Ok(Phone {
                hash: row.hash(0)?,
                id: row.parsed(1)?,
                plugin: row.parsed(2)?,
                name: row.text(3)?.to_owned(),
                paired: row.moment(4)?,
            })
        });
        phones.context("could not read the phones")
    }
}

impl Store {
    /// Stores a phone.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn put_phone(&self, phone: Phone) -> Result<()> {
        self.make(move |sql| {
            let Phone { id, hash, plugin, name, paired } = phone;
            sql.execute(
                "INSERT INTO phone (hash, phone, plugin, name, paired) VALUES (?1, ?2, ?3, ?4, ?5)",
                &[
                    hash.as_slice().into(),
                    id.to_string().into(),
                    plugin.to_string().into(),
                    name.into(),
                    paired.into(),
                ],
            )
            .map(drop)
        })
        .await
    }

    /// Forgets a phone.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn remove_phone(&self, hash: [u8; 32]) -> Result<()> {
        self.make(move |sql| {
            sql.execute("DELETE FROM phone WHERE hash = ?1", &[hash.as_slice().into()]).map(drop)
        })
        .await
    }
}
