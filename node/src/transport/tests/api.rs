//! TLS of the API: the same identity, over TCP, for nodes and operators.

use super::*;
use crate::identity::{OperatorName, PeerIdentity, Role, api_server_name};
use crate::transport::{api_client_config, api_server_config, node_server_name, tls};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Accepts for ever, answering each admitted caller with one byte.
async fn serve(node: &Node) -> SocketAddr {
    let listener = TcpListener::from_std(loopback(0).tcp().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(api_server_config(node.transport.credentials()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                stream.write_all(b"!").await.unwrap();
                // The caller closes first.
                let _ = stream.read_u8().await;
            }
        }
    });
    address
}

/// Whether the server lets this client in. The client's handshake alone does not tell.
async fn call(
    config: impl Into<Arc<ClientConfig>>,
    name: String,
    to: SocketAddr,
) -> Result<(), std::io::Error> {
    let stream = TcpStream::connect(to).await?;
    let name = ServerName::try_from(name).unwrap();
    let mut stream = TlsConnector::from(config.into()).connect(name, stream).await?;
    stream.read_u8().await.map(drop)
}

/// An operator's client as relupctl has it: the CA and a name, nothing of the daemon's.
fn operator(cluster: &Cluster, serial: Serial) -> ClientConfig {
    let (key, name): (_, OperatorName) = (PrivateKey::generate().unwrap(), "anna".parse().unwrap());
    let request = key.signing_request().unwrap();
    let certificate = cluster.ca.sign_operator(&request, &name, Role::Viewer, serial, clock::wall()).unwrap();
    let (peer, _) = PeerIdentity::from_certificate(&certificate).unwrap();
    assert!(matches!(peer, PeerIdentity::Operator { role: Role::Viewer, .. }));
    plain_client(cluster.ca.certificate(), Some((certificate, key)))
}

fn plain_client(
    ca: &CertificateDer<'static>,
    client: Option<(CertificateDer<'static>, PrivateKey)>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match client {
        Some((certificate, key)) => {
            builder.with_client_auth_cert(vec![certificate], key.to_der().into()).unwrap()
        }
        None => builder.with_no_client_auth(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_and_operators_are_let_in_and_nobody_else() {
    let (cluster, foreign) = (Cluster::new(1), Cluster::new(2));
    let (a, b) = (cluster.node(1), cluster.node(2));
    let address = serve(&a).await;
    let any_node = api_server_name(cluster.id);

    let node = api_client_config(b.transport.credentials());
    call(node.clone(), node_server_name(a.id()), address).await.unwrap();
    call(node.clone(), any_node.clone(), address).await.unwrap();
    let error = call(node, node_server_name(b.id()), address).await.unwrap_err().to_string();
    assert!(error.contains("answers where node"), "{error}");

    call(operator(&cluster, Serial::from_random(random())), any_node.clone(), address).await.unwrap();
    let nobody = plain_client(cluster.ca.certificate(), None);
    call(nobody, any_node.clone(), address).await.unwrap_err();

    let stranger = foreign.identity(2);
    let client = Some((stranger.certificate, stranger.key));
    let error = call(plain_client(cluster.ca.certificate(), client), any_node, address).await.unwrap_err();
    assert!(error.to_string().contains("UnknownCA"), "{error}");
}

/// The same client configuration is used again: had it got a ticket, it would resume with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_operator_is_not_let_in_again() {
    let cluster = Cluster::new(1);
    let node = cluster.node(1);
    let address = serve(&node).await;
    let serial = Serial::from_random(random());
    let client = Arc::new(operator(&cluster, serial));
    let name = api_server_name(cluster.id);
    call(Arc::clone(&client), name.clone(), address).await.unwrap();

    let revocations = Revocations { serials: [serial].into(), ..Revocations::default() };
    node.transport.credentials().set_revocations(revocations);
    let error = call(client, name, address).await.unwrap_err();
    assert!(error.to_string().contains("Revoked"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_cannot_pose_as_a_daemon() {
    let cluster = Cluster::new(1);
    let (key, name): (_, OperatorName) = (PrivateKey::generate().unwrap(), "anna".parse().unwrap());
    let request = key.signing_request().unwrap();
    let serial = Serial::from_random(random());
    let certificate = cluster.ca.sign_operator(&request, &name, Role::Admin, serial, clock::wall()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.to_der().into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(server));
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    let node = cluster.node(1);
    let client = api_client_config(node.transport.credentials());
    let error = call(client, api_server_name(cluster.id), address).await.unwrap_err().to_string();
    assert!(error.contains("does not allow extended key usage for server"), "{error}");
}
