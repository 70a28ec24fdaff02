use super::*;
use crate::transport::Outbox;
use bytes::Bytes;
use tokio::sync::mpsc;

struct Collect(mpsc::UnboundedSender<String>);

#[async_trait]
impl Handler for Collect {
    async fn handle(&self, _: NodeId, connection: Connection) {
        while let Ok(mut stream) = connection.accept_uni().await {
            while let Ok(Some(frame)) = connection.next_frame(&mut stream, LIMIT).await {
                let _ = self.0.send(String::from_utf8(frame.to_vec()).unwrap());
            }
        }
    }
}

fn collecting(node: &Node) -> mpsc::UnboundedReceiver<String> {
    let (sender, arrived) = mpsc::unbounded_channel();
    node.transport.register(Protocol::Raft, Arc::new(Collect(sender)));
    arrived
}

async fn next(arrived: &mut mpsc::UnboundedReceiver<String>) -> String {
    tokio::time::timeout(PATIENCE, arrived.recv()).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_one_node_keep_their_order() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), Node::silent(cluster.identity(2)));
    let mut arrived = collecting(&b);
    let (outbox, _lost) = Outbox::new(&a.transport, Protocol::Raft);
    for number in 0..500 {
        outbox.send(b.id(), b.address(), number.to_string().into());
    }
    for number in 0..500 {
        assert_eq!(next(&mut arrived).await, number.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_costs_the_others_nothing_and_is_told() {
    let cluster = Cluster::new(1);
    let (a, b, dead) = (cluster.node(1), Node::silent(cluster.identity(2)), cluster.identity(3));
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut arrived = collecting(&b);
    let (outbox, mut lost) = Outbox::new(&a.transport, Protocol::Raft);
    outbox.send(dead.node, nobody.local_addr().unwrap(), Bytes::from_static(b"are you there?"));
    outbox.send(b.id(), b.address(), Bytes::from_static(b"hello"));
    assert_eq!(next(&mut arrived).await, "hello");
    assert_eq!(tokio::time::timeout(PATIENCE, lost.recv()).await.unwrap(), Some(dead.node));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_node_is_found_again() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), Node::silent(cluster.identity(2)));
    let mut arrived = collecting(&b);
    let (outbox, _lost) = Outbox::new(&a.transport, Protocol::Raft);
    let address = b.address();
    outbox.send(b.id(), address, Bytes::from_static(b"before"));
    assert_eq!(next(&mut arrived).await, "before");

    b.transport.shutdown().await;
    let binding = Binding { address, interface: None };
    eventually("the port is free", async || binding.udp().is_ok()).await;
    let credentials = Credentials::new(&b.identity, Revocations::default()).unwrap();
    let transport = Transport::bind(&binding, credentials, &b.identity.sealing).unwrap();
    let b = Node { transport, identity: b.identity };
    let mut arrived = collecting(&b);
    eventually("a message arrives in its new life", async || {
        outbox.send(b.id(), address, Bytes::from_static(b"after"));
        arrived.try_recv().is_ok()
    })
    .await;
}
