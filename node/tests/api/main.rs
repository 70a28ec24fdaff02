//! The API as relupctl meets it: real servers on a socket and over mutual TLS, in front of a cluster
//! state that applies commands for real and has nothing else real behind it.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod callers;
mod client;
mod daemon;
mod errors;
mod outside;
mod push;
mod rollouts;
#[path = "../../core/tests/rollout/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the scenarios of the rollout core")]
mod world;
