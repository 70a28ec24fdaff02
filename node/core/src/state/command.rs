//! What can be proposed. Every variant is handled in one place, `ClusterState::apply`; whatever was
//! checked before a proposal is checked there again, because only the check at apply time decides.

use super::token::TokenRecord;
use crate::driver::{Check, Method, Observation, Rung};
use crate::format::Format;
use crate::ids::{
    AppName, BootNonce, CommandId, Digest, Generation, NodeId, PlanId, RaftId, ReleaseVersion, RolloutId,
    TokenId,
};
use crate::spec::AppSpec;
use crate::state::app::Order;
use crate::state::node::{Certificate, Membership, NodeRecord, OperatorRecord};
use crate::state::plan::{PlanStep, Purpose};
use crate::state::release::{ReleaseId, ReleaseRecord};
use crate::state::rollout::{
    AbortMode, Elapsed, Failure, HaltReason, Notes, Refusal, Stage, Stranded, TriedRung,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A command with its provenance, as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The same id is applied once.
    pub id: CommandId,
    /// Who.
    pub actor: Actor,
    /// When, by the proposer's clock. For people; no decision rests on it, except the expiry of tokens and
    /// when revoked certificates are forgotten.
    pub at: Timestamp,
    /// What.
    pub command: Command,
}

/// Who proposes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// A person with a client certificate.
    Operator(String),
    /// Somebody on a node's local socket.
    Local { node: NodeId, uid: u32 },
    /// A node's agent.
    Agent(NodeId),
    /// The leader's reconciler.
    Reconciler(NodeId),
}

/// What is proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A join token was made.
    IssueToken { token: TokenRecord },
    /// A node comes in with a token.
    AdmitNode { token: TokenId, node: Admission },
    /// A node's own settings, as its daemon has them since its start.
    DescribeNode {
        node: NodeId,
        address: SocketAddr,
        labels: BTreeMap<String, String>,
        daemon_version: String,
        #[serde(default = "Format::first")]
        reads: Format,
    },
    /// A node asks for a new certificate; a voter, who can open the CA's key, answers.
    RequestCertificate { node: NodeId, request: Vec<u8> },
    /// A certificate was renewed; the old one stays valid until its end.
    RenewCertificate { node: NodeId, certificate: Certificate, der: Vec<u8> },
    /// A node goes for good; its certificates are revoked.
    RemoveNode { node: NodeId },
    /// The CA's key, sealed for one more voter.
    SealAuthorityKey { node: NodeId, sealed: Vec<u8> },
    /// From now on everybody writes this format, and older daemons are not coming back.
    RaiseFormat { to: Format },
    /// A person gets a client certificate.
    AddOperator { operator: OperatorRecord },
    /// A person's certificate is revoked.
    RevokeOperator { name: String },

    /// A release is complete in the store of at least one node.
    RegisterRelease { release: ReleaseRecord },
    /// A spec is new or changed.
    ApplyApp { spec: AppSpec },
    /// Whether an app's instances should run.
    SetRunning { app: AppName, running: bool },

    /// A plan is kept, so that it can be started by its id.
    SavePlan { app: AppName, basis: u64, to: ReleaseId, steps: Vec<PlanStep>, purpose: Purpose },
    /// A plan is carried out.
    StartRollout { plan: PlanId },
    /// No new assignment forward until resumed.
    Pause { rollout: RolloutId },
    /// Goes on.
    Resume { rollout: RolloutId },
    /// The canary is good.
    Promote { rollout: RolloutId },
    /// An operator ends it.
    Abort { rollout: RolloutId, mode: AbortMode },
    /// A release may be used again.
    LiftQuarantine { digest: Digest },
    /// A node's agent shall repair an app, or try a failed catch-up again.
    RepairNode { node: NodeId, app: Option<AppName> },

    /// The reconciler's decisions on a rollout, taken together: all of them, or none if the rollout
    /// has changed since.
    Decide { rollout: RolloutId, revision: u64, decisions: Vec<Decision> },
    /// A node's answer to an assignment; void unless that is still its newest.
    Report { node: NodeId, app: AppName, generation: Generation, report: Report },
    /// What a node found by itself.
    Observe {
        node: NodeId,
        app: AppName,
        observation: Observation,
        healthy: Option<bool>,
        #[serde(default)]
        noted: Option<Box<Noted>>,
    },
    /// A node without contact took itself back.
    ReportOrphan { node: NodeId, app: AppName, rollout: RolloutId, outcome: OrphanOutcome },

    /// Stands for whatever the next version of relupd brings: a person's remark, among the events.
    #[cfg(feature = "next-format")]
    Remark { text: String },
}

