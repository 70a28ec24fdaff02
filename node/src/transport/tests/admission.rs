//! Who was admitted once, and is no more.

use super::*;
use crate::transport::StreamError;

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_peer_loses_its_live_connections_and_gets_no_new_one() {
    let cluster = Cluster::new(1);
    let (a, b, c) = (cluster.node(1), cluster.node(2), cluster.node(3));
    let outgoing = a.connect(&b).await.unwrap();
    let incoming = b.connect(&a).await.unwrap();
    let bystander = c.connect(&a).await.unwrap();
    ask(&incoming, "before").await;

    a.revoke(&b);
    let end = tokio::time::timeout(PATIENCE, incoming.closed()).await.unwrap();
    assert!(end.to_string().contains("revoked"), "{end}");
    tokio::time::timeout(PATIENCE, outgoing.closed()).await.unwrap();

    // Resumption would let it back in here.
    for _ in 0..2 {
        let error = b.connect(&a).await.err().unwrap();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    }
    let error = a.connect(&b).await.err().unwrap();
    assert!(error.to_string().contains("Revoked"), "{error}");
    assert_eq!(ask(&bystander, "still here").await, "n1: still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_is_refused_with_whatever_certificate() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), cluster.node(2));
    let live = b.connect(&a).await.unwrap();
    let revocations = Revocations { nodes: [b.id()].into(), ..Revocations::default() };
    a.transport.credentials().set_revocations(revocations);
    tokio::time::timeout(PATIENCE, live.closed()).await.unwrap();

    let again = Node::start(cluster.identity(2));
    let error = again.connect(&a).await.err().unwrap();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_from_a_peer_after_its_revocation() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), cluster.node(2));
    let connection = a.connect(&b).await.unwrap();
    a.revoke(&b);
    // Whether the connection is closed already or not, what arrives does not count.
    let error = connection.request(b"hello", LIMIT, PATIENCE).await.unwrap_err();
    assert!(
        matches!(
            error,
            StreamError::Revoked | StreamError::Connection(_) | StreamError::Write(_) | StreamError::Read(_)
        ),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_without_a_restart() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), cluster.node(2));
    let live = b.connect(&a).await.unwrap();
    let old = a.serial();

    let key = PrivateKey::generate().unwrap();
    let serial = Serial::from_random(random());
    let request = key.signing_request().unwrap();
    let certificate = cluster.ca.sign_node(&request, a.id(), serial, clock::wall()).unwrap();
    let renewed = a.identity.renewed(key, certificate).unwrap();
    a.transport.credentials().replace(&renewed).unwrap();

    assert_eq!(ask(&live, "live connections go on").await, "n1: live connections go on");
    assert_eq!(live.peer().serial(), old);
    let fresh = b.dial(a.id(), a.address(), Protocol::Store).await.unwrap();
    assert_eq!(fresh.peer().serial(), serial, "as a server");

    // As a client too: who revokes the old certificate only still admits us.
    let revocations = Revocations { serials: [old].into(), ..Revocations::default() };
    b.transport.credentials().set_revocations(revocations);
    let outgoing = a.connect(&b).await.unwrap();
    assert_eq!(ask(&outgoing, "hello").await, "n2: hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_node_is_not_swapped_in() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), cluster.node(2));
    let error = a.transport.credentials().replace(&b.identity).unwrap_err();
    assert!(error.to_string().contains(&b.id().to_string()), "{error}");
    assert!(b.connect(&a).await.is_ok(), "the present certificate stays in use");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_when_the_peers_certificate_expires() {
    let cluster = Cluster::new(1);
    let a = cluster.node(1);
    let lifetime = crate::identity::NODE_LIFETIME;
    // A busy machine may need longer to connect than one is valid; then the next one is for longer.
    for soon in [2, 4, 8, 16, 32].map(SignedDuration::from_secs) {
        let b = Node::start(cluster.identity_signed_at(2, clock::wall() - lifetime + soon));
        let Ok(live) = b.connect(&a).await else { continue };
        let end = tokio::time::timeout(PATIENCE, live.closed()).await.unwrap();
        assert!(end.to_string().contains("expired"), "{end}");
        return;
    }
    panic!("no certificate was valid for long enough to connect");
}
