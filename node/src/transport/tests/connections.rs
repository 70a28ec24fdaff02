use super::*;
use crate::transport::{BindError, StreamError, read_frame, write_frame};

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_all_who_ask_for_it() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), cluster.node(2));
    let (first, second) = tokio::join!(a.connect(&b), a.connect(&b));
    let (first, second) = (first.unwrap(), second.unwrap());
    first.close();
    assert!(!second.is_open(), "both are the same connection");
    let third = a.connect(&b).await.unwrap();
    assert_eq!(ask(&third, "again").await, "n2: again");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_bounded() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), cluster.node(2));
    let connection = a.connect(&b).await.unwrap();
    let error = connection.request(b"123456789", 8, PATIENCE).await.unwrap_err();
    assert!(matches!(error, StreamError::TooLong { limit: 8 }), "{error}");
    let large = "x".repeat(LIMIT - 4);
    assert_eq!(ask(&connection, &large).await.len(), LIMIT);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_keep_their_bounds_and_their_order() {
    struct Frames;
    #[async_trait]
    impl Handler for Frames {
        async fn handle(&self, _: NodeId, connection: Connection) {
            let Ok((mut send, mut receive)) = connection.accept_bi().await else { return };
            while let Ok(Some(frame)) = connection.next_frame(&mut receive, 8).await {
                write_frame(&mut send, &frame).await.unwrap();
            }
            let _ = send.finish();
            connection.closed().await;
        }
    }

    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), Node::silent(cluster.identity(2)));
    b.transport.register(Protocol::Raft, Arc::new(Frames));
    let connection = a.connect(&b).await.unwrap();
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    for content in [&b"one"[..], b"", b"eight by"] {
        write_frame(&mut send, content).await.unwrap();
        assert_eq!(read_frame(&mut receive, 8).await.unwrap().unwrap(), content);
    }
    write_frame(&mut send, b"nine byte").await.unwrap();
    assert!(read_frame(&mut receive, 8).await.unwrap().is_none(), "too long for the other side");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_way_messages_arrive_with_their_sender() {
    struct Collect(tokio::sync::mpsc::Sender<(NodeId, Vec<u8>)>);
    #[async_trait]
    impl Handler for Collect {
        async fn handle(&self, peer: NodeId, connection: Connection) {
            while let Ok(message) = connection.receive(LIMIT).await {
                self.0.send((peer, message.to_vec())).await.unwrap();
            }
        }
    }

    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), Node::silent(cluster.identity(2)));
    let (sender, mut arrived) = tokio::sync::mpsc::channel(8);
    b.transport.register(Protocol::Gossip, Arc::new(Collect(sender)));
    let connection = a.dial(b.id(), b.address(), Protocol::Gossip).await.unwrap();
    connection.send(b"hello").await.unwrap();
    let message = tokio::time::timeout(PATIENCE, arrived.recv()).await.unwrap().unwrap();
    assert_eq!(message, (a.id(), b"hello".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protocol_that_is_not_served_yet_says_so() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), Node::silent(cluster.identity(2)));
    let error = a.connect(&b).await.err().unwrap();
    assert!(error.to_string().contains("not served yet"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_address_is_given_up() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), cluster.identity(2));
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    let error = a.transport.connect(b.node, address, Protocol::Raft).await.err().unwrap();
    // On a busy machine QUIC's own limit may be over before anybody looks.
    let timed_out = matches!(error, ConnectError::Broken { source: quinn::ConnectionError::TimedOut, .. });
    assert!(timed_out || matches!(error, ConnectError::Silent { .. }), "{error}");
}

#[tokio::test]
async fn shutdown_tells_the_peers_and_frees_the_port() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), cluster.node(2));
    let live = a.connect(&b).await.unwrap();
    let binding = Binding { address: b.address(), interface: None };
    assert!(matches!(binding.udp().unwrap_err(), BindError::Taken { .. }));
    b.transport.shutdown().await;
    let end = tokio::time::timeout(PATIENCE, live.closed()).await.unwrap();
    assert!(end.to_string().contains("shutting down"), "{end}");
    binding.given_back(PATIENCE).await;
    drop(binding.udp().unwrap());
    let error = b.connect(&a).await.err().unwrap();
    assert!(matches!(error, ConnectError::ShutDown), "{error}");
}

#[tokio::test]
async fn a_connection_that_nobody_talks_on_is_ended() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), cluster.node(2));
    let held = a.connect(&b).await.unwrap();
    a.transport.0.outgoing.sweep().await;
    assert_eq!(ask(&held, "still there?").await, "n2: still there?");
    drop(held);
    a.transport.0.outgoing.sweep().await;
    let endpoint = b.transport.0.endpoint.load_full().unwrap();
    eventually("both have forgotten it", async || endpoint.open_connections() == 0).await;
    assert_eq!(ask(&a.connect(&b).await.unwrap(), "again").await, "n2: again");
}

/// The daemon is killed: nobody says goodbye. Its next life must not leave its peers to their idle
/// timeout.
#[test]
fn a_restarted_peer_ends_the_connections_of_its_former_life() {
    let cluster = Cluster::new(1);
    let identity = cluster.identity(2);
    let survivor_runtime = tokio::runtime::Runtime::new().unwrap();
    let a = survivor_runtime.block_on(async { cluster.node(1) });
    // One thread: with several, one could send the goodbye of a connection that another has just dropped.
    let killed_runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let b = killed_runtime.block_on(async { Node::start(identity.clone()) });
    let address = b.address();
    let (kill, killed) = tokio::sync::oneshot::channel::<()>();
    let life = std::thread::spawn(move || {
        let _ = killed_runtime.block_on(killed);
        drop(killed_runtime); // no task runs again, no packet leaves
    });
    let old = survivor_runtime.block_on(async { a.connect(&b).await.unwrap() });
    let binding = Binding { address, interface: None };

    drop(kill);
    life.join().unwrap();
    drop(b);

    survivor_runtime.block_on(async {
        assert!(old.is_open());
        let credentials = Credentials::new(&identity, Revocations::default()).unwrap();
        let reborn = Transport::bind(&binding, credentials, &identity.sealing).unwrap();
        reborn.register(Protocol::Raft, Arc::new(Echo("reborn".into())));
        // A keep-alive may have met the reborn node first; then there is nothing left to send on.
        let _ = old.send(b"are you there?").await;
        let end = tokio::time::timeout(PATIENCE, old.closed()).await.unwrap();
        // The idle timeout would say that it timed out.
        assert!(matches!(end, quinn::ConnectionError::Reset), "{end}");
        let new = a.transport.connect(identity.node, address, Protocol::Raft).await.unwrap();
        assert_eq!(ask(&new, "hello").await, "reborn: hello");
    });
}
