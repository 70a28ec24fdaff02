//! What was reached, by name, and how often. The names come from the daemon's own enums, each through one
//! exhaustive match, so that a new variant does not compile until it has a name here (`names.rs`).

use crate::names;
use relupd::clock::monotonic;
use relupd::reconciler::Waits;
use relupd::state::ClusterState;
use relupd::state::command::Decision;
use std::collections::BTreeMap;
use std::time::Duration;

/// A kind of thing that can be reached, and one of that kind.
pub type Name = (&'static str, &'static str);

#[derive(Clone, Debug, Default)]
pub struct Coverage {
    reached: BTreeMap<Name, u64>,
    /// The last phase and steps of each rollout, to count transitions.
    phases: BTreeMap<u64, &'static str>,
    steps: BTreeMap<(u64, relupd::ids::NodeId), &'static str>,
    /// Wall time of single rounds of the reconciler; only where they are wanted.
    pub step_times: Option<Vec<Duration>>,
}

impl Coverage {
    pub fn reached(&mut self, kind: &'static str, name: &'static str) {
        *self.reached.entry((kind, name)).or_default() += 1;
    }

    pub fn timed_step<T>(&mut self, round: impl FnOnce() -> T) -> T {
        let Some(times) = &mut self.step_times else { return round() };
        let began = monotonic();
        let result = round();
        times.push(monotonic().since(began));
        result
    }

    pub fn decisions(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            self.reached("decision", names::decision(decision));
        }
    }

    pub fn waits(&mut self, waits: &Waits) {
        for waiting in waits.values().flatten() {
            self.reached("waiting", names::waiting(waiting));
        }
    }

    /// Another state was reached: where its rollouts are.
    pub fn state(&mut self, state: &ClusterState) {
        for rollout in state.rollouts.values() {
            let phase = names::phase(&rollout.phase);
            let id = rollout.id.0;
            let before = self.phases.insert(id, phase);
            if before == Some(phase) && rollout.phase.is_terminal() {
                continue;
            }
            if before != Some(phase) {
                self.reached("phase", phase);
                if let Some(reason) = names::halt_reason_of(&rollout.phase) {
                    self.reached("halt reason", reason);
                }
            }
            for (node, progress) in &rollout.nodes {
                let step = names::step(&progress.step);
                if self.steps.insert((id, *node), step) != Some(step) {
                    self.reached("node phase", step);
                }
            }
        }
    }

    /// Takes in what another run reached.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.reached {
            *self.reached.entry(*name).or_default() += count;
        }
    }

    /// Every name there is, with how often it was reached.
    pub fn table(&self) -> BTreeMap<Name, u64> {
        let mut table: BTreeMap<Name, u64> = names::all().into_iter().map(|name| (name, 0)).collect();
        table.extend(self.reached.iter().map(|(name, count)| (*name, *count)));
        table
    }

    pub fn never_reached(&self) -> Vec<Name> {
        self.table().into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
    }
}
