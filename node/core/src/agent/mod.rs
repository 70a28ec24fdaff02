//! The deciding half of an agent: what one app on one node needs next. Its other half, in the daemon,
//! carries that out.

mod backoff;
pub mod core;
pub mod decide;
pub mod ledger;
pub mod memory;
pub mod outcome;

use crate::ids::AppName;
use crate::state::release::ReleaseId;

/// Why the cluster, or this host, could not be asked. None of these says anything about the app:
/// it is asked again.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// No leader with a quorum answered in time.
    #[error("no leader with a quorum answered: {reason}")]
    NoQuorum { reason: String },
    /// A release's files could not be brought to this node.
    #[error("cannot fetch release {release}: {reason}")]
    Fetch { release: ReleaseId, reason: String },
    /// An app's spec does not fit this node.
    #[error("cannot work on app {app} here: {reason}")]
    Open { app: AppName, reason: String },
}
