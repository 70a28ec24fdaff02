//! Agents on fake hosts, under the real state and the real rollout decisions.

mod cluster;
mod context;
mod crashes;
pub(super) mod data;
mod rollouts;
