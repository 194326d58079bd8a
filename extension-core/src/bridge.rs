//! The line to the local model server: what is asked of it and how its answers are read.

pub mod server;
