//! The daemon's state machine, with a record of what it was given and what it answered, for those who
//! hold the replicas against each other (S8, S12).

use crate::witness::DIGEST_EVERY;
use relupd::consensus::{MachineError, StateMachine};
use relupd::daemon::replicated::Replicated;
use relupd::ids::NodeId;
use relupd::state::command::Entry;
use relupd::state::{ClusterState, Outcome};
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// One entry, as it was applied on one member.
#[derive(Clone, Debug)]
pub struct Applied {
    pub index: u64,
    pub entry: Arc<Entry>,
    pub outcome: Outcome,
    /// The state right after it, at some entries.
    pub state: Option<Arc<ClusterState>>,
}

/// What happened in a machine.
#[derive(Clone, Debug)]
pub enum Record {
    Applied(Applied),
    /// The state jumped to that of a snapshot.
    Restored,
}

pub struct Recorded {
    inner: Replicated,
    records: Sender<Record>,
}

impl Recorded {
    pub fn new(awaited: ClusterState, records: Sender<Record>) -> Self {
        Self { inner: Replicated::new(awaited), records }
    }
}

impl StateMachine for Recorded {
    type View = Arc<ClusterState>;
    type Outcome = Outcome;

    fn apply(&mut self, index: u64, bytes: &[u8]) -> Result<Outcome, MachineError> {
        let outcome = self.inner.apply(index, bytes)?;
        let entry = Arc::new(Entry::decode(bytes)?);
        let state = index.is_multiple_of(DIGEST_EVERY).then(|| self.inner.view());
        let applied = Applied { index, entry, outcome: outcome.clone(), state };
        // Nobody listens where only figures are wanted.
        let _ = self.records.send(Record::Applied(applied));
        Ok(outcome)
    }

    fn admit(from: NodeId, entry: &[u8]) -> Result<(), MachineError> {
        Replicated::admit(from, entry)
    }

    fn snapshot(&self) -> Vec<u8> {
        self.inner.snapshot()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError> {
        self.inner.restore(snapshot)?;
        let _ = self.records.send(Record::Restored);
        Ok(())
    }

    fn view(&self) -> Arc<ClusterState> {
        self.inner.view()
    }
}
