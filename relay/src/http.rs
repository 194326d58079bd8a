//! The HTTP surface: who may call what, and in which words the relay answers.

mod account;
mod ads;
mod agents;
mod analytics;
pub mod answers;
pub mod caller;
mod channels;
mod door;
mod downloads;
mod entries;
mod estimates;
pub(crate) mod figures;
mod groups;
mod mcp;
mod models;
pub(crate) mod once;
mod openapi;
mod operator;
mod pairings;
mod passes;
mod payouts;
mod plugins;
mod posted;
mod premium;
mod problem;
pub(crate) mod provider;
mod public;
mod receipts;
pub mod router;
mod shows;
mod site;
mod statements;
mod status;
mod top_ups;
mod whole;

pub use problem::Problem;
