//! Lets hosts in that show a join token.

use super::authority::{Authority, IssueError};
use super::cluster::Cluster;
use crate::clock::wall;
use crate::identity::check_token;
use crate::ids::Digest;
use crate::state::command::{Actor, Admission as Newcomer, Applied, Command};
use crate::state::rejection::Rejection;
use crate::transport::join::{Admission, Admitted, JoinError, JoinRequest, KnownPeer};
use async_trait::async_trait;

/// The door of the cluster.
pub(crate) struct Door {
    pub(crate) cluster: Cluster,
    pub(crate) authority: Authority,
}

#[async_trait]
impl Admission for Door {
    /// The secret is checked here; that a token works once, and only in its time, is decided when the
    /// admission is applied.
    async fn admit(&self, request: JoinRequest) -> Result<Admitted, JoinError> {
        self.cluster.read_barrier().await.map_err(|error| JoinError::Unavailable(error.to_string()))?;
        let state = self.cluster.state();
        let record = state.authority.tokens.get(&request.token.id);
        check_token(state.cluster, record, &request.token, request.node, wall())?;
        let issued = self.authority.sign_node(&state, request.node, &request.signing_request);
        let issued = issued.map_err(|error| match error {
            IssueError::NotAVoter { .. } => JoinError::Unavailable(error.to_string()),
            IssueError::Certificate
            | IssueError::Seal(_)
            | IssueError::Authority(_)
            | IssueError::Peer(_) => JoinError::BadRequest(error.to_string()),
        })?;
        let node = Newcomer {
            key: public_key_digest(&issued.der),
            id: request.node,
            name: request.name,
            address: request.address,
            labels: request.labels,
            sealing_key: request.sealing_key.as_bytes().to_vec(),
            certificate: issued.record,
            daemon_version: request.software_version,
            reads: request.reads,
        };
        let command = Command::AdmitNode { token: request.token.id, node };
        let outcome = self.cluster.propose(Actor::Agent(self.cluster.me()), command).await;
        let raft = match outcome.map_err(|error| JoinError::Unavailable(error.to_string()))? {
            Ok(Applied::Admitted { raft_id }) => raft_id,
            Ok(Applied::Done | Applied::Plan(_) | Applied::Rollout(_)) => {
                return Err(JoinError::Unavailable("the cluster answered something else".to_owned()));
            }
            Err(rejection) => return Err(refused(&rejection)),
        };
        let certificate =
            Authority::certificate(&state).map_err(|error| JoinError::BadRequest(error.to_string()))?;
        let present = state.present_nodes();
        Ok(Admitted {
            cluster: state.cluster,
            raft,
            certificate: issued.der.into(),
            ca_certificates: vec![certificate.into()],
            peers: present
                .map(|peer| KnownPeer { node: peer.id, raft: peer.raft_id, address: peer.address })
                .collect(),
        })
    }
}

/// The certificate was made for the key that the host has just proved to hold.
fn public_key_digest(certificate: &[u8]) -> Digest {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    parsed.map_or_else(|_| Digest::of(&[]), |(_, certificate)| Digest::of(certificate.public_key().raw))
}

fn refused(rejection: &Rejection) -> JoinError {
    JoinError::BadRequest(rejection.to_string())
}
