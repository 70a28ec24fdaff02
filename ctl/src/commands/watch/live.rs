//! A terminal's view: a line for the rollout, a line for each node, and what it waits for, always as
//! they are now.

use super::plain::{node_text, phase_line};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use relupd_proto::api::v1;
use std::collections::BTreeMap;
use std::time::Duration;

const REDRAW: Duration = Duration::from_millis(120);

pub(super) struct Live {
    lines: MultiProgress,
    head: ProgressBar,
    nodes: BTreeMap<String, Line>,
    waiting: ProgressBar,
}

/// A node's line; its clock counts from the step's beginning as it was seen here.
struct Line {
    bar: ProgressBar,
    text: String,
}

impl Live {
    pub(super) fn new() -> Self {
        let lines = MultiProgress::new();
        let head = lines.add(ProgressBar::no_length().with_style(style("{spinner} {msg} ({elapsed})")));
        head.enable_steady_tick(REDRAW);
        let waiting = lines.add(ProgressBar::no_length().with_style(style("{msg}")));
        Self { lines, head, nodes: BTreeMap::new(), waiting }
    }

    pub(super) fn show(&mut self, change: &v1::WatchRolloutResponse) {
        let Some(rollout) = &change.rollout else { return };
        if let Some(summary) = &rollout.summary {
            self.head.set_message(phase_line(summary));
        }
        let width = rollout.nodes.iter().map(|node| node.node_name.len()).max().unwrap_or_default();
        for node in &rollout.nodes {
            self.show_node(node, width);
        }
        let waiting: Vec<String> =
            change.waiting_for.iter().map(|condition| format!("  waits for: {}", condition.text)).collect();
        self.waiting.set_message(waiting.join("\n"));
    }

    fn show_node(&mut self, node: &v1::NodeProgress, width: usize) {
        let lines = &self.lines;
        let line = self.nodes.entry(node.node_id.clone()).or_insert_with(|| {
            let bar = lines.insert_before(&self.waiting, ProgressBar::no_length());
            Line { bar, text: String::new() }
        });
        let text = node_text(node);
        if line.text == text {
            return;
        }
        line.text.clone_from(&text);
        line.bar.set_style(style(template(node.step())));
        line.bar.reset_elapsed();
        line.bar.set_message(format!("{:<width$}  {text}", node.node_name));
        if is_busy(node.step()) {
            line.bar.enable_steady_tick(REDRAW);
        } else {
            line.bar.disable_steady_tick();
            line.bar.tick();
        }
    }

    pub(super) fn note(&self, text: &str) {
        // A terminal that does not take a line will not take the next one either.
        let _ = self.lines.println(text);
    }

    pub(super) fn clear(&self) {
        let _ = self.lines.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // A template that does not parse would be a bug that the tests find; a bar is better than a panic.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Something goes on there.
const fn is_busy(step: v1::NodeStep) -> bool {
    match step {
        v1::NodeStep::Preparing
        | v1::NodeStep::Assigned
        | v1::NodeStep::Installing
        | v1::NodeStep::Baking
        | v1::NodeStep::Draining
        | v1::NodeStep::Committing
        | v1::NodeStep::Reverting => true,
        v1::NodeStep::Unspecified
        | v1::NodeStep::Planned
        | v1::NodeStep::Prepared
        | v1::NodeStep::PrepareFailed
        | v1::NodeStep::Skipped
        | v1::NodeStep::Healthy
        | v1::NodeStep::Failed
        | v1::NodeStep::ReadyToCommit
        | v1::NodeStep::Committed
        | v1::NodeStep::Reverted
        | v1::NodeStep::RevertFailed => false,
    }
}

const fn template(step: v1::NodeStep) -> &'static str {
    match step {
        v1::NodeStep::Preparing
        | v1::NodeStep::Assigned
        | v1::NodeStep::Installing
        | v1::NodeStep::Baking
        | v1::NodeStep::Draining
        | v1::NodeStep::Committing
        | v1::NodeStep::Reverting => "  {spinner:.cyan} {msg} {elapsed:.dim}",
        v1::NodeStep::PrepareFailed | v1::NodeStep::Failed | v1::NodeStep::RevertFailed => "  ✗ {msg:.red}",
        v1::NodeStep::Healthy | v1::NodeStep::ReadyToCommit | v1::NodeStep::Committed => "  ✓ {msg:.green}",
        v1::NodeStep::Reverted => "  ↩ {msg:.yellow}",
        v1::NodeStep::Unspecified
        | v1::NodeStep::Planned
        | v1::NodeStep::Prepared
        | v1::NodeStep::Skipped => "  · {msg:.dim}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_parses() {
        for number in 0..=17 {
            let step = v1::NodeStep::try_from(number).unwrap();
            assert!(ProgressStyle::with_template(template(step)).is_ok(), "{step:?}");
        }
    }
}
