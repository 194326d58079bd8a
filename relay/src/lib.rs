//! The relay: holds the owners' sessions, matches pages' jobs to them, streams the answers back and
//! keeps the ledger.
//!
//! This crate is the shell. It owns sockets, the clock, randomness and the database; every rule about
//! who serves, what it costs and who is paid is `rekursing-market`'s.

pub mod ads;
pub mod answer;
pub mod ask;
mod body;
pub mod chance;
pub mod channels;
pub mod clock;
pub mod config;
pub mod continuation;
mod conversation;
pub mod crowds;
pub mod csv;
pub mod delivery;
pub mod desk;
pub mod devices;
pub mod discrepancy;
pub mod disputes;
pub mod downloads;
pub mod estimate;
pub mod example;
pub mod fresh;
pub mod gate;
pub mod groups;
pub mod house;
pub mod http;
pub mod keys;
pub mod limits;
pub mod memory;
pub mod outbox;
pub mod pairings;
pub mod payouts;
pub mod phones;
#[cfg(test)]
mod place;
pub mod print;
pub mod quality;
pub mod reader;
pub mod receipt;
pub mod relay;
pub mod replay;
pub mod report;
pub mod responses;
pub mod roll;
pub mod seats;
pub mod server;
pub mod session;
pub mod sse;
pub mod store;
pub mod stream;
pub mod switches;
pub mod telemetry;
pub mod ticket;
pub mod tokens;
pub mod top_ups;
pub mod upstream;
pub mod vectors;
pub mod work;
