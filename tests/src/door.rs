//! Pages of the site behind whose door somebody is: opened, with axe in them, and let in by clicks.

use anyhow::Result;

use crate::{
    axe,
    browser::{Browser, Tab},
    relay::Relay,
};

/// The operator's token.
pub const TOKEN: &str = "a token of the operator's";

/// What a relay's config says of that token, before its first table.
pub const SHA256: &str =
    "operator_token_sha256 = \"81258521e0ff68c68d4d31f51c67384cefb2e9eb40c2f6d1ac0d84170d24a005\"\n";

/// Opens a page of the site, and waits until it is there.
///
/// # Errors
/// Fails when it does not load.
pub async fn open(browser: &Browser, relay: &Relay, path: &str) -> Result<Tab> {
    let tab = browser.open(&format!("{}{path}", relay.url("http"))).await?;
    there(&tab).await?;
    Ok(tab)
}

/// Waits until a page that the tab was sent to is there, and brings axe into it.
///
/// # Errors
/// Fails when it does not load.
pub async fn there(tab: &Tab) -> Result<()> {
    // What is evaluated before the page is there goes with the empty one before it.
    tab.until("location.protocol === 'http:' && document.readyState === 'complete'").await?;
    tab.eval(&axe::source()?).await.map(drop)
}

/// Types a key or a token, and waits until the door is open.
///
/// # Errors
/// Fails when it does not open.
pub async fn sign_in(tab: &Tab, secret: &str) -> Result<()> {
    tab.until("!document.querySelector('#enter [type=submit]').disabled").await?;
    tab.fill("#key", secret).await?;
    tab.click("#enter [type=submit]").await?;
    tab.until("!document.querySelector('#inside').hidden").await
}
