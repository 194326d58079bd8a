//! The agent's life as events and the commands that follow, without a socket or a clock.

mod browser;
mod choices;
mod device;
mod failures;
mod jobs;
mod limits;
mod link;
mod loading;
mod network;
mod prices;
mod resume;
mod server;
mod servers;
mod steer;
mod tolls;
mod trial;
mod update;
mod wants;
mod world;
