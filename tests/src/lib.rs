//! The harness of the whole-product tests: it starts real processes, speaks to them over real
//! sockets, and looks at what anybody outside could see. It links neither the relay nor a shell of the
//! agent's; of the agent it knows what it tells of itself and the fence around it.
//!
//! Nothing here sleeps and hopes. Whatever takes time is watched by [`fn@eventually`], whatever must be
//! held back is held by a gate of [`script`], and every process dies with the value that guards it.

pub mod axe;
pub mod browser;
pub mod built;
pub mod caller;
pub mod canary;
pub mod chat;
pub mod cuts;
pub mod database;
pub mod device;
pub mod door;
pub mod effort;
pub mod eventually;
pub mod false_relay;
pub mod files;
pub mod guide;
pub mod http;
pub mod keyboard;
pub mod library;
pub mod line;
pub mod link;
pub mod mcp;
pub mod model_server;
pub mod network;
pub mod node;
pub mod owner;
pub mod payloads;
pub mod picture;
pub mod port;
pub mod process;
pub mod program;
pub mod recorded;
pub mod relay;
pub mod scene;
pub mod script;
pub mod settings;
pub mod site;
pub mod sse;
pub mod stripe;

pub use effort::count;
pub use eventually::{eventually, within};
