//! A network inside one process, for tests: whole clusters without a socket, with links that can be cut.

use super::handle::Handle;
use super::machine::StateMachine;
use super::network::{ForwardError, RaftNetwork};
use crate::ids::RaftId;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the network needs of a member, whatever its state machine.
trait Port: Send + Sync {
    fn receive(&self, from: RaftId, message: &[u8]);
    fn serve(&self, request: Bytes) -> BoxFuture<'static, Bytes>;
}

impl<S: StateMachine> Port for Handle<S> {
    fn receive(&self, from: RaftId, message: &[u8]) {
        if let Err(error) = Handle::receive(self, from, message) {
            tracing::debug!(%error, "the in-memory network dropped a message");
        }
    }

    fn serve(&self, request: Bytes) -> BoxFuture<'static, Bytes> {
        let handle = self.clone();
        Box::pin(async move { handle.serve_forward(request).await })
    }
}

#[derive(Clone, Default)]
struct Wiring {
    ports: BTreeMap<RaftId, Arc<dyn Port>>,
    /// Cut links, in the direction of the message.
    cut: BTreeSet<(RaftId, RaftId)>,
}

/// Connects the members of one process.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    wiring: Arc<ArcSwap<Wiring>>,
}

impl MemoryNetwork {
    /// This member's side of the network.
    #[must_use]
    pub fn endpoint(&self, id: RaftId) -> Arc<dyn RaftNetwork> {
        Arc::new(Endpoint { id, network: self.clone() })
    }

    /// From now on messages to this member reach it.
    pub fn plug<S: StateMachine>(&self, handle: &Handle<S>) {
        let port: Arc<dyn Port> = Arc::new(handle.clone());
        self.rewire(|wiring| wiring.ports.extend([(handle.id(), Arc::clone(&port))]));
    }

    /// From now on nobody reaches this member, and its handle is let go.
    pub fn unplug(&self, id: RaftId) {
        self.rewire(|wiring| drop(wiring.ports.remove(&id)));
    }

    /// Cuts every link between the two sides.
    pub fn partition(&self, left: &[RaftId], right: &[RaftId]) {
        self.rewire(|wiring| {
            for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (*a, *b))) {
                wiring.cut.extend([(a, b), (b, a)]);
            }
        });
    }

    /// Cuts the link in one direction.
    pub fn cut(&self, from: RaftId, to: RaftId) {
        self.rewire(|wiring| wiring.cut.extend([(from, to)]));
    }

    /// Mends every link.
    pub fn heal(&self) {
        self.rewire(|wiring| wiring.cut.clear());
    }

    fn rewire(&self, change: impl Fn(&mut Wiring)) {
        self.wiring.rcu(|wiring| {
            let mut wiring = Wiring::clone(wiring);
            change(&mut wiring);
            wiring
        });
    }

    fn port(&self, from: RaftId, to: RaftId) -> Option<Arc<dyn Port>> {
        let wiring = self.wiring.load();
        if wiring.cut.contains(&(from, to)) { None } else { wiring.ports.get(&to).cloned() }
    }
}

struct Endpoint {
    id: RaftId,
    network: MemoryNetwork,
}

#[async_trait]
impl RaftNetwork for Endpoint {
    fn send(&self, to: RaftId, message: Bytes) {
        if let Some(port) = self.network.port(self.id, to) {
            port.receive(self.id, &message);
        }
    }

    async fn forward(&self, to: RaftId, request: Bytes) -> Result<Bytes, ForwardError> {
        let Some(port) = self.network.port(self.id, to) else {
            return Err(ForwardError::NotSent { to, reason: "the link is cut".to_owned() });
        };
        let reply = port.serve(request).await;
        match self.network.port(to, self.id) {
            Some(_) => Ok(reply),
            None => Err(ForwardError::NoAnswer { to, reason: "the link was cut".to_owned() }),
        }
    }
}
