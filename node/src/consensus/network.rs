//! What consensus asks of the network.

use crate::ids::RaftId;
use async_trait::async_trait;
use bytes::Bytes;

/// Carries raft messages and forwarded requests between members. How a raft id becomes an address is
/// the network's own business.
#[async_trait]
pub trait RaftNetwork: Send + Sync + 'static {
    /// Enqueues a message and returns at once; called from a thread outside the runtime. Messages to
    /// one peer keep their order. Losing one is allowed, and raft repairs it; a loss that the network
    /// notices should be told through `Handle::report_unreachable`, which makes the repair quicker.
    fn send(&self, to: RaftId, message: Bytes);

    /// Sends a request to a peer's `Handle::serve_forward` and returns its answer.
    async fn forward(&self, to: RaftId, request: Bytes) -> Result<Bytes, ForwardError>;
}

/// A forwarded request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// It never left this node, so it had no effect.
    #[error("raft id {to} cannot be reached: {reason}")]
    NotSent {
        /// The member asked.
        to: RaftId,
        /// What the network said.
        reason: String,
    },
    /// It may have arrived or not.
    #[error("no answer from raft id {to}: {reason}")]
    NoAnswer {
        /// The member asked.
        to: RaftId,
        /// What the network said.
        reason: String,
    },
}
