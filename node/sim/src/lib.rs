//! A seeded, single-threaded simulator over the daemon's real code: real raft members, the real
//! `state::apply`, `rollout::step`, `agent::decide` and `health::verdict`, in virtual time, under
//! faults of network, disks, clocks, hosts and operators. Same seed, same trace, on every machine.

pub mod host;
pub mod promises;
pub mod random;
pub mod reached;
