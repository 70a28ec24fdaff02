//! Real daemons, real releases, real faults. The harness starts clusters of real `relupd` processes,
//! drives them through the real `relupctl`, and judges what happened by witnesses that are not
//! relupd's own books: the load client's log, the sample app's own counts, and /proc.

pub mod bench;
pub mod binaries;
pub mod cluster;
pub mod crash;
pub mod ctl;
pub mod history;
pub mod hosts;
pub mod http;
pub mod load;
pub mod process;
pub mod report;
pub mod samples;
pub mod scenes;
pub mod show;
pub mod wait;
pub mod witness;
