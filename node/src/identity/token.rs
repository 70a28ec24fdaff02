//! Join tokens: single use, expiring. The text carries what the joiner needs to find the cluster
//! and to know it is the right one; the cluster keeps a hash of the secret only.

use crate::ids::{ClusterId, Digest, NodeId, TokenId};
use crate::state::token::TokenRecord;
use jiff::Timestamp;
use prost::Message;
use relupd_proto::peer::v1 as wire;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

const PREFIX: &str = "relupd-join-v1.";
const HASH_CONTEXT: &str = "relupd 2026-11 hash of a join token's secret";
const CHECKSUM_CONTEXT: &str = "relupd 2026-11 checksum of a join token's text";
const CHECKSUM_LENGTH: usize = 4;

/// The secret part of a token.
#[derive(Clone)]
pub struct TokenSecret([u8; 32]);

impl TokenSecret {
    /// From 32 random bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A secret that arrived; `None` unless it is 32 bytes long.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The secret itself, for the one message that shows it to the cluster.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What the cluster keeps. The secret has 256 random bits, so a fast hash is enough.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::from_bytes(blake3::derive_key(HASH_CONTEXT, &self.0))
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(secret)")
    }
}

/// A join token as the operator carries it from host to host.
#[derive(Clone, Debug)]
pub struct JoinToken {
    /// The cluster to join.
    pub cluster: ClusterId,
    /// Under which id the cluster keeps its record.
    pub id: TokenId,
    /// Proves that the operator of the cluster invited the joiner.
    pub secret: TokenSecret,
    /// Of the CA's certificate: how the joiner knows the cluster.
    pub ca_digest: Digest,
    /// Where to ask, in this order.
    pub seeds: Vec<SocketAddr>,
}

/// The text is not a whole join token: a matter of copying, not of trust.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenTextError {
    /// Does not begin like one.
    #[error("not a join token: it must begin with {PREFIX:?}; make one with `relupctl cluster token`")]
    Prefix,
    /// Letters missing, added or changed.
    #[error("the join token is damaged (its checksum does not match): copy it again, whole")]
    Checksum,
    /// Whole, yet not understood: made by a release to come.
    #[error("the join token's content is not understood: is this relupd older than the one that made it?")]
    Content,
}

impl JoinToken {
    /// What the cluster keeps of this token.
    #[must_use]
    pub fn record(&self, expires_at: Timestamp, created_by: String) -> TokenRecord {
        TokenRecord { id: self.id, secret_hash: self.secret.hash(), expires_at, created_by, used_by: None }
    }

    /// What the joiner shows to the cluster.
    #[must_use]
    pub fn presented(&self) -> PresentedToken {
        PresentedToken { cluster: self.cluster, id: self.id, secret: self.secret.clone() }
    }

    /// The text for the operator. Secret until it is used or expired; there is no `Display`, so
    /// that it is never printed by accident.
    #[must_use]
    pub fn to_text(&self) -> String {
        let message = wire::JoinToken {
            cluster_id: self.cluster.to_string(),
            token_id: self.id.to_string(),
            secret: self.secret.0.to_vec(),
            ca_digest: self.ca_digest.as_bytes().to_vec(),
            seeds: self.seeds.iter().map(ToString::to_string).collect(),
        };
        let mut bytes = message.encode_to_vec();
        bytes.extend(checksum(&bytes));
        format!("{PREFIX}{}", data_encoding::BASE64URL_NOPAD.encode(&bytes))
    }
}

impl FromStr for JoinToken {
    type Err = TokenTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(TokenTextError::Prefix)?;
        let bytes = data_encoding::BASE64URL_NOPAD
            .decode(encoded.as_bytes())
            .map_err(|_| TokenTextError::Checksum)?;
        let (content, sum) = bytes.split_last_chunk().ok_or(TokenTextError::Checksum)?;
        if checksum(content) != *sum {
            return Err(TokenTextError::Checksum);
        }
        let message = wire::JoinToken::decode(content).map_err(|_| TokenTextError::Content)?;
        Self::from_wire(&message).ok_or(TokenTextError::Content)
    }
}

