//! The only wiring: builds each service, hands out handles, orders the shutdown.

pub mod cluster;
mod gossip_link;
mod raft_link;
mod replicated;
