//! Raising what is written, and keeping out who could not read it.

use super::{About, Context, DONE};
use crate::format::Format;
use crate::ids::NodeId;
use crate::state::node::NodeRecord;
use crate::state::rejection::Rejection;
use crate::state::{ClusterState, Outcome};

impl ClusterState {
    pub(super) fn raise_format(&mut self, context: Context<'_>, to: Format) -> Outcome {
        if to <= self.format {
            return Err(Rejection::FormatRaised { format: self.format });
        }
        let behind = |record: &&NodeRecord| record.reads < to;
        let nodes: Vec<NodeId> = self.present_nodes().filter(behind).map(|record| record.id).collect();
        if !nodes.is_empty() {
            return Err(Rejection::NotEverybodyReads { to, nodes });
        }
        self.note(context, About::CLUSTER, format!("format raised from {} to {to}", self.format));
        self.format = to;
        DONE
    }

    /// Who could not read the log has no place among those who do.
    pub(super) fn refuse_older(&self, node: NodeId, reads: Format) -> Result<(), Rejection> {
        if reads < self.format {
            return Err(Rejection::DaemonTooOld { node, reads, format: self.format });
        }
        Ok(())
    }

    /// The newest format that every node reads, where that is newer than the one that is written.
    #[must_use]
    pub fn next_format(&self) -> Option<Format> {
        let common = self.present_nodes().map(|record| record.reads).min()?;
        (common > self.format).then_some(common)
    }
}
