//! Whether an app is well, judged from the answers to its checks.

pub mod verdict;

pub use verdict::{Health, Verdict};
