//! The verdict of the health checks, which decisions take as an argument.

pub use crate::health::verdict::{Health, Verdict};
