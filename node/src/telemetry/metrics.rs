//! The figures that an operator of rollouts watches. Every part of the daemon holds a clone and
//! writes its own; clones share the values.

use crate::ids::AppName;
use crate::state::ClusterState;
use crate::state::app::Order;
use crate::state::rollout::Phase;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// All figures of one daemon.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Raft's term.
    pub raft_term: Gauge,
    /// 1 while this node leads, else 0.
    pub raft_is_leader: Gauge,
    /// The highest index known to be committed.
    pub raft_commit_index: Gauge,
    /// The highest index applied here.
    pub raft_applied_index: Gauge,
    /// From a proposal made here to its application here.
    pub proposal_seconds: Histogram,
    /// Nodes that gossip takes for alive, this one included.
    pub gossip_live_nodes: Gauge,
    proposals: Family<OutcomeLabels, Counter>,
    rollouts: Family<PhaseLabels, Gauge>,
    assignments: Family<OrderLabels, Counter>,
    verdicts: Family<VerdictLabels, Counter>,
    driver_steps: Family<StepLabels, Histogram, fn() -> Histogram>,
    probe_failures: Family<CheckLabels, Counter>,
    registry: Arc<Registry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    phase: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OrderLabels {
    app: String,
    order: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    app: String,
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    app: String,
    step: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    app: String,
    check: String,
}

impl Metrics {
    /// Figures that are all at zero.
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self {
            raft_term: Gauge::default(),
            raft_is_leader: Gauge::default(),
            raft_commit_index: Gauge::default(),
            raft_applied_index: Gauge::default(),
            proposal_seconds: seconds(),
            gossip_live_nodes: Gauge::default(),
            proposals: Family::default(),
            rollouts: Family::default(),
            assignments: Family::default(),
            verdicts: Family::default(),
            driver_steps: Family::new_with_constructor(seconds),
            probe_failures: Family::default(),
            registry: Arc::default(),
        };
        Self { registry: Arc::new(metrics.registry()), ..metrics }
    }

    /// A proposal made here was applied, or was rejected by the state, or failed on its way.
    pub fn proposal_ended(&self, outcome: ProposalOutcome, took: Duration) {
        let outcome = match outcome {
            ProposalOutcome::Applied => "applied",
            ProposalOutcome::Rejected => "rejected",
            ProposalOutcome::Failed => "failed",
        };
        self.proposals.get_or_create(&OutcomeLabels { outcome }).inc();
        self.proposal_seconds.observe(took.as_secs_f64());
    }

    /// This node took up an order.
    pub fn assigned(&self, app: &AppName, order: Order) {
        let order = match order {
            Order::Prepare => "prepare",
            Order::Upgrade => "upgrade",
            Order::Drain => "drain",
            Order::Commit => "commit",
            Order::Revert => "revert",
        };
        self.assignments.get_or_create(&OrderLabels { app: app.as_str().to_owned(), order }).inc();
    }

    /// This node said its verdict on a trial.
    pub fn verdict_said(&self, app: &AppName, healthy: bool) {
        let verdict = if healthy { "healthy" } else { "failed" };
        self.verdicts.get_or_create(&VerdictLabels { app: app.as_str().to_owned(), verdict }).inc();
    }

    /// A step of a driver ended, e.g. `install`.
    pub fn driver_step_ended(&self, app: &AppName, step: &'static str, ok: bool, took: Duration) {
        let outcome = if ok { "ok" } else { "error" };
        let labels = StepLabels { app: app.as_str().to_owned(), step, outcome };
        self.driver_steps.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A health check did not get the answer that it expects.
    pub fn probe_failed(&self, app: &AppName, check: &str) {
        let labels = CheckLabels { app: app.as_str().to_owned(), check: check.to_owned() };
        self.probe_failures.get_or_create(&labels).inc();
    }

    /// Counts the rollouts of the state by phase.
    pub fn count_rollouts(&self, state: &ClusterState) {
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for rollout in state.rollouts.values() {
            *counts.entry(phase_word(&rollout.phase)).or_default() += 1;
        }
        for phase in PHASE_WORDS {
            let count = counts.get(phase).copied().unwrap_or(0);
            self.rollouts.get_or_create(&PhaseLabels { phase }).set(count);
        }
    }

    /// Everything, in the text format of OpenMetrics.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        text::encode(&mut text, &self.registry).expect("a String takes everything");
        text
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("relupd");
        let gauges = [
            ("raft_term", "Raft's term", &self.raft_term),
            ("raft_is_leader", "1 while this node leads", &self.raft_is_leader),
            ("raft_commit_index", "Highest index known to be committed", &self.raft_commit_index),
            ("raft_applied_index", "Highest index applied here", &self.raft_applied_index),
            ("gossip_live_nodes", "Nodes that gossip takes for alive", &self.gossip_live_nodes),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register("proposals", "Proposals made here, by outcome", self.proposals.clone());
        let help = "From a proposal made here to its end";
        registry.register("proposal_seconds", help, self.proposal_seconds.clone());
        registry.register("rollouts", "Rollouts in the cluster's state, by phase", self.rollouts.clone());
        registry.register("assignments", "Orders taken up by this node", self.assignments.clone());
        registry.register("verdicts", "Verdicts on trials said by this node", self.verdicts.clone());
        registry.register("driver_step_seconds", "Steps of drivers", self.driver_steps.clone());
        registry.register("probe_failures", "Failed health checks", self.probe_failures.clone());
        registry
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// How a proposal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposalOutcome {
    /// It took effect.
    Applied,
    /// The state refused it.
    Rejected,
    /// It did not reach a quorum, or nobody knows.
    Failed,
}

const PHASE_WORDS: [&str; 10] = [
    "preparing",
    "rolling",
    "committing",
    "halted",
    "reverting",
    "completed",
    "refused",
    "reverted",
    "held",
    "needs-operator",
];

const fn phase_word(phase: &Phase) -> &'static str {
    match phase {
        Phase::Preparing => PHASE_WORDS[0],
        Phase::Rolling => PHASE_WORDS[1],
        Phase::Committing { .. } => PHASE_WORDS[2],
        Phase::Halted { .. } => PHASE_WORDS[3],
        Phase::Reverting { .. } => PHASE_WORDS[4],
        Phase::Completed => PHASE_WORDS[5],
        Phase::Refused { .. } => PHASE_WORDS[6],
        Phase::Reverted { .. } => PHASE_WORDS[7],
        Phase::Held { .. } => PHASE_WORDS[8],
        Phase::NeedsOperator { .. } => PHASE_WORDS[9],
    }
}

/// From a millisecond to some nine minutes: a commit takes the one, a slow `code_change` the other.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 3.0, 13))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let app: AppName = "shop".parse().expect("a name");
        let metrics = Metrics::new();
        let clone = metrics.clone();
        clone.raft_term.set(7);
        clone.probe_failed(&app, "ready");
        clone.driver_step_ended(&app, "install", true, Duration::from_millis(2));
        clone.proposal_ended(ProposalOutcome::Applied, Duration::from_millis(2));
        let text = metrics.encode();
        for line in [
            "relupd_raft_term 7",
            "relupd_probe_failures_total{app=\"shop\",check=\"ready\"} 1",
            "relupd_driver_step_seconds_count{app=\"shop\",step=\"install\",outcome=\"ok\"} 1",
            "relupd_proposals_total{outcome=\"applied\"} 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} not in\n{text}");
        }
    }
}
