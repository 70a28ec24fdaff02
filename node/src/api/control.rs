//! What the API needs of the daemon. The wiring implements it over consensus, membership, identity
//! and store; tests implement it over a plain `ClusterState`.

use crate::ids::{AppName, ClusterId, Digest, NodeId, RolloutId};
use crate::preflight::Answer;
use crate::rollout::waiting::Waiting;
use crate::state::ClusterState;
use crate::state::command::{Actor, Applied, Command};
use crate::state::node::{OperatorRecord, Role};
use crate::state::plan::Plan;
use crate::state::rejection::Rejection;
use crate::state::release::ReleaseId;
use crate::upgrade::{Order, Report};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use relupd_release::diff::ReleaseDiff;
use relupd_release::{ApplicationName, ApplicationVersion, Contents};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The daemon behind the API.
#[async_trait]
pub trait ControlPlane: Send + Sync + 'static {
    /// This node's id; chosen at the first start, before any cluster.
    fn me(&self) -> NodeId;

    /// This node's name, for messages.
    fn name(&self) -> String;

    /// The newest state that is applied here; `None` outside a cluster.
    fn state(&self) -> Option<Arc<ClusterState>>;

    /// The same, as it changes; `None` outside a cluster.
    fn states(&self) -> Option<watch::Receiver<Arc<ClusterState>>>;

    /// What raft says here, now.
    fn raft_status(&self) -> RaftStatus;

    /// What gossip says of every node it has heard of.
    fn members(&self) -> Vec<Member>;

    /// Returns once everything that was acknowledged before the call is applied here.
    async fn read_barrier(&self) -> Result<(), ControlError>;

    /// Has the command decided by the cluster, wherever the leader is, and applied here.
    async fn propose(&self, actor: Actor, command: Command) -> Result<Applied, ControlError>;

    /// What every node of a plan says to its step, now. Changes nothing; there is an answer for each of them.
    async fn preflight(&self, plan: &Plan) -> BTreeMap<NodeId, Answer>;

    /// What a rollout waits for, with values; nothing where it is terminal.
    async fn explain(&self, rollout: RolloutId) -> Result<Vec<Waiting>, ControlError>;

    /// Makes a cluster of this one node.
    async fn init_cluster(&self, actor: Actor) -> Result<ClusterId, ControlError>;

    /// Brings this node into the token's cluster; returns once its state has arrived here.
    async fn join_cluster(&self, actor: Actor, token: &str) -> Result<ClusterId, ControlError>;

    /// Has this node go on as the only voter, without its quorum, and removes the lost nodes. The daemon starts
    /// again for it; when this returns, it will.
    async fn recover(&self, actor: Actor, lost: &BTreeSet<NodeId>) -> Result<(), ControlError>;

    /// This node and the state as it is applied here, as one file. A secret.
    async fn backup(&self) -> Result<Bytes, ControlError>;

    /// Makes this host, which is in no cluster, the node of a backup, and the only one of its cluster. The daemon
    /// starts again for it; when this returns, it will.
    async fn restore(&self, actor: Actor, backup: &[u8]) -> Result<ClusterId, ControlError>;

    /// Makes a join token; it is committed when this returns.
    async fn create_token(&self, actor: Actor, ttl: Duration) -> Result<NewToken, ControlError>;

    /// Signs a client certificate for this request (DER); the operator is committed when this returns.
    async fn add_operator(
        &self,
        actor: Actor,
        name: &str,
        role: Role,
        certificate_request: &[u8],
    ) -> Result<OperatorCredentials, ControlError>;

    /// The files of this manifest that this node's store lacks.
    async fn missing_files(&self, manifest: &[u8]) -> Result<Vec<Digest>, ControlError>;

    /// Keeps a file; refuses it where its content is not what the digest says.
    async fn put_file(&self, digest: Digest, content: Bytes) -> Result<(), ControlError>;

    /// What is in a release, from its files; those that are not here are fetched.
    async fn contents(&self, release: &ReleaseId) -> Result<Contents, ControlError>;

    /// What changes from one release to another.
    async fn diff(&self, from: &ReleaseId, to: &ReleaseId) -> Result<ReleaseDiff, ControlError>;

    /// Makes the relup of `to` for these versions, and registers the release that has it.
    async fn make_relup(
        &self,
        actor: Actor,
        from: &[ReleaseId],
        to: &ReleaseId,
        appups: BTreeMap<ApplicationName, Vec<u8>>,
    ) -> Result<MadeRelup<ReleaseId>, ControlError>;

    /// What each of these nodes says of its own package, or why it does not answer.
    async fn upgrade_reports(
        &self,
        nodes: &[NodeId],
    ) -> Result<BTreeMap<NodeId, Result<Report, String>>, ControlError>;

    /// Has a node hand a package of relupd to its host's installer.
    async fn upgrade_node(&self, node: NodeId, order: Order) -> Result<(), ControlError>;

    /// Moves leadership to this node; it leads when this returns.
    async fn hand_over(&self, node: NodeId) -> Result<(), ControlError>;

    /// Registers the release, whose files are all here.
    async fn commit_push(&self, actor: Actor, manifest: &[u8]) -> Result<ReleaseId, ControlError>;
}

