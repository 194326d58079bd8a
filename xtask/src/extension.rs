//! Builds the extension: wasm, bindings and static files into `dist/extension/`.

use anyhow::Result;

/// Builds `dist/extension/`.
pub(crate) fn build() -> Result<()> {
    anyhow::bail!("the extension has no parts yet")
}
