//! The cluster's state as the machine that consensus replicates.

use crate::consensus::{MachineError, StateMachine};
use crate::format::Format;
use crate::ids::NodeId;
use crate::state::command::Entry;
use crate::state::{ClusterState, Outcome};
use bytes::Bytes;
use std::sync::Arc;

/// The state, behind the pointer that is published after each batch. Applying copies it only where
/// somebody still holds the published one.
pub struct Replicated {
    state: Arc<ClusterState>,
    reads: Format,
}

impl Replicated {
    /// Begins with this state.
    #[must_use]
    pub fn new(state: ClusterState) -> Self {
        Self::reading(state, Format::NEWEST)
    }

    /// The same in a daemon that reads up to this format.
    #[must_use]
    pub fn reading(state: ClusterState, reads: Format) -> Self {
        Self { state: Arc::new(state), reads }
    }
}

impl StateMachine for Replicated {
    type View = Arc<ClusterState>;
    type Outcome = Outcome;

    fn admit(peer: NodeId, bytes: &[u8]) -> Result<(), MachineError> {
        Ok(Entry::decode(bytes, Format::NEWEST)?.may_come_from(peer)?)
    }

    /// An entry that cannot be read ends the member: it is committed, so the others apply it, and going
    /// on without it would make this node's state another one than theirs (S8).
    fn apply(&mut self, _index: u64, bytes: &[u8]) -> Result<Outcome, MachineError> {
        let entry = Entry::decode(bytes, self.reads)?;
        Ok(Arc::make_mut(&mut self.state).apply(&entry))
    }

    fn snapshot(&self) -> Bytes {
        self.state.encode().into()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError> {
        self.state = Arc::new(ClusterState::decode(snapshot, self.reads)?);
        Ok(())
    }

    fn view(&self) -> Arc<ClusterState> {
        Arc::clone(&self.state)
    }
}