/// What became of a relup that was to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MadeRelup<T> {
    /// It is part of this release now.
    Made(T),
    /// Nothing was made: these applications have no appup.
    Missing(Vec<MissingAppup>),
}

/// An application that is in both releases in different versions, without an appup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingAppup {
    /// Which.
    pub application: ApplicationName,
    /// Its version before.
    pub from: ApplicationVersion,
    /// Its version after.
    pub to: ApplicationVersion,
    /// An appup to start from.
    pub template: String,
}

/// What raft says on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaftStatus {
    /// Who leads, as far as is known here.
    pub leader: Option<NodeId>,
    /// The term.
    pub term: u64,
    /// The newest index that is applied here.
    pub applied: u64,
    /// Who votes.
    pub voters: Vec<NodeId>,
    /// Who only follows.
    pub learners: Vec<NodeId>,
}

/// What gossip says of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which node.
    pub node: NodeId,
    /// Whether it is there.
    pub liveness: Liveness,
    /// Since when that is so.
    pub since: Option<Timestamp>,
    /// The version of its daemon, as it says itself.
    pub daemon_version: Option<String>,
    /// Whether its apps' health checks pass; `None` is unknown.
    pub health: Vec<(AppName, Option<bool>)>,
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It was heard of lately.
    Alive,
    /// It has been silent for too long.
    Dead,
    /// Nothing was heard of it yet.
    Unknown,
}

/// A fresh join token.
#[derive(Clone)]
pub struct NewToken {
    /// The text that is given to `relupctl cluster join`. A secret.
    pub text: String,
    /// After this it admits nobody.
    pub expires_at: Timestamp,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// What an operator needs, beside the private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorCredentials {
    /// As it is committed.
    pub record: OperatorRecord,
    /// The certificate, PEM.
    pub certificate: String,
    /// The cluster's CA, PEM.
    pub authority: String,
    /// The DNS name in every node's certificate.
    pub server_name: String,
}

/// Why something that was asked of the daemon did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The cluster looked at it and refused.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// There is nothing to ask yet.
    #[error(
        "this node is not part of a cluster yet: run `relupctl cluster init` or `relupctl cluster join TOKEN`"
    )]
    NotInitialized,
    /// It is in a cluster, and can be in no other.
    #[error(
        "this node already belongs to cluster {0}; to move it, run `relupctl cluster remove` there and empty its state directory"
    )]
    AlreadyMember(ClusterId),
    /// What was handed in cannot be accepted: a token, a manifest, a signing request.
    #[error("{0}")]
    Invalid(String),
    /// Too few voters answer. Whether the command was committed is not known; asking again with the
    /// same content is safe.
    #[error("no quorum: {0}; bring more voters back, then try again (see `relupctl cluster status`)")]
    NoQuorum(String),
    /// Something else is not there for the moment.
    #[error("{0}")]
    Unavailable(String),
    /// The disk is full.
    #[error("no space left on {path}; free some and repeat the command, it goes on where it stopped")]
    DiskFull {
        /// Where the store is.
        path: String,
    },
    /// A bug, or a broken host.
    #[error("{what}")]
    Internal {
        /// What was tried.
        what: String,
        /// Why it did not work.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}
