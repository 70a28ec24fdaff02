//! Join tokens as the cluster keeps them.

use crate::ids::{Digest, NodeId, TokenId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the cluster keeps of a token, in replicated state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// The token.
    pub id: TokenId,
    /// Of the secret, which the cluster itself does not know.
    pub secret_hash: Digest,
    /// After this nobody joins with it.
    pub expires_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// The one node that joined with it.
    pub used_by: Option<NodeId>,
}
