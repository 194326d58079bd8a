//! The HTTP surface: who may call what, and in which words the relay answers.

mod account;
pub mod answers;
pub mod caller;
mod models;
pub(crate) mod once;
mod openapi;
mod operator;
mod plugins;
mod posted;
mod problem;
pub(crate) mod provider;
pub mod router;
mod site;
mod status;
mod top_ups;

pub use problem::Problem;
