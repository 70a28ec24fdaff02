//! How long things have taken, as one leader has seen it. PURE: the time is passed in. A new leader
//! starts from what was committed, so it may lengthen a deadline, never shorten it.

use super::canary::awaits_promotion;
use crate::clock::Monotonic;
use crate::ids::{NodeId, RolloutId};
use crate::state::ClusterState;
use crate::state::rollout::{Elapsed, Phase, Rollout, Step};
use std::collections::BTreeMap;
use std::time::Duration;

/// So much may be lost of a deadline's progress when the leader changes.
const RECORD_EVERY: Duration = Duration::from_secs(30);

/// The stopwatches of every rollout on its way.
#[derive(Clone, Debug, Default)]
pub struct Timers {
    rollouts: BTreeMap<RolloutId, Stopwatch>,
}

/// The stopwatches of one rollout.
#[derive(Clone, Debug)]
pub struct Stopwatch {
    seen: Monotonic,
    /// How much of the deadlines is used up.
    pub elapsed: Elapsed,
    /// How long each node has been in its present step.
    pub stalled: BTreeMap<NodeId, Duration>,
    steps: BTreeMap<NodeId, Step>,
}

impl Timers {
    /// Takes note of the time, and forgets rollouts that are over for the leader.
    pub fn advance(&mut self, state: &ClusterState, now: Monotonic) {
        self.rollouts.retain(|id, _| state.rollouts.get(id).is_some_and(|rollout| rollout.needs_leader()));
        for rollout in state.rollouts.values().filter(|rollout| rollout.needs_leader()) {
            let watch = self.rollouts.entry(rollout.id).or_insert_with(|| Stopwatch::start(rollout, now));
            watch.advance(rollout, now);
        }
    }

    /// The stopwatches of a rollout that `advance` has seen on its way.
    #[must_use]
    pub fn of(&self, rollout: RolloutId) -> Option<&Stopwatch> {
        self.rollouts.get(&rollout)
    }
}

impl Stopwatch {
    fn start(rollout: &Rollout, now: Monotonic) -> Self {
        Self { seen: now, elapsed: rollout.elapsed, stalled: BTreeMap::new(), steps: BTreeMap::new() }
    }

    fn advance(&mut self, rollout: &Rollout, now: Monotonic) {
        let passed = if rollout.paused.is_some() { Duration::ZERO } else { now.since(self.seen) };
        self.seen = now;
        // Nobody but an operator can end that wait, so it is none of the rollout's own time.
        if !awaits_promotion(rollout) {
            self.elapsed.rollout += passed;
        }
        if matches!(rollout.phase, Phase::Reverting { .. }) {
            self.elapsed.revert += passed;
        }
        for (node, progress) in &rollout.nodes {
            if self.steps.get(node) == Some(&progress.step) {
                *self.stalled.entry(*node).or_default() += passed;
            } else {
                self.steps.insert(*node, progress.step.clone());
                self.stalled.insert(*node, Duration::ZERO);
            }
        }
    }

    /// What should be committed now, so that the next leader does not begin at zero.
    #[must_use]
    pub fn worth_recording(&self, rollout: &Rollout) -> Option<Elapsed> {
        let due = self.elapsed.rollout >= rollout.elapsed.rollout + RECORD_EVERY;
        (due && !rollout.phase.is_terminal()).then_some(self.elapsed)
    }
}
