//! Promises held against real daemons, the real command line and a real BEAM.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod app_specs;
mod crashes;
mod daemons;
mod damage;
mod deaths;
mod elixir;
mod full_disk;
mod hands;
mod long_running;
mod membership;
mod one_node;
mod operators;
mod planning;
mod recovery;
mod releases;
mod relups;
mod rollouts;
mod standing;
mod support;
mod tokens;
mod upgrades;
