//! The agent's life as events and the commands that follow, without a socket or a clock.

mod jobs;
mod limits;
mod link;
mod server;
mod trial;
mod wants;
mod world;
