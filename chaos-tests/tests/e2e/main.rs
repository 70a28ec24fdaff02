//! Promises held against real daemons, the real command line and a real BEAM.

mod app_specs;
mod daemons;
mod deaths;
mod hands;
mod membership;
mod one_node;
mod operators;
mod releases;
mod rollouts;
mod standing;
mod support;
mod tokens;