/// A node that comes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Its id.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where its daemon listens.
    pub address: SocketAddr,
    /// For placement.
    pub labels: BTreeMap<String, String>,
    /// Its public sealing key.
    pub sealing_key: Vec<u8>,
    /// The digest of its public key. Who asks again with the same token must hold the same key.
    pub key: Digest,
    /// Its first certificate.
    pub certificate: Certificate,
    /// The version of its daemon.
    pub daemon_version: String,
    /// Up to which format its daemon reads.
    #[serde(default = "Format::first")]
    pub reads: Format,
}

impl Admission {
    /// The node as it stands in the state once it is let in.
    #[must_use]
    pub fn record(self, raft_id: RaftId, joined_at: Timestamp) -> NodeRecord {
        NodeRecord {
            id: self.id,
            raft_id,
            name: self.name,
            address: self.address,
            labels: self.labels,
            key: self.key,
            sealing_key: self.sealing_key,
            certificates: vec![self.certificate],
            renewal: None,
            renewed: None,
            daemon_version: self.daemon_version,
            reads: self.reads,
            joined_at,
            membership: Membership::Present,
        }
    }
}

/// What the reconciler decides on a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// An order to one node.
    Assign { node: NodeId, order: Order },
    /// Leave a node out.
    Skip { node: NodeId, reason: String },
    /// Preparing -> Rolling.
    BeginRolling,
    /// Preparing -> Refused.
    Refuse { reasons: Vec<Refusal> },
    /// The canary is healthy and policy promotes by itself.
    Promote,
    /// Rolling -> Committing.
    BeginCommitting,
    /// The point of no return, for these nodes.
    CommitDecided,
    /// To Halted.
    Halt { reason: HaltReason },
    /// Halted -> Reverting.
    BeginReverting,
    /// Halted -> Held.
    Hold { elsewhere: Vec<NodeId> },
    /// Committing -> Completed.
    Complete,
    /// Reverting -> Reverted.
    FinishReverting,
    /// A node may begin what takes its app down.
    GiveTurn { node: NodeId },
    /// A node that has had its turn, and come to nothing in it, has to ask anew.
    TakeTurn { node: NodeId, why: Spent },
    /// To NeedsOperator.
    CallOperator { nodes: Vec<Stranded> },
    /// How much of the deadlines is used up.
    RecordElapsed { elapsed: Elapsed },
}

/// What became of a turn that is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spent {
    /// The node was not heard of again.
    Silent,
    /// It could be heard, and did not get on.
    NoProgress,
}

/// A node's answer to an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The release cannot be fetched for now; it is tried again.
    CannotFetch { reason: String },
    /// The release is fetched after all, and placed.
    Fetched,
    /// Placed; every check passed (for `method`).
    Prepared { method: Method, checks: Vec<Check> },
    /// A check failed.
    PrepareFailed { checks: Vec<Check> },
    /// Progress.
    Stage { stage: Stage },
    /// Verdict: healthy.
    Healthy { boot_nonce: BootNonce },
    /// Verdict: failed.
    Failed { failure: Failure },
    /// Drained, in this life of the VM.
    ReadyToCommit { boot_nonce: BootNonce },
    /// It has to take the running app down for the order, and asks for its turn.
    AskTurn,
    /// `to` is permanent and runs.
    Committed,
    /// `from` is permanent and runs (or nothing is placed, where there was nothing).
    Reverted { by: Option<Rung>, tried: Vec<TriedRung> },
    /// No rung led back.
    RevertFailed { tried: Vec<TriedRung> },
}

/// What a node has to tell of its part of a rollout beside its answers to orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Which rollout.
    pub rollout: RolloutId,
    /// What there is to tell.
    pub notes: Notes,
}

/// How an orphan's way back ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrphanOutcome {
    /// It is on this version, permanently; `None` is nothing placed.
    Back { version: Option<ReleaseVersion> },
    /// No rung led back.
    Stuck { tried: Vec<TriedRung> },
}

/// What applying a command gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Applied {
    /// Done, or already so.
    Done,
    /// The plan has this id.
    Plan(PlanId),
    /// The rollout has this id.
    Rollout(RolloutId),
    /// The node has this number.
    Admitted { raft_id: crate::ids::RaftId },
}
