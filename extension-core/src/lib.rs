//! The owner's agent: it finds the local model server, holds the link to the relay and runs jobs.
//!
//! Everything outside the shells is synchronous: values and `now` go in, commands come out.
//! No module here but a shell knows a socket, a clock, a random source or a browser.

pub mod agent;
pub mod bridge;
pub mod gpu;

pub use agent::Agent;
