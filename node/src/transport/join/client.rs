//! The joining side. The token's secret leaves this host only to a server whose chain ends in the
//! CA that the token names.

use super::verify::ByDigest;
use super::{Admitted, JOIN_TIMEOUT, JoinRequest, MESSAGE_LIMIT, wire};
use crate::format::Format;
use crate::identity::{Candidate, InvalidMembership, JoinToken, KeyError, NodeIdentity, certificate_digest};
use crate::transport::bind::{BindError, Binding};
use crate::transport::endpoint::{client_config, endpoint};
use crate::transport::frame::read_message;
use crate::transport::tls::{client_builder, harden};
use crate::transport::verify::OTHER_ERROR;
use crate::transport::{Protocol, StreamError};
use prost::Message;
use quinn::{ConnectionError, Endpoint, EndpointConfig};
use relupd_proto::peer::v1::JoinRefusal;
use relupd_proto::peer::v1::JoinReply;
use relupd_proto::peer::v1::join_reply::Outcome;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the joiner says of itself beside its key.
#[derive(Clone, Debug)]
pub struct Applicant {
    /// Where its transport will listen.
    pub address: SocketAddr,
    /// For placement.
    pub labels: BTreeMap<String, String>,
    /// Of its relupd.
    pub software_version: String,
    /// Up to which format of log and snapshots it reads.
    pub reads: Format,
}

