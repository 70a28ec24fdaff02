//! Coverage by name: which phases, steps, transitions, decisions, reasons, waits, actions and faults a
//! run has reached, and how often. The names come from exhaustive matches, so that a new variant does
//! not compile without one; a name that is never reached is a part of the daemon that nothing was
//! proved about.

mod names;
mod transitions;

pub use transitions::{PHASE_CHANGES, STEP_CHANGES};

use crate::host::Accident;
use relupd::agent::decide::Action;
use relupd::driver::{CheckResult, Observation};
use relupd::rollout::waiting::Waiting;
use relupd::state::ClusterState;
use relupd::state::app::Order;
use relupd::state::command::{Command, Decision, Report};
use relupd::state::rollout::{HaltReason, Rollout, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A type each of whose values has one of a known set of names.
pub trait Named {
    /// What kind of thing it is.
    const GROUP: &'static str;
    /// Every name there is.
    const NAMES: &'static [&'static str];
    /// This value's.
    fn name(&self) -> &'static str;
}

/// How often each name was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<(&'static str, &'static str), u64>,
    /// Changes that no table knows.
    unknown: BTreeSet<String>,
}

impl Default for Coverage {
    /// Every name, reached not once.
    fn default() -> Self {
        let mut coverage = Self { counts: BTreeMap::new(), unknown: BTreeSet::new() };
        names::register(&mut coverage);
        coverage.expect(PHASE_CHANGE, PHASE_CHANGES);
        coverage.expect(STEP_CHANGE, STEP_CHANGES);
        coverage
    }
}

const PHASE_CHANGE: &str = "phase change";
const STEP_CHANGE: &str = "step change";

