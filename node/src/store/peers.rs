//! How the store reaches other nodes' stores. The daemon's way is the peers' transport; tests bring
//! their own.

use crate::ids::NodeId;
use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// What is sent to a peer.
pub type Question = Box<dyn AsyncWrite + Send + Unpin>;
/// What comes back from it.
pub type Answer = Box<dyn AsyncRead + Send + Unpin>;

/// Opens streams to other nodes' stores.
#[async_trait]
pub trait StorePeers: Send + Sync {
    /// A stream of its own for one request; the text of an error says for an operator why there is
    /// none.
    async fn open(&self, peer: NodeId) -> Result<(Question, Answer), String>;
}
