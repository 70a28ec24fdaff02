//! Errors of the state file.

use crate::ids::{ClusterId, NodeId};
use std::path::PathBuf;

/// The state file cannot be used. Nothing that follows such an error may be acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// It does not open.
    #[error(
        "cannot open the state file {path}: is another relupd running on it, or does it belong to another user?"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What redb said.
        #[source]
        source: Box<redb::DatabaseError>,
    },
    /// It belongs to another cluster or node.
    #[error(
        "the state file {path} belongs to node {node} of cluster {cluster}, and this is node {this_node} of cluster \
         {this_cluster}. Point state_dir at this node's own directory, or move the foreign one away and join again"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The cluster it belongs to.
        cluster: ClusterId,
        /// The node it belongs to.
        node: NodeId,
        /// The cluster that wanted to use it.
        this_cluster: ClusterId,
        /// The node that wanted to use it.
        this_node: NodeId,
    },
    /// It has no owner yet.
    #[error("the state file {path} is empty: run `relupctl cluster init` or `relupctl cluster join` first")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It has an owner already.
    #[error(
        "the state file {path} is already in use by node {node} of cluster {cluster}; to start anew move it away first"
    )]
    InUse {
        /// The file.
        path: PathBuf,
        /// The cluster it belongs to.
        cluster: ClusterId,
        /// The node it belongs to.
        node: NodeId,
    },
    /// It was written by another version of relupd.
    #[error(
        "the state file {path} has format {found}, this relupd knows {known}: use the relupd that wrote it"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format of this program.
        known: u32,
    },
    /// Its content makes no sense.
    #[error(
        "the state file {path} is damaged: {what}. Move it away and let this node join again under a new raft id"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is damaged.
        what: String,
    },
    /// Reading failed.
    #[error("cannot read the state file {path}: check the disk")]
    Read {
        /// The file.
        path: PathBuf,
        /// What redb said.
        #[source]
        source: Box<redb::Error>,
    },
    /// Writing or syncing failed.
    #[error("cannot write the state file {path}: check for a full or failing disk, then start relupd again")]
    Write {
        /// The file.
        path: PathBuf,
        /// What redb said.
        #[source]
        source: Box<redb::Error>,
    },
    /// What an interrupted attempt left could not be removed.
    #[error(
        "cannot remove the state file {path} of an attempt that was interrupted; remove it by hand and try again"
    )]
    Remove {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The directory entry of a new file could not be made durable.
    #[error("cannot sync the directory of the state file {path}")]
    SyncDirectory {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}
