//! What relupd decides: the replicated state, rollouts, an agent's next step, verdicts. Pure: no clock is read
//! here, nothing is written or sent, no task runs. The daemon passes in what it saw, and does what is answered.

pub mod agent;
mod chain;
pub mod clock;
pub mod driver;
pub mod format;
pub mod health;
pub mod ids;
pub mod rollout;
#[cfg(any(test, feature = "testing"))]
pub mod samples;
pub mod spec;
pub mod state;
pub mod toml_reader;

pub use chain::chain;
