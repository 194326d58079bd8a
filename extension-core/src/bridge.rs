//! The line to the local model server: what is asked of it and how its answers are read.
//!
//! Everything here takes bytes and gives values; the relay reads its direct upstreams with the same
//! modules. One job is one `POST`: [`request`] builds it from a whitelist, [`reply`] reads its answer
//! through [`sse`] and [`chunk`], and [`fault`] says in our words what went wrong.

pub mod chunk;
pub mod fault;
pub mod load;
pub mod queue;
pub mod reply;
pub mod request;
pub mod server;
pub mod sse;
