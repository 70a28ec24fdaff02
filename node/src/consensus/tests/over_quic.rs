//! The same over real connections: three nodes on loopback with certificates of one CA.

use super::cluster::within;
use super::ledger::{FORGED, entry};
use super::{Ledger, fast};
use crate::clock;
use crate::consensus::quic::{AddressBook, PeerAddress, QuicNetwork};
use crate::consensus::{
    Exit, Handle, MembershipChange, Options, Owner, ProposeError, StateMachine as _, Storage, start,
};
use crate::identity::{
    Candidate, CertificateAuthority, PrivateKey, Revocations, SealingSecret, Serial, random,
};
use crate::ids::{ClusterId, NodeId, RaftId};
use crate::transport::{Binding, Credentials, Transport};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

struct Node {
    address: PeerAddress,
    transport: Transport,
    book: Arc<AddressBook>,
    handle: Handle<Ledger>,
    exit: Exit,
}

struct Nodes {
    cluster: ClusterId,
    ca: CertificateAuthority,
    directory: TempDir,
    genesis: Vec<u8>,
    options: Options,
    running: Vec<Node>,
}

impl Nodes {
    fn new(options: Options) -> Self {
        let cluster = ClusterId::from_parts(1, 1);
        let serial = Serial::from_random(random());
        let ca = CertificateAuthority::create(cluster, serial, clock::wall()).expect("a CA");
        let (directory, genesis) = (TempDir::new().expect("a directory"), Ledger::default().snapshot());
        Self { cluster, ca, directory, genesis: genesis.to_vec(), options, running: Vec::new() }
    }

    fn transport(&self, node: NodeId) -> Transport {
        let key = PrivateKey::generate().expect("a key");
        let request = key.signing_request().expect("a request");
        let sealing = SealingSecret::from_bytes(random());
        let candidate = Candidate { node, name: node.to_string(), key, sealing };
        let signed = self.ca.sign_node(&request, node, Serial::from_random(random()), clock::wall());
        let identity = candidate
            .admitted(self.cluster, signed.expect("a certificate"), vec![self.ca.certificate().clone()])
            .expect("an identity");
        let credentials = Credentials::new(&identity, Revocations::default()).expect("credentials");
        let binding = Binding { address: SocketAddr::from(([127, 0, 0, 1], 0)), interface: None };
        Transport::bind(&binding, credentials, &identity.sealing).expect("a free port")
    }

    fn start(&mut self, raft: RaftId) {
        let node = NodeId::from_parts(2, raft.0.into());
        let owner = Owner { cluster: self.cluster, node, raft };
        let path = self.directory.path().join(format!("{raft}.redb"));
        let storage = if self.running.is_empty() {
            Storage::bootstrap(&path, owner, self.genesis.clone())
        } else {
            Storage::join(&path, owner)
        };
        let (transport, book) = (self.transport(node), Arc::new(AddressBook::default()));
        let network = QuicNetwork::new(transport.clone(), Arc::clone(&book));
        let storage = storage.expect("a new state file");
        let (handle, exit) = start(storage, Ledger::default(), network.clone(), self.options.clone(), raft.0)
            .expect("a member");
        network.attach(&handle);
        let address = PeerAddress { raft, node, address: transport.local_address() };
        self.running.push(Node { address, transport, book, handle, exit });
        let everybody: Vec<_> = self.running.iter().map(|node| node.address).collect();
        self.running.iter().for_each(|node| node.book.replace(everybody.iter().copied(), []));
    }

