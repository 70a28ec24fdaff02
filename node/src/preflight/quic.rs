//! The preflight protocol over the peers' transport: one question a stream.

use super::{Answer, Budget, PreflightPeers, Question, Server, wire};
use crate::ids::NodeId;
use crate::membership::Roster;
use crate::transport::{Protocol, Transport};
use async_trait::async_trait;
use relupd_core::chain;
use std::sync::Arc;
use tokio::sync::watch;

/// Reaches the nodes on the roster, and this one without a detour.
pub struct QuicPeers {
    me: NodeId,
    own: Server,
    transport: Transport,
    roster: watch::Receiver<Arc<Roster>>,
}

impl QuicPeers {
    /// Dials through `transport` where `roster` says; `own` answers for `me`.
    #[must_use]
    pub fn new(me: NodeId, own: Server, transport: Transport, roster: watch::Receiver<Arc<Roster>>) -> Self {
        Self { me, own, transport, roster }
    }
}

#[async_trait]
impl PreflightPeers for QuicPeers {
    async fn ask(&self, node: NodeId, question: &Question) -> Answer {
        if node == self.me {
            return self.own.answer(question).await;
        }
        let address = self.roster.borrow().get(&node).copied();
        let address = address.ok_or("it is no node of this cluster")?;
        let connection = self.transport.connect(node, address, Protocol::Preflight).await;
        let connection = connection.map_err(|error| format!("did not answer: {}", chain(&error)))?;
        let asked = connection
            .request(&wire::request(question), wire::LONGEST_REPLY, Budget::default().each)
            .await
            .map_err(|error| format!("did not answer: {}", chain(&error)))?;
        wire::answer(&asked)
    }
}
