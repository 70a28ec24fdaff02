//! Agents on fake hosts, under the real state and the real rollout decisions.

mod cluster;
mod context;
mod crashes;
mod rollouts;