/// The host did not join; it is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum JoinFailure {
    /// The cluster said no.
    #[error("the cluster refused: {0}")]
    Refused(String),
    /// No seed could help. Each with its reason.
    #[error(
        "none of the token's seeds let this host in ({0}): check the network and the daemons there, then join again"
    )]
    NoSeed(String),
    /// The token has no seeds.
    #[error("the join token names no seed: make a new one with `relupctl cluster token`")]
    NoSeeds,
    /// This host's own address is not usable.
    #[error("this host cannot speak from its configured address")]
    Bind(#[from] BindError),
    /// This host's key is not usable.
    #[error("this host's key cannot sign")]
    Key(#[from] KeyError),
    /// What the cluster sent does not fit this host.
    #[error("the cluster's answer does not fit this host")]
    Membership(#[from] InvalidMembership),
    /// The cluster sent another CA than the token promised.
    #[error("the cluster's answer does not contain the CA that the token names: make a new token")]
    OtherAuthority,
}

/// What one seed answered.
enum SeedError {
    /// Another seed would say the same.
    Final(JoinFailure),
    /// Another seed may do.
    Next(String),
}

/// Joins by the token's seeds, one after the other. Call it again with the same candidate if it
/// fails: the cluster knows it by its node id.
///
/// # Errors
/// When the cluster refuses, nobody answers, or the answer does not fit.
pub async fn join(
    token: &JoinToken,
    candidate: &Candidate,
    applicant: &Applicant,
    binding: &Binding,
) -> Result<(NodeIdentity, Admitted), JoinFailure> {
    let request = JoinRequest {
        token: token.presented(),
        node: candidate.node,
        name: candidate.name.clone(),
        address: applicant.address,
        labels: applicant.labels.clone(),
        signing_request: candidate.key.signing_request()?,
        sealing_key: candidate.sealing.public(),
        software_version: applicant.software_version.clone(),
        reads: applicant.reads,
    };
    // The daemon's own port may not be bound yet, or be bound already: any port will do to ask.
    let binding = Binding { address: SocketAddr::new(binding.address.ip(), 0), ..binding.clone() };
    let endpoint = endpoint(&binding, binding.udp()?, EndpointConfig::default(), None)?;
    let admitted = ask_seeds(&endpoint, token, &request).await?;
    if !admitted.ca_certificates.iter().any(|ca| certificate_digest(ca) == token.ca_digest) {
        return Err(JoinFailure::OtherAuthority);
    }
    let identity = candidate.clone().admitted(
        token.cluster,
        admitted.certificate.clone(),
        admitted.ca_certificates.clone(),
    )?;
    Ok((identity, admitted))
}

async fn ask_seeds(
    endpoint: &Endpoint,
    token: &JoinToken,
    request: &JoinRequest,
) -> Result<Admitted, JoinFailure> {
    if token.seeds.is_empty() {
        return Err(JoinFailure::NoSeeds);
    }
    let mut failures = Vec::new();
    for &seed in &token.seeds {
        match ask(endpoint, token, seed, request).await {
            Ok(admitted) => return Ok(admitted),
            Err(SeedError::Final(failure)) => return Err(failure),
            Err(SeedError::Next(reason)) => failures.push(format!("{seed}: {reason}")),
        }
    }
    Err(JoinFailure::NoSeed(failures.join("; ")))
}

async fn ask(
    endpoint: &Endpoint,
    token: &JoinToken,
    seed: SocketAddr,
    request: &JoinRequest,
) -> Result<Admitted, SeedError> {
    let connecting = endpoint
        .connect_with(config(token), seed, SERVER_NAME)
        .map_err(|error| SeedError::Next(error.to_string()))?;
    let quic = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| SeedError::Next(format!("no answer within {CONNECT_TIMEOUT:?}")))?
        .map_err(|error| SeedError::Next(explain(&error)))?;
    let exchange = tokio::time::timeout(JOIN_TIMEOUT + CONNECT_TIMEOUT, exchange(&quic, request)).await;
    let answer = match exchange {
        Ok(Ok(reply)) => read_reply(reply),
        Ok(Err(error)) => Err(SeedError::Next(end_of(&quic, &error))),
        Err(_) => Err(SeedError::Next("no reply in time".to_owned())),
    };
    quic.close(0_u32.into(), b"done");
    answer
}

async fn exchange(quic: &quinn::Connection, request: &JoinRequest) -> Result<JoinReply, StreamError> {
    let (mut send, mut receive) = quic.open_bi().await?;
    send.write_all(&wire::encode_request(request.clone()).encode_to_vec()).await?;
    let _ = send.finish();
    let content = read_message(&mut receive, MESSAGE_LIMIT).await?;
    JoinReply::decode(content).map_err(|_| StreamError::Truncated)
}

fn read_reply(reply: JoinReply) -> Result<Admitted, SeedError> {
    match reply.outcome {
        Some(Outcome::Admitted(admitted)) => {
            wire::decode_admitted(admitted).map_err(|error| SeedError::Next(error.to_string()))
        }
        Some(Outcome::Refused(refused)) => match refused.reason() {
            JoinRefusal::Unavailable | JoinRefusal::Unspecified => Err(SeedError::Next(refused.message)),
            JoinRefusal::TokenForged
            | JoinRefusal::TokenExpired
            | JoinRefusal::TokenUsed
            | JoinRefusal::OtherCluster
            | JoinRefusal::BadRequest => Err(SeedError::Final(JoinFailure::Refused(refused.message))),
        },
        None => Err(SeedError::Next("an empty reply".to_owned())),
    }
}

fn explain(end: &ConnectionError) -> String {
    match end {
        ConnectionError::TransportError(error) => {
            error.reason.strip_prefix(OTHER_ERROR).unwrap_or(&error.reason).to_owned()
        }
        end => end.to_string(),
    }
}

/// What the server said when it closed tells more than the stream that broke.
fn end_of(quic: &quinn::Connection, error: &StreamError) -> String {
    match quic.close_reason() {
        Some(reason) => explain(&reason),
        None => error.to_string(),
    }
}

/// It is not sent, and the verifier knows the server by its CA: any name will do.
const SERVER_NAME: &str = "relupd.internal";

fn config(token: &JoinToken) -> quinn::ClientConfig {
    let verifier = Arc::new(ByDigest::of(token));
    let mut config =
        harden(client_builder().with_custom_certificate_verifier(verifier).with_no_client_auth());
    config.alpn_protocols = vec![Protocol::Join.alpn().into()];
    client_config(config)
}
