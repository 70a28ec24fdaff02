//! Promises held against real daemons, the real command line and a real BEAM.

mod app_specs;
mod daemons;
mod one_node;
mod releases;
mod rollouts;
mod standing;
mod support;
mod tokens;
