//! Who may do what, over mutual TLS, with certificates of a real CA.

use crate::client::{plan, refusal, status};
use crate::daemon::FakeDaemon;
use crate::world::{World, spec};
use jiff::Timestamp;
use relupd::api::serve_tls;
use relupd::clock::wall;
use relupd::identity::{
    Candidate, CertificateAuthority, PrivateKey, Revocations, SealingSecret, Serial, api_server_name, pem,
    random,
};
use relupd::ids::ClusterId;
use relupd::state::command::Command;
use relupd::state::node::{Certificate, OperatorRecord, Role};
use relupd::transport::{Credentials, api_server_config};
use relupd_proto::api::v1;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Code;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint, Identity};
use v1::cluster_service_client::ClusterServiceClient;

/// The cluster of `World`.
fn cluster() -> ClusterId {
    ClusterId::from_parts(1, 1)
}

fn authority() -> CertificateAuthority {
    CertificateAuthority::create(cluster(), Serial::from_random(random()), wall()).unwrap()
}

struct Remote {
    ca: CertificateAuthority,
    daemon: Arc<FakeDaemon>,
    address: SocketAddr,
    _stop: DropGuard,
}

/// A key and a certificate, PEM.
struct Pass {
    serial: Serial,
    certificate: String,
    key: String,
}

impl Remote {
    async fn start() -> Self {
        let ca = authority();
        let key = PrivateKey::generate().unwrap();
        let candidate = Candidate {
            node: crate::world::node(1),
            name: "n1".to_owned(),
            sealing: SealingSecret::from_bytes(random()),
            key,
        };
        let request = candidate.key.signing_request().unwrap();
        let serial = Serial::from_random(random());
        let certificate = ca.sign_node(&request, candidate.node, serial, wall()).unwrap();
        let identity = candidate.admitted(cluster(), certificate, vec![ca.certificate().clone()]).unwrap();
        let credentials = Credentials::new(&identity, Revocations::default()).unwrap();
        let (_, tls) = watch::channel(api_server_config(&credentials));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let daemon = FakeDaemon::new(World::settled(3, spec()));
        let stop = CancellationToken::new();
        tokio::spawn(serve_tls(listener, tls, daemon.clone(), stop.clone()));
        Self { ca, daemon, address, _stop: stop.drop_guard() }
    }

    fn sign(&self, ca: &CertificateAuthority, name: &str, role: Role) -> Pass {
        let key = PrivateKey::generate().unwrap();
        let serial = Serial::from_random(random());
        let request = key.signing_request().unwrap();
        let signed = ca.sign_operator(&request, &name.parse().unwrap(), role, serial, wall()).unwrap();
        Pass { serial, certificate: pem::encode(&signed), key: key.to_pem() }
    }

    /// A certificate that the cluster knows of.
    async fn operator(&self, name: &str, role: Role) -> Pass {
        let pass = self.sign(&self.ca, name, role);
        let certificate = Certificate { serial: pass.serial.to_string(), not_after: Timestamp::MAX };
        let added_at = Timestamp::UNIX_EPOCH;
        self.change(Command::AddOperator {
            operator: OperatorRecord { name: name.to_owned(), role, certificate, added_at },
        })
        .await;
        pass
    }

    async fn change(&self, command: Command) {
        let mut world = self.daemon.world.lock().await;
        world.apply(command).unwrap();
        self.daemon.states.send_replace(Arc::new(world.state.clone()));
    }

    async fn connect(&self, pass: &Pass) -> Result<Channel, tonic::transport::Error> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(tonic::transport::Certificate::from_pem(pem::encode(self.ca.certificate())))
            .identity(Identity::from_pem(&pass.certificate, &pass.key))
            .domain_name(api_server_name(cluster()));
        Endpoint::from_shared(format!("https://{}", self.address)).unwrap().tls_config(tls)?.connect().await
    }
}

#[tokio::test]
async fn a_viewer_looks_and_does_not_touch() {
    let remote = Remote::start().await;
    let channel = remote.connect(&remote.operator("ada", Role::Viewer).await).await.unwrap();
    assert!(status(&channel).await.confirmed);
    let (code, name, message) = refusal(plan(&channel, "0.2.0").await);
    assert_eq!((code, name.as_str()), (Code::PermissionDenied, "forbidden"));
    assert!(message.contains("operator ada is viewer") && message.contains("role operator"), "{message}");
}

#[tokio::test]
async fn an_operator_plans_and_lets_nobody_in() {
    let remote = Remote::start().await;
    let channel = remote.connect(&remote.operator("ada", Role::Operator).await).await.unwrap();
    let plan = plan(&channel, "0.2.0").await.unwrap().into_inner().plan.unwrap();
    assert_eq!(plan.made_by, "ada");
    let mut client = ClusterServiceClient::new(channel);
    let (code, _, _) = refusal(client.create_token(v1::CreateTokenRequest { ttl: None }).await);
    assert_eq!(code, Code::PermissionDenied);
}

#[tokio::test]
async fn not_even_an_admin_makes_a_cluster_from_afar() {
    let remote = Remote::start().await;
    let channel = remote.connect(&remote.operator("ada", Role::Admin).await).await.unwrap();
    let mut client = ClusterServiceClient::new(channel);
    client.create_token(v1::CreateTokenRequest { ttl: None }).await.unwrap();
    let (_, _, message) = refusal(client.init_cluster(v1::InitClusterRequest {}).await);
    assert!(message.contains("on that host"), "{message}");
}

#[tokio::test]
async fn a_revoked_operator_is_refused_on_the_open_connection() {
    let remote = Remote::start().await;
    let channel = remote.connect(&remote.operator("ada", Role::Admin).await).await.unwrap();
    status(&channel).await;
    remote.change(Command::RevokeOperator { name: "ada".to_owned() }).await;
    let (code, _, message) = refusal(plan(&channel, "0.2.0").await);
    assert_eq!(code, Code::PermissionDenied);
    assert!(message.contains("revoked"), "{message}");
}

#[tokio::test]
async fn a_revoked_operators_watch_ends() {
    let remote = Remote::start().await;
    let channel = remote.connect(&remote.operator("ada", Role::Viewer).await).await.unwrap();
    let mut client = v1::event_service_client::EventServiceClient::new(channel);
    let request = v1::ListEventsRequest { follow: true, last: 1 };
    let mut events = client.list_events(request).await.unwrap().into_inner();
    events.message().await.unwrap();
    remote.change(Command::RevokeOperator { name: "ada".to_owned() }).await;
    assert_eq!(events.message().await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_certificate_that_the_cluster_never_recorded_learns_nothing() {
    let remote = Remote::start().await;
    let channel = remote.connect(&remote.sign(&remote.ca, "eve", Role::Admin)).await.unwrap();
    let answer = ClusterServiceClient::new(channel).get_status(v1::GetStatusRequest::default()).await;
    assert_eq!(refusal(answer).0, Code::PermissionDenied);
}

#[tokio::test]
async fn a_certificate_of_a_foreign_authority_gets_no_connection() {
    let remote = Remote::start().await;
    let pass = remote.sign(&authority(), "eve", Role::Admin);
    // A TLS 1.3 client learns of the refusal when it first reads.
    let Ok(channel) = remote.connect(&pass).await else { return };
    let answer = ClusterServiceClient::new(channel).get_status(v1::GetStatusRequest::default()).await;
    assert_eq!(answer.unwrap_err().metadata().get("relupd-code"), None);
}
