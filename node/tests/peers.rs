//! Gossip and store between real endpoints on the loopback interface, with mutual TLS.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use bytes::Bytes;
use relupd::clock;
use relupd::identity::{
    Candidate, CertificateAuthority, NodeIdentity, PrivateKey, Revocations, SealingSecret, Serial, random,
};
use relupd::ids::{ClusterId, Digest, NodeId};
use relupd::membership::{Facts, Handle, Liveness, Membership, Roster, Settings, View, quic_link};
use relupd::store::{QuicPeers, Server, Store, fetch};
use relupd::transport::{Binding, Credentials, Protocol, Transport};
use relupd_release::manifest::{Entry, EntryKind, Manifest, Mode};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    id: ClusterId,
    nodes: Vec<(NodeIdentity, Transport)>,
    roster: watch::Sender<Arc<Roster>>,
}

impl Cluster {
    fn of(size: u64) -> Self {
        let id = ClusterId::from_parts(1, 1);
        let ca = CertificateAuthority::create(id, Serial::from_random(random()), clock::wall()).unwrap();
        let nodes: Vec<_> = (1..=size).map(|number| start(&ca, id, number)).collect();
        let roster = nodes.iter().map(|(identity, transport)| (identity.node, transport.local_address()));
        let roster = watch::Sender::new(Arc::new(roster.collect()));
        Self { id, nodes, roster }
    }

    async fn gossip(&self, index: usize, generation: u64) -> Handle {
        let (identity, transport) = &self.nodes[index];
        let settings =
            Settings { cluster: self.id, me: identity.node, address: transport.local_address(), generation };
        let link = quic_link(transport.clone(), self.roster.subscribe());
        let facts = Facts { daemon_version: Some(format!("0.1.{generation}")), ..Facts::default() };
        Membership::spawn(settings, link, facts, self.roster.subscribe()).await.unwrap()
    }

    fn id_of(&self, index: usize) -> NodeId {
        self.nodes[index].0.node
    }
}

fn start(ca: &CertificateAuthority, cluster: ClusterId, number: u64) -> (NodeIdentity, Transport) {
    let candidate = Candidate {
        node: NodeId::from_parts(number, 0),
        name: format!("n{number}"),
        key: PrivateKey::generate().unwrap(),
        sealing: SealingSecret::from_bytes(random()),
    };
    let request = candidate.key.signing_request().unwrap();
    let serial = Serial::from_random(random());
    let certificate = ca.sign_node(&request, candidate.node, serial, clock::wall()).unwrap();
    let identity = candidate.admitted(cluster, certificate, vec![ca.certificate().clone()]).unwrap();
    let transport = bind(&identity, SocketAddr::from(([127, 0, 0, 1], 0)));
    (identity, transport)
}

fn bind(identity: &NodeIdentity, address: SocketAddr) -> Transport {
    let credentials = Credentials::new(identity, Revocations::default()).unwrap();
    Transport::bind(&Binding { address, interface: None }, credentials, &identity.sealing).unwrap()
}

async fn until(handle: &Handle, what: &str, condition: impl Fn(&View) -> bool) {
    let waited = timeout(PATIENCE, async { handle.views().wait_for(|view| condition(view)).await.map(drop) });
    let came_true = waited.await.is_ok();
    assert!(came_true, "{what} did not come true: {:?}", handle.views().borrow());
}

async fn until_dead(handle: &Handle, node: NodeId) {
    until(handle, "death", |view| matches!(view.members[&node].liveness, Liveness::Dead { .. })).await;
}

#[tokio::test]
async fn gossip_over_quic_sees_death_and_return() {
    let mut cluster = Cluster::of(3);
    let mut handles = Vec::new();
    for index in 0..3 {
        handles.push(cluster.gossip(index, 1).await);
    }
    for handle in &handles {
        until(handle, "everybody alive", |view| view.alive().count() == 3).await;
    }

    let third = cluster.id_of(2);
    let (identity, transport) = cluster.nodes.pop().unwrap();
    let address = transport.local_address();
    transport.shutdown().await;
    drop(handles.pop());
    for handle in &handles {
        until_dead(handle, third).await;
    }

    Binding { address, interface: None }.given_back(PATIENCE).await;
    let transport = bind(&identity, address);
    cluster.nodes.push((identity, transport));
    let returned = cluster.gossip(2, 2).await;
    for handle in handles.iter().chain([&returned]) {
        until(handle, "everybody alive again", |view| view.alive().count() == 3).await;
    }
    until(&handles[0], "its later life", |view| {
        view.members[&third].daemon_version.as_deref() == Some("0.1.2")
    })
    .await;
}

