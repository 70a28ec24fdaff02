//! Whether an app is well: `probe` asks, `verdict` judges, `monitor` does both in turn.

pub mod monitor;
pub mod probe;

pub use monitor::{Monitor, Prompt, Surroundings};
pub use relupd_core::health::{Health, Verdict, verdict};