    async fn of_three(options: Options) -> Self {
        let mut nodes = Self::new(options);
        for raft in [1, 2, 3].map(RaftId) {
            nodes.start(raft);
            if raft.0 > 1 {
                let change = MembershipChange::add_learner(raft);
                nodes.running[0].handle.change_membership(change).await.expect("a learner joins");
            }
        }
        let change =
            MembershipChange { voters: [RaftId(2), RaftId(3)].into(), ..MembershipChange::default() };
        nodes.running[0].handle.change_membership(change).await.expect("learners become voters");
        for node in &nodes.running {
            let mut status = node.handle.status();
            within(status.wait_for(|status| status.membership.voters.len() == 3)).await.expect("it runs");
        }
        nodes
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_agree_over_mutual_tls_and_survive_their_leader() {
    let mut nodes = Nodes::of_three(fast()).await;
    for (number, node) in (0..).zip(&nodes.running) {
        assert_eq!(node.handle.propose(entry(number)).await, Ok(usize::try_from(number).expect("small")));
        assert!(node.handle.read_barrier().await.is_ok());
    }
    let mut leadership = nodes.running[1].handle.leadership();
    let led = within(leadership.wait_for(|now| now.leader.is_some())).await.expect("it runs").leader;
    let leader = led.expect("just seen");
    let position = nodes.running.iter().position(|node| node.address.raft == leader).expect("one of them");
    let Node { transport, handle, exit, .. } = nodes.running.remove(position);
    transport.shutdown().await;
    handle.shutdown();
    within(exit.wait()).await.expect("its file is well");
    for (number, node) in (3..).zip(&nodes.running) {
        assert_eq!(node.handle.propose(entry(number)).await, Ok(usize::try_from(number).expect("small")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_peer_may_not_propose_never_enters_the_leaders_log() {
    // Nobody else comes to lead between the look and the proposal.
    let nodes = Nodes::of_three(Options { election_ticks: 1000, ..fast() }).await;
    for node in &nodes.running {
        let led = node.handle.leadership().borrow().is_self;
        let proposed = node.handle.propose(entry(FORGED)).await;
        if !led {
            let refused = Err(ProposeError::Refused { reason: format!("not from {}", node.address.node) });
            assert_eq!(proposed, refused);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_an_address_is_not_written_to() {
    let mut nodes = Nodes::new(fast());
    nodes.start(RaftId(1));
    nodes.start(RaftId(2));
    nodes.running[0].book.replace([nodes.running[0].address], []);
    let [first, second] = &nodes.running[..] else { panic!("two nodes") };
    first.handle.change_membership(MembershipChange::add_learner(RaftId(2))).await.expect("a quorum of one");
    assert_eq!(first.handle.propose(entry(1)).await, Ok(0));
    assert_eq!(second.handle.status().borrow().commit, 0, "it has no address there");
    first.book.replace([first.address, second.address], []);
    let mut views = second.handle.views();
    within(views.wait_for(|view| view.as_slice() == [1])).await.expect("heard at last");
}

/// As a voter that was away while its present leader joined.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_joined_meanwhile_is_heard_and_answered_and_one_that_was_removed_is_not() {
    for (removed, heard) in [(true, false), (false, true)] {
        let mut nodes = Nodes::new(fast());
        nodes.start(RaftId(1));
        nodes.start(RaftId(2));
        let [first, second] = &nodes.running[..] else { panic!("two nodes") };
        let gone = removed.then_some((RaftId(1), first.address.node));
        second.book.replace([second.address], gone);
        let change = MembershipChange::add_learner(RaftId(2));
        first.handle.change_membership(change).await.expect("a quorum of one");
        assert_eq!(first.handle.propose(entry(1)).await, Ok(0));
        if heard {
            let mut views = second.handle.views();
            within(views.wait_for(|view| view.as_slice() == [1])).await.expect("it listens, and answers");
        } else {
            let mut status = first.handle.status();
            let silent = status.wait_for(|status| status.peers.values().any(|peer| peer.matched > 0));
            assert!(tokio::time::timeout(Duration::from_millis(500), silent).await.is_err());
            assert_eq!(second.handle.status().borrow().commit, 0);
        }
    }
}

/// A snapshot of several megabytes takes a stream of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_snapshot_arrives() {
    let numbers: Vec<u8> = (0..400_000_u64).flat_map(u64::to_be_bytes).collect();
    // It is under way for longer than a small one, and each retry is another stream beside it.
    let mut nodes = Nodes::new(Options { snapshot_retry: Duration::from_secs(20), ..fast() });
    nodes.genesis = numbers.clone();
    nodes.start(RaftId(1));
    nodes.start(RaftId(2));
    let [first, second] = &nodes.running[..] else { panic!("two nodes") };
    first.handle.change_membership(MembershipChange::add_learner(RaftId(2))).await.expect("a quorum of one");
    let mut views = second.handle.views();
    within(views.wait_for(|view| view.len() * 8 == numbers.len())).await.expect("it arrives");
}