impl Coverage {
    fn expect(&mut self, group: &'static str, names: &[&'static str]) {
        self.counts.extend(names.iter().map(|name| ((group, *name), 0)));
    }

    /// Counts one name.
    pub fn reach<T: Named>(&mut self, value: &T) {
        *self.counts.entry((T::GROUP, value.name())).or_default() += 1;
    }

    /// Takes in what another run has reached.
    pub fn merge(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            *self.counts.entry(*name).or_default() += count;
        }
        self.unknown.extend(other.unknown.iter().cloned());
    }

    /// An entry was applied, as whoever was first at its index saw it.
    pub fn applied(&mut self, command: &Command, before: &ClusterState, after: &ClusterState) {
        self.reach(command);
        match command {
            Command::Decide { decisions, .. } => {
                for decision in decisions {
                    self.decided(decision);
                }
            }
            Command::Report { report, .. } => self.reported(report),
            _ => {}
        }
        for (id, now) in &after.rollouts {
            match before.rollouts.get(id) {
                Some(was) if std::sync::Arc::ptr_eq(was, now) || was.revision == now.revision => {}
                Some(was) => self.moved(was, now),
                None => {
                    self.reach(&now.phase);
                    for progress in now.nodes.values() {
                        self.reach::<Step>(&progress.step);
                    }
                }
            }
        }
    }

    fn decided(&mut self, decision: &Decision) {
        self.reach(decision);
        if let Decision::Assign { order, .. } = decision {
            self.reach::<Order>(order);
        }
    }

    fn reported(&mut self, report: &Report) {
        self.reach(report);
        match report {
            Report::Failed { failure } => self.reach(failure),
            Report::Reverted { by: Some(rung), .. } => self.reach(rung),
            Report::Prepared { checks, .. } | Report::PrepareFailed { checks } => {
                for check in checks {
                    self.reach::<CheckResult>(&check.result);
                }
            }
            Report::Reverted { by: None, .. }
            | Report::Stage { .. }
            | Report::Healthy { .. }
            | Report::ReadyToCommit { .. }
            | Report::CannotFetch { .. }
            | Report::Fetched
            | Report::AskTurn
            | Report::Committed
            | Report::RevertFailed { .. } => {}
        }
    }

    fn moved(&mut self, was: &Rollout, now: &Rollout) {
        if was.phase != now.phase {
            self.reach(&now.phase);
            self.change(PHASE_CHANGE, Named::name(&was.phase), Named::name(&now.phase), PHASE_CHANGES);
            if was.phase.reason() != now.phase.reason()
                && let Some(reason) = now.phase.reason()
            {
                self.reach::<HaltReason>(reason);
            }
        }
        for (node, progress) in &now.nodes {
            let Some(before) = was.nodes.get(node).filter(|before| before.step != progress.step) else {
                continue;
            };
            self.reach::<Step>(&progress.step);
            let (from, to) = (before.step.name(), progress.step.name());
            if from != to {
                self.change(STEP_CHANGE, from, to, STEP_CHANGES);
            }
        }
    }

    /// A change that is not in the table is counted under one name: the table is to be completed, or
    /// the daemon to be mended.
    fn change(&mut self, group: &'static str, from: &str, to: &str, known: &'static [&'static str]) {
        let name = format!("{from} -> {to}");
        let known = known.iter().find(|known| **known == name).copied();
        if known.is_none() {
            self.unknown.insert(format!("{group}: {name}"));
        }
        *self.counts.entry((group, known.unwrap_or(UNKNOWN))).or_default() += 1;
    }

    /// An agent carries an action out.
    pub fn acts(&mut self, action: &Action) {
        self.reach(action);
    }

    /// An agent saw something.
    pub fn saw(&mut self, seen: &Observation) {
        self.reach(&seen.condition);
        self.reach(&seen.running);
    }

    /// A leader waits.
    pub fn waits<'a>(&mut self, waiting: impl IntoIterator<Item = &'a Waiting>) {
        for waiting in waiting {
            self.reach(waiting);
        }
    }

    /// Something went wrong on a host.
    pub fn accident(&mut self, accident: &Accident) {
        self.reach(accident);
    }

    /// Names that were never reached, as `group: name`; those that cannot be are left out.
    #[must_use]
    pub fn never_reached(&self) -> Vec<String> {
        let missed = self.counts.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name);
        let missed =
            missed.filter(|(group, name)| !names::EXCUSED.iter().any(|(g, n, _)| g == group && n == name));
        missed.map(|(group, name)| format!("{group}: {name}")).collect()
    }

    /// Changes that no table knows.
    #[must_use]
    pub const fn unknown_changes(&self) -> &BTreeSet<String> {
        &self.unknown
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        let mut last = "";
        for ((group, name), count) in &self.counts {
            if *group != last {
                let _written = writeln!(text, "{group}");
                last = group;
            }
            let _written = writeln!(text, "  {count:>12}  {name}");
        }
        text
    }

    /// For the report: group -> name -> count.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
        let mut figures: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for ((group, name), count) in &self.counts {
            figures.entry(*group).or_default().insert(*name, *count);
        }
        figures
    }
}

const UNKNOWN: &str = "(in no table)";

#[cfg(test)]
mod tests {
    use super::*;
    use relupd::state::rollout::Phase;

    #[test]
    fn every_name_is_there_before_anything_was_reached() {
        let coverage = Coverage::default();
        let missed = coverage.never_reached();
        assert!(missed.contains(&"phase: needs operator".to_owned()), "{missed:?}");
        assert!(missed.contains(&"decision: commit decided".to_owned()), "{missed:?}");
        assert!(missed.contains(&"phase change: rolling -> halted".to_owned()), "{missed:?}");
    }

    #[test]
    fn what_was_reached_is_counted_and_runs_add_up() {
        let mut coverage = Coverage::default();
        coverage.reach(&Phase::Rolling);
        coverage.merge(&coverage.clone());
        assert_eq!(coverage.figures()["phase"]["rolling"], 2);
        assert!(!coverage.never_reached().contains(&"phase: rolling".to_owned()));
    }

    #[test]
    fn names_are_given_once_within_a_group() {
        for table in [PHASE_CHANGES, STEP_CHANGES] {
            let mut names = table.to_vec();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.len());
        }
    }
}
