//! Asking nodes, while a plan is made, what they would say to it: nothing is prepared, and nothing changes.
//!
//! A node that does not answer in time is said to have not answered, never to be well or ill. What comes of
//! it is shown to whoever plans; a rollout asks again when it prepares, and that alone decides.

mod ask;
mod quic;
mod serve;
#[cfg(test)]
mod tests;
mod wire;

use crate::driver::{Description, Foreseen, Method};
use crate::ids::{AppName, NodeId, ReleaseVersion};
use crate::state::release::ReleaseId;
use async_trait::async_trait;
use std::sync::Arc;
use std::time::Duration;

pub use ask::{Budget, ask_all};
pub use quic::QuicPeers;
pub use serve::Server;
pub use wire::LONGEST_DESCRIPTION;

/// How long one node may take: a smoke boot and two configurations are completed in a second or two. Nobody
/// works on an answer for longer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A way that is planned for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Which app.
    pub app: AppName,
    /// Where it shall go.
    pub to: ReleaseId,
    /// Where it would come from; nothing where nothing is installed.
    pub from: Option<ReleaseVersion>,
    /// How.
    pub method: Method,
    /// What describes where it shall go, as far as whoever asks knows it.
    pub description: Option<Arc<Description>>,
}

/// What a node says; the text says for an operator why it says nothing.
pub type Answer = Result<Vec<Foreseen>, String>;

/// Answers for this node.
#[async_trait]
pub trait Respondent: Send + Sync + 'static {
    /// Looks, and changes nothing.
    async fn answer(&self, question: &Question) -> Answer;
}

/// Reaches the nodes that are asked.
#[async_trait]
pub trait PreflightPeers: Send + Sync + 'static {
    /// Asks one of them, which may be this one.
    async fn ask(&self, node: NodeId, question: &Question) -> Answer;
}
