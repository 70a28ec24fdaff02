//! The connections that gossip has with each peer, whoever dialed them. One is enough: an answer carries the
//! acknowledgement of its question's packet only on the connection that the question came on.
//!
//! What is said to a peer goes the way its last message came. So two that dialed each other at the same time
//! agree within an exchange, and a peer that was born again is answered where it is now, not where it was.

use crate::ids::NodeId;
use crate::transport::Connection;
use std::collections::HashMap;
use tokio::sync::Mutex;

/// For each peer its connections that are listened to; the last one is talked on.
#[derive(Default)]
pub(super) struct Lines(Mutex<HashMap<NodeId, Vec<Connection>>>);

impl Lines {
    /// The one to talk on, where there is one.
    pub(super) async fn to(&self, node: NodeId) -> Option<Connection> {
        let lines = self.0.lock().await;
        lines.get(&node)?.iter().rev().find(|line| line.is_open()).cloned()
    }

    /// This one is listened to from now on, and talked on if there is no other. False where it is already.
    pub(super) async fn opened(&self, connection: &Connection) -> bool {
        let mut lines = self.0.lock().await;
        let lines = lines.entry(connection.node()).or_default();
        let is_new = !lines.iter().any(|line| line.is(connection));
        if is_new {
            lines.insert(0, connection.clone());
        }
        is_new
    }

    /// A message came on this one.
    pub(super) async fn heard(&self, connection: &Connection) {
        let mut lines = self.0.lock().await;
        let Some(lines) = lines.get_mut(&connection.node()) else { return };
        if let Some(place) = lines.iter().position(|line| line.is(connection)) {
            lines[place..].rotate_left(1);
        }
    }

    /// Whether another one is talked on.
    pub(super) async fn is_spare(&self, connection: &Connection) -> bool {
        self.to(connection.node()).await.is_some_and(|line| !line.is(connection))
    }

    /// Nobody listens to this one any more.
    pub(super) async fn closed(&self, connection: &Connection) {
        let mut lines = self.0.lock().await;
        let node = connection.node();
        let Some(left) = lines.get_mut(&node) else { return };
        left.retain(|line| !line.is(connection));
        if left.is_empty() {
            lines.remove(&node);
        }
    }
}
