//! What the daemon says of itself: a log for people and the journal, figures for Prometheus.

pub mod logging;
pub mod metrics;
pub mod serve;

pub use metrics::Metrics;
