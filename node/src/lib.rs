//! The daemon `relupd`: peers on a dedicated network agree on a rolling upgrade plan and carry it
//! out node by node. `docs/architecture.md` is the map; the modules below are its rooms. What is
//! decided, and the words for it, are the crate `relupd-core`, whose rooms are doors here.

pub mod agent;
pub mod api;
pub mod clock;
pub mod config;
pub mod consensus;
pub mod daemon;
pub mod driver;
mod durable;
mod fail_point;
pub mod health;
pub mod identity;
pub mod membership;
pub mod preflight;
pub mod program;
pub mod reconciler;
pub mod service;
pub mod store;
pub mod telemetry;
pub mod transport;
pub mod upgrade;

pub use relupd_core::{format, ids, rollout, spec, state, toml_reader};
