use super::*;
use crate::identity::{OperatorName, Role};
use crate::transport::join::Admission;
use crate::transport::{endpoint, node_server_name, tls};
use quinn::EndpointConfig;

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_one_cluster_talk_over_every_protocol() {
    let cluster = Cluster::new(1);
    let (a, b) = (cluster.node(1), cluster.node(2));
    for protocol in [Protocol::Gossip, Protocol::Raft, Protocol::Store, Protocol::Preflight] {
        let connection = a.dial(b.id(), b.address(), protocol).await.unwrap();
        assert_eq!((connection.node(), connection.protocol()), (b.id(), protocol));
        assert_eq!(ask(&connection, "hello").await, "n2: hello");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_ca_is_refused_by_both_sides() {
    let (ours, foreign) = (Cluster::new(1), Cluster::new(2));
    let (a, stranger) = (ours.node(1), foreign.node(2));
    let error = a.connect(&stranger).await.err().unwrap();
    assert!(matches!(error, ConnectError::NotTrusted { .. }), "{error}");

    // The stranger does not check whom it talks to: our side must refuse it by itself.
    let error = reckless(&stranger, &a, Protocol::Raft).await.unwrap_err();
    assert!(error.contains("UnknownIssuer") || error.contains("unknown"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_with_the_same_cluster_id_is_foreign_all_the_same() {
    let (ours, forged) = (Cluster::new(1), Cluster::new(1));
    let (a, stranger) = (ours.node(1), forged.node(2));
    let error = a.connect(&stranger).await.err().unwrap();
    assert!(matches!(error, ConnectError::NotTrusted { .. }), "{error}");
    reckless(&stranger, &a, Protocol::Raft).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn node_a_is_refused_where_node_b_was_dialled() {
    let cluster = Cluster::new(1);
    let (a, b, c) = (cluster.node(1), cluster.node(2), cluster.node(3));
    let error = c.dial(b.id(), a.address(), Protocol::Raft).await.err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, ConnectError::NotTrusted { .. }), "{text}");
    assert!(text.contains(&format!("node {} answers", a.id())), "{text}");
    assert!(text.contains(&b.id().to_string()), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_refused_by_both_sides() {
    let cluster = Cluster::new(1);
    let good = cluster.node(1);
    let expired = Node::start(cluster.identity_signed_at(2, clock::wall() - 31 * DAY));
    let error = good.connect(&expired).await.err().unwrap();
    assert!(error.to_string().contains("xpired"), "{error}");
    let error = expired.connect(&good).await.err().unwrap();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_join_admits_a_caller_without_a_certificate() {
    struct Nobody;
    #[async_trait]
    impl Admission for Nobody {
        async fn admit(
            &self,
            _: crate::transport::join::JoinRequest,
        ) -> Result<crate::transport::join::Admitted, crate::transport::join::JoinError> {
            Err(crate::transport::join::JoinError::Unavailable("nobody joins here".into()))
        }
    }

    let cluster = Cluster::new(1);
    let node = cluster.node(1);
    node.transport.register_admission(Arc::new(Nobody));
    for protocol in [Protocol::Gossip, Protocol::Raft, Protocol::Store, Protocol::Preflight] {
        let error = dial(without_certificate(&node, protocol), &node).await.unwrap_err();
        assert!(error.contains("requires a node certificate"), "{protocol}: {error}");
    }
    let quic = connect_raw(without_certificate(&node, Protocol::Join), &node).await.unwrap();
    let (mut send, mut receive) = quic.open_bi().await.unwrap();
    send.write_all(b"not a join request").await.unwrap();
    send.finish().unwrap();
    assert!(!receive.read_to_end(LIMIT).await.unwrap().is_empty(), "the join protocol answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_no_node() {
    let cluster = Cluster::new(1);
    let node = cluster.node(1);
    let key = PrivateKey::generate().unwrap();
    let name: OperatorName = "anna".parse().unwrap();
    let request = key.signing_request().unwrap();
    let serial = Serial::from_random(random());
    let certificate = cluster.ca.sign_operator(&request, &name, Role::Admin, serial, clock::wall()).unwrap();

    let builder = tls::client_builder().with_custom_certificate_verifier(trusting(&node));
    let config = builder.with_client_auth_cert(vec![certificate], key.to_der().into()).unwrap();
    let error = dial(with_alpn(config, Protocol::Raft), &node).await.unwrap_err();
    assert!(error.contains("for nodes only"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_protocol_is_refused() {
    let cluster = Cluster::new(1);
    let node = cluster.node(1);
    let mut config = without_certificate(&node, Protocol::Join);
    config.alpn_protocols = vec![b"h3".to_vec()];
    dial(config, &node).await.unwrap_err();
}

/// The verifier of the node itself: it trusts its own certificate.
fn trusting(node: &Node) -> Arc<dyn rustls::client::danger::ServerCertVerifier> {
    Arc::new(crate::transport::verify::Servers(Arc::clone(node.transport.credentials())))
}

fn without_certificate(node: &Node, protocol: Protocol) -> rustls::ClientConfig {
    let builder = tls::client_builder().with_custom_certificate_verifier(trusting(node));
    with_alpn(builder.with_no_client_auth(), protocol)
}

fn with_alpn(mut config: rustls::ClientConfig, protocol: Protocol) -> rustls::ClientConfig {
    config.alpn_protocols = vec![protocol.alpn().into()];
    config
}

/// Dials `to` with `from`'s certificate, believing whatever `to` shows.
async fn reckless(from: &Node, to: &Node, protocol: Protocol) -> Result<(), String> {
    let builder = tls::client_builder().with_custom_certificate_verifier(trusting(to));
    let chain = vec![from.identity.certificate.clone()];
    let config = builder.with_client_auth_cert(chain, from.identity.key.to_der().into()).unwrap();
    dial(with_alpn(config, protocol), to).await
}

/// Waits for the hello, which only who is admitted gets.
async fn dial(config: rustls::ClientConfig, to: &Node) -> Result<(), String> {
    let quic = connect_raw(config, to).await?;
    quic.accept_uni().await.map(drop).map_err(|error| error.to_string())
}

async fn connect_raw(config: rustls::ClientConfig, to: &Node) -> Result<quinn::Connection, String> {
    let binding = loopback(0);
    let endpoint =
        endpoint::endpoint(&binding, binding.udp().unwrap(), EndpointConfig::default(), None).unwrap();
    endpoint
        .connect_with(endpoint::client_config(config), to.address(), &node_server_name(to.id()))
        .unwrap()
        .await
        .map_err(|error| error.to_string())
}
