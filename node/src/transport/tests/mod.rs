//! Real endpoints on loopback addresses. What one test needs of a cluster is made by [`Cluster`].

mod admission;
mod api;
mod connections;
mod joining;
mod trust;

use super::{Binding, ConnectError, Connection, Credentials, Handler, Protocol, Transport};
use crate::clock;
use crate::identity::{
    Candidate, CertificateAuthority, NodeIdentity, PrivateKey, Revocations, SealingSecret, Serial, random,
};
use crate::ids::{ClusterId, NodeId};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);
const DAY: SignedDuration = SignedDuration::from_hours(24);

struct Cluster {
    id: ClusterId,
    ca: CertificateAuthority,
}

impl Cluster {
    fn new(number: u128) -> Self {
        let id = ClusterId::from_parts(1, number);
        let ca = CertificateAuthority::create(id, Serial::from_random(random()), clock::wall()).unwrap();
        Self { id, ca }
    }

    fn identity(&self, number: u128) -> NodeIdentity {
        self.identity_signed_at(number, clock::wall())
    }

    fn identity_signed_at(&self, number: u128, at: Timestamp) -> NodeIdentity {
        let candidate = candidate(number);
        let request = candidate.key.signing_request().unwrap();
        let serial = Serial::from_random(random());
        let certificate = self.ca.sign_node(&request, candidate.node, serial, at).unwrap();
        candidate.admitted(self.id, certificate, vec![self.ca.certificate().clone()]).unwrap()
    }

    /// A running node that answers requests of every protocol with its name in front.
    fn node(&self, number: u128) -> Node {
        Node::start(self.identity(number))
    }
}

fn candidate(number: u128) -> Candidate {
    Candidate {
        node: NodeId::from_parts(2, number),
        name: format!("n{number}"),
        key: PrivateKey::generate().unwrap(),
        sealing: SealingSecret::from_bytes(random()),
    }
}

fn loopback(port: u16) -> Binding {
    Binding { address: SocketAddr::from(([127, 0, 0, 1], port)), interface: None }
}

struct Node {
    identity: NodeIdentity,
    transport: Transport,
}

impl Node {
    fn start(identity: NodeIdentity) -> Self {
        let node = Self::silent(identity);
        let echo = Arc::new(Echo(node.identity.name.clone()));
        for protocol in [Protocol::Gossip, Protocol::Raft, Protocol::Store, Protocol::Preflight] {
            node.transport.register(protocol, echo.clone());
        }
        node
    }

    fn silent(identity: NodeIdentity) -> Self {
        let credentials = Credentials::new(&identity, Revocations::default()).unwrap();
        let transport = Transport::bind(&loopback(0), credentials, &identity.sealing).unwrap();
        Self { identity, transport }
    }

    fn id(&self) -> NodeId {
        self.identity.node
    }

    fn address(&self) -> SocketAddr {
        self.transport.local_address()
    }

    async fn connect(&self, to: &Self) -> Result<Connection, ConnectError> {
        self.dial(to.id(), to.address(), Protocol::Raft).await
    }

    /// Somebody answers there: where nobody does in time, the machine is busy, and it is tried again.
    async fn dial(
        &self,
        node: NodeId,
        address: SocketAddr,
        protocol: Protocol,
    ) -> Result<Connection, ConnectError> {
        loop {
            let dialed = self.transport.connect(node, address, protocol).await;
            if !matches!(dialed, Err(ConnectError::Silent { .. })) {
                return dialed;
            }
        }
    }

    fn serial(&self) -> Serial {
        self.identity.check().unwrap().0.serial()
    }

    fn revoke(&self, revoked: &Self) {
        let revocations = Revocations { serials: [revoked.serial()].into(), ..Revocations::default() };
        self.transport.credentials().set_revocations(revocations);
    }
}

struct Echo(String);

#[async_trait]
impl Handler for Echo {
    async fn handle(&self, peer: NodeId, connection: Connection) {
        assert_eq!(peer, connection.node());
        while let Ok(mut exchange) = connection.next_request().await {
            let Ok(request) = exchange.read(LIMIT).await else { return };
            let answer = [self.0.as_bytes(), b": ", &request].concat();
            if exchange.reply(&answer).await.is_err() {
                return;
            }
        }
    }
}

async fn ask(connection: &Connection, text: &str) -> String {
    let answer = connection.request(text.as_bytes(), LIMIT, PATIENCE).await.unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}

/// Waits for a condition instead of for a time.
async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
