//! The chat page, as whoever reads it waits for it.

use anyhow::Result;

use crate::browser::Tab;

/// Shows the models of now and not those of up to ten seconds ago.
///
/// # Errors
/// Fails when there is none.
pub async fn look_again(tab: &Tab) -> Result<()> {
    tab.eval("document.dispatchEvent(new Event('visibilitychange')), undefined").await?;
    tab.until("document.querySelector('#models').children.length > 0").await
}

/// Waits until the last answer has come to its end and says this.
///
/// # Errors
/// Fails when it does not.
pub async fn answered(tab: &Tab, text: &str) -> Result<()> {
    tab.until("document.querySelector('.turn:last-child .tools') !== null").await?;
    tab.shows(".turn:last-child .prose", text).await
}
