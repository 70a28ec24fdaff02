//! Agents on fake hosts, under the real state and the real rollout decisions.

mod cluster;
mod crashes;
pub(super) mod data;
mod rollouts;
