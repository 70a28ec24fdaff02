//! One line for each change, for logs.

use crate::commands::rollout::phase_text;
use crate::human;
use crate::output;
use jiff::Timestamp;
use relupd_proto::api::v1;
use std::collections::BTreeMap;

/// What was said last.
#[derive(Default)]
pub(super) struct Plain {
    phase: String,
    reason: String,
    nodes: BTreeMap<String, String>,
}

impl Plain {
    pub(super) fn show(&mut self, change: &v1::WatchRolloutResponse, now: Timestamp) -> anyhow::Result<()> {
        let time = now.strftime("%T");
        self.changes(change).iter().try_for_each(|line| output::line(&format!("{time}  {line}")))
    }

    /// A line for everything that is not as it was.
    fn changes(&mut self, change: &v1::WatchRolloutResponse) -> Vec<String> {
        let Some(rollout) = &change.rollout else { return Vec::new() };
        let mut lines = Vec::new();
        for node in &rollout.nodes {
            let now = node_text(node);
            // A node that nothing was said to yet is no news.
            let before =
                self.nodes.entry(node.node_id.clone()).or_insert_with(|| human::label(v1::NodeStep::Planned));
            if *before != now {
                lines.push(format!("{}: {now}", node.node_name));
                *before = now;
            }
        }
        if let Some(summary) = &rollout.summary {
            let now = phase_line(summary);
            if self.phase != now {
                // A reason that was said already stays true through the phases that follow from it.
                let is_known = self.reason == summary.reason;
                lines.push(if is_known { phase_only(summary) } else { now.clone() });
                self.phase = now;
                self.reason.clone_from(&summary.reason);
            }
        }
        lines
    }
}

/// A node's step, and what there is to say about it.
pub(super) fn node_text(node: &v1::NodeProgress) -> String {
    let step = human::label(node.step());
    if node.detail.is_empty() { step } else { format!("{step}: {}", node.detail) }
}

/// The rollout's phase, and what there is to say about it.
pub(super) fn phase_line(summary: &v1::RolloutSummary) -> String {
    let reason = if summary.reason.is_empty() { String::new() } else { format!(": {}", summary.reason) };
    format!("{}{reason}", phase_only(summary))
}

fn phase_only(summary: &v1::RolloutSummary) -> String {
    format!("rollout {} is {}", summary.id, phase_text(summary))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(phase: v1::Phase, steps: &[(&str, v1::NodeStep)]) -> v1::WatchRolloutResponse {
        let node = |(name, step): &(&str, v1::NodeStep)| v1::NodeProgress {
            node_id: (*name).to_owned(),
            node_name: (*name).to_owned(),
            step: (*step).into(),
            ..Default::default()
        };
        let summary = v1::RolloutSummary { id: "r1".to_owned(), phase: phase.into(), ..Default::default() };
        let rollout = v1::Rollout {
            summary: Some(summary),
            nodes: steps.iter().map(node).collect(),
            ..Default::default()
        };
        v1::WatchRolloutResponse { rollout: Some(rollout), waiting_for: Vec::new() }
    }

    #[test]
    fn only_changes_are_printed() {
        use v1::NodeStep::{Assigned, Baking, Planned};
        let mut plain = Plain::default();
        let first = change(v1::Phase::Rolling, &[("beam1", Assigned), ("beam2", Planned)]);
        assert_eq!(plain.changes(&first), ["beam1: assigned", "rollout r1 is rolling"]);
        assert!(plain.changes(&first).is_empty());
        let second = change(v1::Phase::Rolling, &[("beam1", Baking), ("beam2", Planned)]);
        assert_eq!(plain.changes(&second), ["beam1: baking"]);
    }

    #[test]
    fn a_reason_is_printed_once() {
        let because = |phase| {
            let mut change = change(phase, &[]);
            if let Some(summary) = change.rollout.as_mut().and_then(|rollout| rollout.summary.as_mut()) {
                summary.reason = "beam1: sick".to_owned();
            }
            change
        };
        let mut plain = Plain::default();
        assert_eq!(plain.changes(&because(v1::Phase::Halted)), ["rollout r1 is halted: beam1: sick"]);
        assert_eq!(plain.changes(&because(v1::Phase::Reverting)), ["rollout r1 is reverting"]);
    }
}
