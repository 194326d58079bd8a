//! A device key by hand: it signs whatever the test wants signed.

use anyhow::{Context, Result};
use ed25519_dalek::{Signer, SigningKey};
use rekursing_protocol::device::{Purpose, Statement};
use serde_json::{Value, json};

use crate::{http::Page, link::Link, relay::Relay};

/// A device and the plugin that it is.
#[derive(Debug)]
pub struct Device {
    key: SigningKey,
    /// The plugin's id.
    pub id: String,
}

impl Device {
    /// Registers a plugin with a key that is made of this byte.
    ///
    /// # Errors
    /// Fails when the relay refuses, or gives a secret all the same.
    pub async fn register(relay: &Relay, seed: u8) -> Result<Device> {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let body = json!({"name": "by key", "key": public(&key)});
        let answer = relay.visitor().post("/api/plugin/register", &body).await?.expect(201)?;
        anyhow::ensure!(answer["secret"].is_null(), "a secret beside a key: {answer}");
        let id = answer["pluginId"].as_str().context("no id")?.to_owned();
        Ok(Device { key, id })
    }

    /// Makes the key of a plugin that has a secret so far.
    pub fn of(plugin: &str, seed: u8) -> Device {
        Device { key: SigningKey::from_bytes(&[seed; 32]), id: plugin.to_owned() }
    }

    /// Returns the public half, in hex digits.
    pub fn public(&self) -> String {
        public(&self.key)
    }

    /// Signs, for whatever and whomever the test says.
    ///
    /// # Errors
    /// Fails when the plugin's id is none.
    pub fn sign(&self, purpose: Purpose, host: &str, plugin: &str, nonce: &str) -> Result<String> {
        let statement = Statement { purpose, host, plugin: plugin.parse()?, nonce };
        Ok(hex(&self.key.sign(statement.to_string().as_bytes()).to_bytes()))
    }

    /// Signs the nonce with which the relay has greeted.
    ///
    /// # Errors
    /// Fails when it named none.
    pub fn answer(&self, relay: &Relay, link: &Link) -> Result<String> {
        let nonce = link.hello()["nonce"].as_str().context("no nonce in the greeting")?;
        self.sign(Purpose::Link, &relay.address().to_string(), &self.id, nonce)
    }

    /// Asks for something to sign for a pass.
    ///
    /// # Errors
    /// Fails when the relay refuses.
    pub async fn challenge(relay: &Relay) -> Result<String> {
        let answer = relay.visitor().post("/api/plugin/challenge", &json!({})).await?.expect(200)?;
        Ok(answer["nonce"].as_str().context("no nonce")?.to_owned())
    }

    /// Gets a pass and returns a page that shows it.
    ///
    /// # Errors
    /// Fails when the relay refuses.
    pub async fn pass(&self, relay: &Relay) -> Result<Page> {
        let nonce = Device::challenge(relay).await?;
        let signature = self.sign(Purpose::Pass, &relay.address().to_string(), &self.id, &nonce)?;
        let body = json!({"pluginId": self.id, "nonce": nonce, "signature": signature});
        let answer = relay.visitor().post("/api/plugin/pass", &body).await?.expect(200)?;
        Ok(Page::bearing(relay.address(), answer["pass"].as_str().context("no pass")?))
    }

    /// Returns an `identify` with one offer and this signature.
    pub fn identify(&self, offer: &Value, signature: &str) -> Value {
        let plugin = crate::link::Plugin { id: self.id.clone(), secret: String::new() };
        let mut identify = crate::link::identify(&plugin, offer);
        identify.as_object_mut().into_iter().for_each(|fields| drop(fields.remove("secret")));
        identify["signature"] = json!(signature);
        identify
    }
}

fn public(key: &SigningKey) -> String {
    hex(key.verifying_key().as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
