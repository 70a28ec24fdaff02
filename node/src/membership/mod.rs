//! Who seems to be alive, where, and what runs there: chitchat's gossip over the peers' transport.
//!
//! Gossip is a hint, never an authority. Mutual TLS proves who handed a message over, not that what
//! it says about others is true: any member can gossip anything about anyone. So this view is for
//! display and for choosing whom to ask first; assignments, health gates and membership itself are
//! decided from the replicated state alone. Which nodes exist comes from there too (the roster):
//! gossip about a node that is not on the roster is not shown.

mod exchanges;
mod facts;
mod generation;
mod lines;
mod link;
mod quic;
mod service;
#[cfg(test)]
mod tests;
mod tuning;
mod view;

pub use facts::{AppGossip, Facts};
pub use generation::{GenerationError, raise_generation};
pub use link::{GossipLink, GossipSender};
pub use quic::quic_link;
pub use service::{Handle, Membership, MembershipError, Settings};
pub use view::{Liveness, Member, Roster, View};