impl JoinToken {
    fn from_wire(message: &wire::JoinToken) -> Option<Self> {
        Some(Self {
            cluster: message.cluster_id.parse().ok()?,
            id: message.token_id.parse().ok()?,
            secret: TokenSecret::from_slice(&message.secret)?,
            ca_digest: Digest::from_bytes(message.ca_digest.as_slice().try_into().ok()?),
            seeds: message.seeds.iter().map(|seed| seed.parse().ok()).collect::<Option<_>>()?,
        })
    }
}

fn checksum(content: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let hash = blake3::derive_key(CHECKSUM_CONTEXT, content);
    *hash.first_chunk().expect("a hash of 32 bytes is longer than a checksum")
}

/// What a joiner shows.
#[derive(Clone, Debug)]
pub struct PresentedToken {
    /// The cluster that the token is of.
    pub cluster: ClusterId,
    /// The token.
    pub id: TokenId,
    /// Its secret.
    pub secret: TokenSecret,
}

/// Why a token admits nobody.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TokenError {
    /// Not ours.
    #[error(
        "join token {id} is of cluster {theirs}, this is cluster {ours}: make one here with `relupctl cluster token`"
    )]
    OtherCluster {
        /// The token.
        id: TokenId,
        /// Whose it is.
        theirs: ClusterId,
        /// Who we are.
        ours: ClusterId,
    },
    /// Never given out by this cluster, or with another secret.
    #[error(
        "join token {id} was not made by this cluster (forged, or its record was deleted): make one with `relupctl cluster token`"
    )]
    Forged {
        /// The token.
        id: TokenId,
    },
    /// Too late.
    #[error("join token {id} expired at {at}: make a new one with `relupctl cluster token`")]
    Expired {
        /// The token.
        id: TokenId,
        /// When.
        at: Timestamp,
    },
    /// Somebody joined with it before.
    #[error(
        "join token {id} was already used by node {by}: a token admits one node, make a new one with `relupctl cluster token`"
    )]
    Used {
        /// The token.
        id: TokenId,
        /// By whom.
        by: NodeId,
    },
}

/// Whether the record that cluster `ours` keeps under the presented id, if any, admits `node` now.
/// The secret is judged first: to who does not know it, an expired token looks like a forged one.
///
/// The node that used the token may show it again until it expires, so that a joiner whose reply
/// was lost can ask once more.
///
/// # Errors
/// Why not.
pub fn check_token(
    ours: ClusterId,
    record: Option<&TokenRecord>,
    presented: &PresentedToken,
    node: NodeId,
    now: Timestamp,
) -> Result<(), TokenError> {
    let id = presented.id;
    if presented.cluster != ours {
        return Err(TokenError::OtherCluster { id, theirs: presented.cluster, ours });
    }
    match record {
        Some(record) if record.id == id => check_record(record, presented, node, now),
        Some(_) | None => Err(TokenError::Forged { id }),
    }
}

/// As [`check_token`], for a record that is known to be the presented token's.
///
/// # Errors
/// Why it admits nobody.
fn check_record(
    record: &TokenRecord,
    presented: &PresentedToken,
    node: NodeId,
    now: Timestamp,
) -> Result<(), TokenError> {
    let id = record.id;
    // blake3::Hash compares in constant time.
    let hash = |digest: Digest| blake3::Hash::from_bytes(*digest.as_bytes());
    if presented.id != id || hash(presented.secret.hash()) != hash(record.secret_hash) {
        return Err(TokenError::Forged { id: presented.id });
    }
    match record.used_by {
        Some(by) if by != node => return Err(TokenError::Used { id, by }),
        Some(_) | None => {}
    }
    if now >= record.expires_at {
        return Err(TokenError::Expired { id, at: record.expires_at });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
