use super::*;
use crate::format::Format;
use crate::identity::{JoinToken, TokenRecord, TokenSecret, check_token};
use crate::ids::{RaftId, TokenId};
use crate::transport::join::{
    Admission, Admitted, Applicant, JoinError, JoinFailure, JoinRequest, KnownPeer, join,
};
use std::collections::BTreeMap;
use tokio::sync::Mutex;

/// Admits as a daemon would, with its book of tokens in memory.
struct Desk {
    cluster: Cluster,
    tokens: Mutex<BTreeMap<TokenId, TokenRecord>>,
    asked: Mutex<Vec<JoinRequest>>,
}

#[async_trait]
impl Admission for Desk {
    async fn admit(&self, request: JoinRequest) -> Result<Admitted, JoinError> {
        self.asked.lock().await.push(request.clone());
        let mut tokens = self.tokens.lock().await;
        let record = tokens.get_mut(&request.token.id);
        check_token(self.cluster.id, record.as_deref(), &request.token, request.node, clock::wall())?;
        record.expect("a token without a record is forged").used_by = Some(request.node);
        let serial = Serial::from_random(random());
        let certificate = self
            .cluster
            .ca
            .sign_node(&request.signing_request, request.node, serial, clock::wall())
            .map_err(|error| JoinError::BadRequest(error.to_string()))?;
        let raft = RaftId(7);
        Ok(Admitted {
            cluster: self.cluster.id,
            raft,
            certificate,
            ca_certificates: vec![self.cluster.ca.certificate().clone()],
            peers: vec![KnownPeer { node: request.node, raft, address: request.address }],
        })
    }
}

struct Host {
    node: Node,
    desk: Arc<Desk>,
}

impl Host {
    fn start(cluster: Cluster) -> Self {
        let node = cluster.node(1);
        let desk = Desk { cluster, tokens: Mutex::default(), asked: Mutex::default() };
        let desk = Arc::new(desk);
        node.transport.register_admission(desk.clone());
        Self { node, desk }
    }

    async fn token(&self, valid: SignedDuration) -> JoinToken {
        let token = JoinToken {
            cluster: self.desk.cluster.id,
            id: TokenId::from_parts(3, u128::from_le_bytes(random())),
            secret: TokenSecret::from_bytes(random()),
            ca_digest: self.desk.cluster.ca.digest(),
            seeds: vec![self.node.address()],
        };
        let record = token.record(clock::wall() + valid, "anna".into());
        self.desk.tokens.lock().await.insert(token.id, record);
        token
    }
}

fn applicant() -> Applicant {
    Applicant {
        address: "127.0.0.2:7400".parse().unwrap(),
        labels: [("rack".to_owned(), "r1".to_owned())].into(),
        software_version: "0.1.0".to_owned(),
        reads: Format::FIRST,
    }
}

async fn try_join(token: &JoinToken, candidate: &Candidate) -> Result<NodeIdentity, JoinFailure> {
    join(token, candidate, &applicant(), &loopback(0)).await.map(|(identity, _)| identity)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_joins_and_is_a_node_at_once() {
    let host = Host::start(Cluster::new(1));
    let token: JoinToken = host.token(DAY).await.to_text().parse().unwrap();
    let joiner = candidate(2);
    let (identity, admitted) = join(&token, &joiner, &applicant(), &loopback(0)).await.unwrap();
    assert_eq!((identity.node, identity.cluster), (joiner.node, host.desk.cluster.id));
    assert_eq!((admitted.raft, admitted.peers.len()), (RaftId(7), 1));
    let asked = host.desk.asked.lock().await.pop().unwrap();
    assert_eq!((asked.name.as_str(), asked.address), ("n2", applicant().address));
    assert_eq!(asked.labels, applicant().labels);
    assert_eq!(asked.sealing_key, joiner.sealing.public());

    let joined = Node::start(identity);
    assert_eq!(ask(&joined.connect(&host.node).await.unwrap(), "hello").await, "n1: hello");
    assert_eq!(ask(&host.node.connect(&joined).await.unwrap(), "hello").await, "n2: hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_admits_one_node_and_that_one_again() {
    let host = Host::start(Cluster::new(1));
    let token = host.token(DAY).await;
    let joiner = candidate(2);
    try_join(&token, &joiner).await.unwrap();
    try_join(&token, &joiner).await.unwrap();
    let failure = try_join(&token, &candidate(3)).await.unwrap_err();
    assert!(matches!(failure, JoinFailure::Refused(_)), "{failure}");
    assert!(failure.to_string().contains(&format!("already used by node {}", joiner.node)), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_and_forged_tokens_are_refused_with_their_reason() {
    let host = Host::start(Cluster::new(1));
    let expired = host.token(-DAY).await;
    let failure = try_join(&expired, &candidate(2)).await.unwrap_err().to_string();
    assert!(failure.contains("expired at") && failure.contains("relupctl cluster token"), "{failure}");

    let forged = JoinToken { secret: TokenSecret::from_bytes(random()), ..host.token(DAY).await };
    let failure = try_join(&forged, &candidate(2)).await.unwrap_err().to_string();
    assert!(failure.contains("forged"), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_not_told_to_a_server_of_another_cluster() {
    let (host, other) = (Host::start(Cluster::new(1)), Host::start(Cluster::new(2)));
    let token = JoinToken { seeds: vec![other.node.address()], ..host.token(DAY).await };
    let failure = try_join(&token, &candidate(2)).await.unwrap_err().to_string();
    assert!(failure.contains("another cluster answers there"), "{failure}");
    assert!(other.desk.asked.lock().await.is_empty(), "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_that_does_not_answer_is_passed_over() {
    let host = Host::start(Cluster::new(1));
    let gone = Node::silent(host.desk.cluster.identity(9));
    let seeds = vec![gone.address(), host.node.address()];
    let token = JoinToken { seeds, ..host.token(DAY).await };
    try_join(&token, &candidate(2)).await.unwrap();

    let token = JoinToken { seeds: vec![gone.address()], ..host.token(DAY).await };
    let failure = try_join(&token, &candidate(3)).await.unwrap_err().to_string();
    assert!(failure.contains(&gone.address().to_string()) && failure.contains("not served yet"), "{failure}");
}
