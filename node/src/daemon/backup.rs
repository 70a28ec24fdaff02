//! A node as one file: who it is, and the state as it has applied it. Enough to begin the cluster again where
//! every host is lost; secret, for it holds the node's keys and opens the CA's.

use crate::identity::{DirectoryError, IdentityDirectory, NodeIdentity};
use crate::ids::{Digest, RaftId};
use crate::program::program;
use crate::state::ClusterState;
use data_encoding::BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const FORMAT: u32 = 1;

/// What is kept of a node. No `Debug`: it is a secret.
#[derive(Serialize, Deserialize)]
pub(crate) struct Backup {
    format: u32,
    made_at: Timestamp,
    /// The relupd that made it.
    relupd: String,
    raft: RaftId,
    /// The identity file, as it is.
    identity: String,
    /// The encoded state, base64.
    state: String,
    /// Of identity and state: a file that was cut short must not become a cluster.
    digest: Digest,
}

/// A file that no cluster can be begun from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("this is no backup made by `relupctl cluster backup`, or it is damaged")]
    Syntax(#[source] serde_json::Error),
    #[error("the backup has format {0}, this relupd knows {FORMAT}: install the newer relupd")]
    Newer(u32),
    #[error("the backup is damaged: its content is not what its digest says; take another copy")]
    Damaged,
    #[error("the backup's state cannot be read: was it made by a newer relupd?")]
    State(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the backup's identity cannot be used")]
    Identity(#[from] DirectoryError),
    #[error(
        "the backup is of node {found:?}, and this is {expected:?}: set `node.name = {found:?}` in relupd.toml"
    )]
    OtherName { found: String, expected: String },
}

/// A backup that was found to be whole.
pub(crate) struct Restorable {
    pub(crate) raft: RaftId,
    pub(crate) identity: NodeIdentity,
    pub(crate) state: ClusterState,
}

impl Backup {
    pub(crate) fn of(raft: RaftId, identity: String, state: &ClusterState, now: Timestamp) -> Self {
        let state = BASE64.encode(&state.encode());
        let digest = digest(&identity, &state);
        let relupd = program().version.clone();
        Self { format: FORMAT, made_at: now, relupd, raft, identity, state, digest }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }

    /// Reads a backup for the host of this name.
    pub(crate) fn read(
        bytes: &[u8],
        name: &str,
        directory: &IdentityDirectory,
    ) -> Result<Restorable, BackupError> {
        let backup: Self = serde_json::from_slice(bytes).map_err(BackupError::Syntax)?;
        if backup.format > FORMAT {
            return Err(BackupError::Newer(backup.format));
        }
        let encoded = BASE64.decode(backup.state.as_bytes()).map_err(|_| BackupError::Damaged)?;
        if digest(&backup.identity, &backup.state) != backup.digest {
            return Err(BackupError::Damaged);
        }
        let identity = directory.parse_member(&backup.identity)?;
        if identity.name != name {
            return Err(BackupError::OtherName { found: identity.name, expected: name.to_owned() });
        }
        let state = ClusterState::decode(&encoded, crate::format::Format::NEWEST);
        let state = state.map_err(|error| BackupError::State(error.into()))?;
        Ok(Restorable { raft: backup.raft, identity, state })
    }
}

fn digest(identity: &str, state: &str) -> Digest {
    Digest::of(format!("{identity}\n{state}").as_bytes())
}
