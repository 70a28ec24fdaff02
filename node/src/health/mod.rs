//! Whether an app is well: `probe` asks, `verdict` judges (PURE), `monitor` does both in turn.

pub mod monitor;
pub mod probe;
pub mod verdict;

pub use monitor::{Monitor, Prompt, Surroundings};
pub use verdict::{Health, Verdict};
