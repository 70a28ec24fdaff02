//! The cluster's CA, as far as this node can open its key: voters can, learners cannot.

use super::cluster::Cluster;
use crate::clock::wall;
use crate::identity::{
    AuthorityError, CertificateAuthority, InvalidPeer, OperatorName, PeerIdentity, Role, SealError,
    SealedKey, SealingPublic, SealingSecret, Serial, pem, random,
};
use crate::ids::NodeId;
use crate::state::ClusterState;
use crate::state::node::Certificate;

/// Signs for the cluster.
#[derive(Clone)]
pub(crate) struct Authority {
    cluster: Cluster,
    sealing: SealingSecret,
}

/// What was signed.
pub(crate) struct Issued {
    /// The certificate, DER.
    pub(crate) der: Vec<u8>,
    /// What the cluster keeps of it.
    pub(crate) record: Certificate,
}

/// Nothing was signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// Only voters hold the CA's key.
    #[error("this node is not a voter and does not hold the CA's key; ask one of: {voters}")]
    NotAVoter { voters: String },
    /// The CA's certificate in the state is damaged.
    #[error("the CA's certificate in the replicated state cannot be read")]
    Certificate,
    /// The sealed key does not open.
    #[error("the CA's key cannot be opened here")]
    Seal(#[from] SealError),
    /// The request is not acceptable.
    #[error("cannot sign")]
    Authority(#[from] AuthorityError),
    /// What was signed cannot be read back.
    #[error("the signed certificate cannot be read back")]
    Peer(#[from] InvalidPeer),
}

impl Authority {
    pub(crate) fn new(cluster: Cluster, sealing: SealingSecret) -> Self {
        Self { cluster, sealing }
    }

    /// Whether this node can sign.
    pub(crate) fn is_open(&self, state: &ClusterState) -> bool {
        state.authority.sealed_keys.contains_key(&self.cluster.me())
    }

    /// The CA's digest, as it stands in join tokens; anybody can know it.
    pub(crate) fn certificate(state: &ClusterState) -> Result<Vec<u8>, IssueError> {
        pem::decode(&state.authority.certificate).map(|der| der.to_vec()).ok_or(IssueError::Certificate)
    }

    pub(crate) fn sign_node(
        &self,
        state: &ClusterState,
        node: NodeId,
        request: &[u8],
    ) -> Result<Issued, IssueError> {
        let der = self.open(state)?.sign_node(request, node, Serial::from_random(random()), wall())?;
        issued(&der)
    }

    pub(crate) fn sign_operator(
        &self,
        state: &ClusterState,
        name: &OperatorName,
        role: Role,
        request: &[u8],
    ) -> Result<Issued, IssueError> {
        let serial = Serial::from_random(random());
        let der = self.open(state)?.sign_operator(request, name, role, serial, wall())?;
        issued(&der)
    }

    /// The CA's key, sealed for one more voter.
    pub(crate) fn seal_for(&self, state: &ClusterState, node: NodeId) -> Result<Option<Vec<u8>>, IssueError> {
        let Ok(record) = state.present(node) else { return Ok(None) };
        let public = SealingPublic::from_slice(&record.sealing_key)?;
        Ok(Some(public.seal(&self.open(state)?.key())?.as_bytes().to_vec()))
    }

    fn open(&self, state: &ClusterState) -> Result<CertificateAuthority, IssueError> {
        let Some(sealed) = state.authority.sealed_keys.get(&self.cluster.me()) else {
            let voters = state.authority.sealed_keys.keys().filter_map(|node| state.nodes.get(node));
            let voters = voters.map(|node| format!("{} ({})", node.name, node.address));
            return Err(IssueError::NotAVoter { voters: voters.collect::<Vec<_>>().join(", ") });
        };
        let key = self.sealing.open(&SealedKey::from_bytes(sealed.clone()))?;
        Ok(CertificateAuthority::open(state.cluster, &Self::certificate(state)?, &key)?)
    }
}

pub(crate) fn issued(der: &[u8]) -> Result<Issued, IssueError> {
    let (peer, validity) = PeerIdentity::from_certificate(der)?;
    let record = Certificate { serial: peer.serial().to_string(), not_after: validity.until };
    Ok(Issued { der: der.to_vec(), record })
}
