//! What `relupctl --output json` answers, as far as it is used here.

use anyhow::Context as _;
use serde::Deserialize;

/// The answer to `status`.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// The cluster's own part.
    pub cluster: ClusterStatus,
    /// What is refused.
    pub quarantines: Vec<serde_json::Value>,
}

/// Who is in the cluster.
#[derive(Clone, Debug, Deserialize)]
pub struct ClusterStatus {
    /// Empty outside a cluster.
    pub cluster_id: String,
    /// The leader's id; empty where none is known.
    pub leader: String,
    /// Elections, from the first one on.
    pub term: u64,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Of the cluster's state; empty where it was not asked for.
    #[serde(default)]
    pub state_digest: String,
    /// The last command in that state.
    #[serde(default)]
    pub last_command: String,
}

impl Status {
    /// The leader's name.
    pub fn leader(&self) -> anyhow::Result<&str> {
        let leader = self.cluster.nodes.iter().find(|node| node.id == self.cluster.leader);
        Ok(&leader.context("no leader is known")?.name)
    }

    /// The app's instance on a node.
    pub fn instance(&self, node: &str, app: &str) -> anyhow::Result<&Instance> {
        let node = self.cluster.nodes.iter().find(|found| found.name == node).context("no such node")?;
        node.instances.iter().find(|instance| instance.app == app).context("no such instance")
    }
}

/// A node.
#[derive(Clone, Debug, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The version of its daemon.
    pub daemon_version: String,
    /// `voter` or `learner`.
    pub raft_role: String,
    /// `alive`, `dead` or `unknown`.
    pub liveness: String,
    /// The apps on it.
    pub instances: Vec<Instance>,
}

/// An app on a node.
#[derive(Clone, Debug, Deserialize)]
pub struct Instance {
    /// Whose.
    pub app: String,
    /// What the host boots into.
    pub permanent: String,
    /// What runs.
    pub running: String,
    /// `healthy`, `failed` or `unknown`.
    pub health: String,
    /// What the node's agent found: `clean`, or what is not.
    pub condition: String,
}

/// A plan.
#[derive(Clone, Debug, Deserialize)]
pub struct Plan {
    /// Its id.
    pub id: String,
    /// In the order of execution.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The nodes, in the order of execution.
    #[must_use]
    pub fn order(&self) -> Vec<&str> {
        self.steps.iter().map(|step| step.node_name.as_str()).collect()
    }
}

/// What a plan has for a node.
#[derive(Clone, Debug, Deserialize)]
pub struct Step {
    /// Whose turn.
    pub node_name: String,
    /// `hot`, `restart` or `first`.
    pub method: String,
    /// What preflight found when the node was last prepared for the same.
    pub checks: Vec<Check>,
    /// What the node says now; only where the plan was just made.
    pub preflight: Option<Preflight>,
}

impl Step {
    /// The node's own word on a check, by the check's key.
    #[must_use]
    pub fn told(&self, key: &str) -> Option<&Check> {
        self.preflight.as_ref()?.checks.iter().find(|check| check.name.split(' ').next() == Some(key))
    }
}

/// What a node says to its step.
#[derive(Clone, Debug, Deserialize)]
pub struct Preflight {
    /// What it could tell.
    pub checks: Vec<Check>,
    /// Why it says nothing.
    pub no_answer: String,
}

/// A rollout.
#[derive(Clone, Debug, Deserialize)]
pub struct Rollout {
    /// How it stands.
    pub summary: Summary,
    /// Counts up with every change.
    pub revision: u64,
    /// The plan that it carries out.
    pub plan_id: String,
    /// In the order of the plan.
    pub nodes: Vec<Progress>,
}

/// How a rollout stands.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// Of which app.
    pub app: String,
    /// The version that it goes to.
    pub version: String,
    /// Its phase.
    pub phase: String,
    /// Why.
    pub reason: String,
    /// The operator who paused it; empty where nobody did.
    pub paused_by: String,
    /// So many nodes are done.
    pub nodes_done: u32,
}

impl Summary {
    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        ["completed", "refused", "reverted", "held", "needs_operator"].contains(&self.phase.as_str())
    }
}

/// A node in a rollout.
#[derive(Clone, Debug, Deserialize)]
pub struct Progress {
    /// Which.
    pub node_name: String,
    /// How far it is.
    pub step: String,
    /// Whether it had an assignment.
    pub touched: bool,
    /// What there is to say beyond the step.
    pub detail: String,
    /// What preflight found.
    pub checks: Vec<Check>,
    /// What the hot installation did to processes, where that was measured.
    pub measured: Option<Measured>,
    /// Who still runs old code.
    pub old_code: Vec<String>,
}

/// What preflight found.
#[derive(Clone, Debug, Deserialize)]
pub struct Check {
    /// Which check.
    pub name: String,
    /// `passed`, `not_hot`, `warning`, `failed` or `unknown`.
    pub result: String,
    /// Why it does not hold.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

/// What a hot installation did to processes.
#[derive(Clone, Debug, Deserialize)]
pub struct Measured {
    /// From its begin to its end.
    pub took_us: u64,
    /// So many processes were suspended.
    pub suspended: u32,
    /// The longest of them for so long.
    pub longest_suspend_us: u64,
    /// So many times `code_change` was called.
    pub code_changes: u32,
}
