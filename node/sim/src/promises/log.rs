//! S8, and the log's half of S12: at each index every node has applied the same entry, got the same
//! outcome and holds the same state. Every index is compared by entry and outcome; the digest of the
//! whole state is taken at some of them only, because it costs a hundred times as much, and states
//! that have parted stay apart.

use super::{Violation, broken};
use relupd::ids::{CommandId, Digest, NodeId};
use relupd::state::Outcome;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq)]
struct Line {
    command: Option<CommandId>,
    outcome: Option<Outcome>,
    first: NodeId,
}

/// What was applied at each index, by whoever was first there.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    lines: BTreeMap<u64, Line>,
    /// The whole state at some indices, with whoever had it first. Not every index is a line: what raft puts
    /// into the log for itself changes no state.
    states: BTreeMap<u64, (NodeId, Digest)>,
    /// The states that snapshots were taken of.
    snapshots: BTreeSet<Digest>,
    first_index: BTreeMap<CommandId, u64>,
    newest: u64,
}

impl Log {
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// The first index at which this command was applied.
    pub(super) fn index_of(&self, command: CommandId) -> Option<u64> {
        self.first_index.get(&command).copied()
    }

    /// The outcome that it had there.
    pub(super) fn outcome_of(&self, command: CommandId) -> Option<&Outcome> {
        self.lines.get(&self.index_of(command)?)?.outcome.as_ref()
    }

    /// Whether nobody had applied this index before.
    pub(super) fn is_new(&self, index: u64) -> bool {
        !self.lines.contains_key(&index)
    }

    /// S8, S12: the same log gives the same outcomes, and a committed entry is never another one, not
    /// after any crash. Asked at every application on every node.
    pub(super) fn every_node_applies_the_same_entry_with_the_same_outcome(
        &mut self,
        node: NodeId,
        index: u64,
        command: Option<CommandId>,
        outcome: Option<&Outcome>,
    ) -> Option<Violation> {
        let Some(line) = self.lines.get(&index) else {
            if let Some(command) = command {
                self.first_index.entry(command).or_insert(index);
            }
            let line = Line { command, outcome: outcome.cloned(), first: node };
            self.lines.insert(index, line);
            self.newest = self.newest.max(index);
            return None;
        };
        if line.command != command {
            let (first, was) = (line.first, line.command);
            let detail =
                format!("index {index}: node {first} applied {was:?}, node {node} applied {command:?}");
            return Some(broken("S12", detail));
        }
        (line.outcome.as_ref() != outcome).then(|| {
            let (first, was) = (line.first, &line.outcome);
            broken("S8", format!("index {index}: {was:?} on node {first}, {outcome:?} on node {node}"))
        })
    }

    /// S8. Asked at chosen indices, when a snapshot is taken, and at the end.
    pub(super) fn every_node_holds_the_same_state_at_an_index(
        &mut self,
        node: NodeId,
        index: u64,
        state: Digest,
    ) -> Option<Violation> {
        let (first, known) = *self.states.entry(index).or_insert((node, state));
        (known != state)
            .then(|| broken("S8", format!("index {index}: the states of nodes {first} and {node} differ")))
    }

    /// A snapshot was taken of this state.
    pub(super) fn took_a_snapshot(&mut self, state: Digest) {
        self.snapshots.insert(state);
    }

    /// S8. Asked when a node takes a snapshot over, its own after a restart or the leader's: that leads to a
    /// state that some node had, and to exactly the one that was written down.
    pub(super) fn what_is_taken_over_is_what_was_written_down(
        &self,
        node: NodeId,
        written: Digest,
        state: Digest,
    ) -> Option<Violation> {
        if !self.snapshots.contains(&written) {
            return Some(broken("S8", format!("node {node} took over a snapshot that nobody has taken")));
        }
        (written != state).then(|| {
            broken("S8", format!("node {node} took over a snapshot, and came to another state than it holds"))
        })
    }
}
