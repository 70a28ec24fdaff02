//! Between the messages on the wire and the types of this module; parsed once, completely.

use super::{Admitted, JoinError, JoinRequest, KnownPeer};
use crate::format::Format;
use crate::identity::{PresentedToken, SealingPublic, TokenError, TokenSecret};
use crate::ids::RaftId;
use relupd_proto::peer::v1 as wire;
use relupd_proto::peer::v1::join_reply::Outcome;
use rustls::pki_types::CertificateDer;
use std::str::FromStr;

pub(super) fn encode_request(request: JoinRequest) -> wire::JoinRequest {
    wire::JoinRequest {
        token_id: request.token.id.to_string(),
        token_secret: request.token.secret.as_bytes().to_vec(),
        node_id: request.node.to_string(),
        certificate_request: request.signing_request,
        sealing_key: request.sealing_key.as_bytes().to_vec(),
        name: request.name,
        address: request.address.to_string(),
        labels: request.labels.into_iter().collect(),
        software_version: request.software_version,
        cluster_id: request.token.cluster.to_string(),
        reads: request.reads.0.into(),
    }
}

pub(super) fn decode_request(request: wire::JoinRequest) -> Result<JoinRequest, JoinError> {
    let secret = TokenSecret::from_slice(&request.token_secret).ok_or_else(|| malformed("token secret"))?;
    Ok(JoinRequest {
        token: PresentedToken {
            cluster: parse("cluster id", &request.cluster_id)?,
            id: parse("token id", &request.token_id)?,
            secret,
        },
        node: parse("node id", &request.node_id)?,
        name: request.name,
        address: parse("address", &request.address)?,
        labels: request.labels.into_iter().collect(),
        signing_request: request.certificate_request,
        sealing_key: SealingPublic::from_slice(&request.sealing_key)
            .map_err(|error| JoinError::BadRequest(error.to_string()))?,
        software_version: request.software_version,
        // Who does not say reads the first one.
        reads: Format(u16::try_from(request.reads).map_err(|_| malformed("format"))?).max(Format::FIRST),
    })
}

pub(super) fn encode_reply(outcome: Result<Admitted, JoinError>) -> wire::JoinReply {
    let outcome = match outcome {
        Ok(admitted) => Outcome::Admitted(encode_admitted(&admitted)),
        Err(error) => {
            let reason = reason(&error).into();
            Outcome::Refused(wire::JoinRefused { reason, message: error.to_string() })
        }
    };
    wire::JoinReply { outcome: Some(outcome) }
}

fn encode_admitted(admitted: &Admitted) -> wire::Admitted {
    let peer = |peer: &KnownPeer| wire::JoinPeer {
        node_id: peer.node.to_string(),
        raft_id: peer.raft.0,
        address: peer.address.to_string(),
    };
    wire::Admitted {
        certificate: admitted.certificate.to_vec(),
        ca_certificates: admitted.ca_certificates.iter().map(|ca| ca.to_vec()).collect(),
        cluster_id: admitted.cluster.to_string(),
        raft_id: admitted.raft.0,
        peers: admitted.peers.iter().map(peer).collect(),
    }
}

pub(super) fn decode_admitted(admitted: wire::Admitted) -> Result<Admitted, JoinError> {
    Ok(Admitted {
        cluster: parse("cluster id", &admitted.cluster_id)?,
        raft: RaftId(admitted.raft_id),
        certificate: CertificateDer::from(admitted.certificate),
        ca_certificates: admitted.ca_certificates.into_iter().map(CertificateDer::from).collect(),
        peers: admitted.peers.into_iter().map(decode_peer).collect::<Result<_, _>>()?,
    })
}

fn decode_peer(peer: wire::JoinPeer) -> Result<KnownPeer, JoinError> {
    Ok(KnownPeer {
        node: parse("peer's node id", &peer.node_id)?,
        raft: RaftId(peer.raft_id),
        address: parse("peer's address", &peer.address)?,
    })
}

fn reason(error: &JoinError) -> wire::JoinRefusal {
    match error {
        JoinError::Token(TokenError::Forged { .. }) => wire::JoinRefusal::TokenForged,
        JoinError::Token(TokenError::Expired { .. }) => wire::JoinRefusal::TokenExpired,
        JoinError::Token(TokenError::Used { .. }) => wire::JoinRefusal::TokenUsed,
        JoinError::Token(TokenError::OtherCluster { .. }) => wire::JoinRefusal::OtherCluster,
        JoinError::BadRequest(_) => wire::JoinRefusal::BadRequest,
        JoinError::Unavailable(_) => wire::JoinRefusal::Unavailable,
    }
}

fn parse<T: FromStr>(what: &str, text: &str) -> Result<T, JoinError> {
    text.parse().map_err(|_| malformed(what))
}

fn malformed(what: &str) -> JoinError {
    JoinError::BadRequest(format!("the {what} is malformed: do both sides run the same release of relupd?"))
}
