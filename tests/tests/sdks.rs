//! The official OpenAI SDKs speak to the relay without any adapter.

use anyhow::Result;
use rekursing_tests::{
    built, caller,
    program::{self, asks},
    script::Reply,
};
use tokio::process::Command;

/// The tool is called whole, then streamed: for chats, and for responses.
fn calls() -> Vec<Reply> {
    vec![caller::whole(), caller::streamed(), caller::whole(), caller::streamed()]
}

#[tokio::test]
async fn the_sdk_for_python_works() -> Result<()> {
    let mut python = Command::new(built::python()?);
    python.arg(program::path("sdk.py"));
    asks(python, calls()).await.map(drop)
}

#[tokio::test]
async fn the_sdk_for_node_works() -> Result<()> {
    let mut node = Command::new("node");
    node.arg(program::path("sdk.mjs")).arg(built::node_modules()?);
    asks(node, calls()).await.map(drop)
}
