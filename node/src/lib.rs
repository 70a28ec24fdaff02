//! The daemon `relupd`: peers on a dedicated network agree on a rolling upgrade plan and carry it
//! out node by node. `docs/architecture.md` is the map; the modules below are its rooms.

pub mod agent;
pub mod api;
pub mod clock;
pub mod config;
pub mod consensus;
pub mod daemon;
pub mod driver;
mod durable;
mod fail_point;
pub mod format;
pub mod health;
pub mod identity;
pub mod ids;
pub mod membership;
pub mod reconciler;
pub mod rollout;
pub mod service;
pub mod spec;
pub mod state;
pub mod store;
pub mod telemetry;
pub mod toml_reader;
pub mod transport;
