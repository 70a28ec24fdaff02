//! Join tokens.

use crate::ids::{Digest, NodeId, TokenId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the cluster keeps of a join token: a hash of its secret, never the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its id, which stands in the token's text.
    pub id: TokenId,
    /// The hash of its secret.
    pub secret_hash: Digest,
    /// After this it admits nobody.
    pub expires_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Who came in with it; a token works once.
    pub used_by: Option<NodeId>,
}
