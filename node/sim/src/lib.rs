//! A seeded, single-threaded simulator over the daemon's real code: real raft members, the real
//! `state::apply`, `rollout::step`, `agent::decide` and `health::verdict`, in virtual time, under
//! faults of network, disks, clocks, hosts and operators. Same seed, same trace, on every machine.

pub mod ambush;
pub mod blackouts;
pub mod bugs;
pub mod clock;
pub mod daemon;
pub mod deeds;
pub mod disk;
pub mod figures;
pub mod genesis;
pub mod host;
pub mod machine;
pub mod network;
pub mod node;
pub mod operator;
pub mod promises;
pub mod random;
pub mod reached;
pub mod report;
pub mod run;
pub mod schedule;
pub mod shrink;
pub mod strangers;
pub mod thousand;
pub mod trace;
pub mod traps;
pub mod witness;
pub mod world;
