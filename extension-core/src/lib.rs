//! The owner's agent: it finds the local model server, holds the link to the relay and runs jobs.
//!
//! Everything outside the shells is synchronous: values and `now` go in, commands come out.
//! No module here but a shell knows a socket, a clock, a random source or a browser.

pub mod address;
pub mod agent;
pub mod bridge;
pub mod choices;
pub mod door;
pub mod estimate;
pub mod fence;
pub mod gpu;
#[cfg(all(feature = "native", not(target_arch = "wasm32")))]
pub mod native;
pub mod permission;
pub mod qr;
pub mod receipt;
pub mod said;
pub mod settings;
#[cfg(target_arch = "wasm32")]
pub mod web;

pub use agent::Agent;