#[tokio::test]
async fn an_answer_goes_the_way_its_question_came() {
    let cluster = Cluster::of(2);
    let [(asking, asking_transport), (_, asked_transport)] = cluster.nodes.as_slice() else { unreachable!() };
    let mut asks = quic_link(asking_transport.clone(), cluster.roster.subscribe());
    // Nobody could dial the one who asks where this roster has it.
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let moved = Roster::clone(&cluster.roster.borrow()).into_iter();
    let moved = moved.map(|(node, address)| (node, if node == asking.node { nowhere } else { address }));
    let moved = watch::Sender::new(Arc::new(moved.collect::<Roster>()));
    let mut asked = quic_link(asked_transport.clone(), moved.subscribe());

    let answers = async {
        while let Some((from, heard)) = asked.incoming.recv().await {
            assert_eq!(from, nowhere);
            asked.sender.send(from, heard);
        }
    };
    let talk = async {
        for question in [b"1".as_slice(), b"2"] {
            let mut answered = false;
            // Messages may get lost, and on a busy machine do: then it is asked again.
            while !answered {
                asks.sender.send(asked_transport.local_address(), Bytes::from_static(question));
                let Ok(heard) = timeout(Duration::from_secs(1), asks.incoming.recv()).await else { continue };
                let (from, answer) = heard.unwrap();
                assert_eq!(from, asked_transport.local_address());
                answered = answer.as_ref() == question;
            }
        }
    };
    tokio::select! {
        () = answers => unreachable!("the link is there"),
        talked = timeout(PATIENCE, talk) => talked.unwrap(),
    }
}

async fn store() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Store::open(folder.path().join("store")).await.unwrap(), folder)
}

fn file(path: &str, content: &[u8]) -> Entry {
    let size = u64::try_from(content.len()).unwrap();
    let kind = EntryKind::File { mode: Mode::from_bits(0o644), size, digest: Digest::of(content) };
    Entry { path: path.parse().unwrap(), kind }
}

#[tokio::test]
async fn a_release_is_fetched_over_quic_past_a_peer_that_is_away() {
    let cluster = Cluster::of(3);
    let contents: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; 1 + usize::from(n) * 10_000]).collect();
    let files = contents.iter().enumerate().map(|(index, content)| file(&format!("lib/f{index}"), content));
    let rel = b"{release, {\"shop\", \"0.2.0\"}, {erts, \"13.1.5\"}, []}.".as_slice();
    let entries = files.chain([file("releases/0.2.0/shop.rel", rel)]).collect();
    let manifest = Manifest::new("shop".parse().unwrap(), "0.2.0".parse().unwrap(), entries).unwrap();

    let (full, _full) = store().await;
    full.put_manifest(manifest.to_bytes().into()).await.unwrap();
    for content in contents.iter().map(Vec::as_slice).chain([rel]) {
        full.put(Digest::of(content), Bytes::copy_from_slice(content)).await.unwrap();
    }
    cluster.nodes[0].1.register(Protocol::Store, Arc::new(Server::new(full)));
    cluster.nodes[1].1.shutdown().await;

    let (empty, folder) = store().await;
    let peers = QuicPeers::new(cluster.nodes[2].1.clone(), cluster.roster.subscribe());
    let asked = [cluster.id_of(1), cluster.id_of(0)];
    // A peer that is late to answer is given up for this once.
    let fetched = async {
        loop {
            match fetch(&empty, &peers, &asked, manifest.digest()).await {
                Ok(fetched) => return fetched,
                Err(error) => eprintln!("{error}"),
            }
        }
    };
    let fetched = timeout(PATIENCE, fetched).await.unwrap();
    assert!(empty.is_complete(&fetched).await.unwrap());
    empty.materialize(Arc::new(fetched), folder.path().join("tree")).await.unwrap();
    assert_eq!(std::fs::read(folder.path().join("tree/lib/f39")).unwrap(), contents[39]);
}
