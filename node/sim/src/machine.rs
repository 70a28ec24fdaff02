//! The daemon's state machine, with a record of what it was given and what it answered, for those who
//! hold the replicas against each other (S8, S12).

use crate::witness::DIGEST_EVERY;
use bytes::Bytes;
use relupd::clock::monotonic;
use relupd::consensus::{MachineError, StateMachine};
use relupd::daemon::replicated::Replicated;
use relupd::format::Format;
use relupd::ids::NodeId;
use relupd::state::command::Entry;
use relupd::state::{ClusterState, Outcome};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use tokio::sync::Mutex;

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

/// One line of states for a thousand replicas: whoever is first at an index applies the entry, and the
/// others take over what came of it. That all would have come to the same is what runs with few nodes
/// prove (S8); here it saves a thousand copies of the same work.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Line>>);

#[derive(Debug)]
struct Line {
    genesis: (Bytes, Arc<ClusterState>),
    states: BTreeMap<u64, (Arc<ClusterState>, Outcome)>,
    newest: Arc<ClusterState>,
    /// Wall time of every application.
    times: Vec<Duration>,
}

/// Replicas are no further apart than this.
const KEPT: usize = 8192;

impl Shared {
    pub fn new(state: Arc<ClusterState>, bytes: Bytes) -> Self {
        let newest = Arc::clone(&state);
        let line = Line { genesis: (bytes, state), states: BTreeMap::new(), newest, times: Vec::new() };
        Self(Arc::new(Mutex::new(line)))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Line) -> T) -> T {
        look(&mut self.0.try_lock().expect("a simulation is one thread, and no guard outlives a statement"))
    }

    /// The state at the end of what anybody has applied.
    pub fn newest(&self) -> Arc<ClusterState> {
        self.with(|line| Arc::clone(&line.newest))
    }

    pub fn times(&self) -> Vec<Duration> {
        self.with(|line| line.times.clone())
    }

    fn restore(&self, snapshot: &[u8]) -> Option<Arc<ClusterState>> {
        self.with(|line| (line.genesis.0 == snapshot).then(|| Arc::clone(&line.genesis.1)))
    }

    fn apply(
        &self,
        index: u64,
        bytes: &[u8],
        before: &Arc<ClusterState>,
        reads: Format,
    ) -> Result<(Arc<ClusterState>, Outcome), MachineError> {
        self.with(|line| {
            if let Some(known) = line.states.get(&index) {
                return Ok(known.clone());
            }
            let began = monotonic();
            let entry = Entry::decode(bytes, reads)?;
            let mut state = Arc::clone(before);
            let outcome = Arc::make_mut(&mut state).apply(&entry);
            line.times.push(monotonic().since(began));
            line.newest = Arc::clone(&state);
            line.states.insert(index, (Arc::clone(&state), outcome.clone()));
            if line.states.len() > KEPT {
                line.states.pop_first();
            }
            Ok((state, outcome))
        })
    }
}

pub struct Recorded {
    inner: Inner,
    /// Of the daemon that this is.
    reads: Format,
    records: Sender<Record>,
}

enum Inner {
    Own(Replicated),
    Shared(Shared, Arc<ClusterState>),
}

impl Recorded {
    pub fn new(
        awaited: ClusterState,
        reads: Format,
        shared: Option<Shared>,
        records: Sender<Record>,
    ) -> Self {
        let inner = match shared {
            Some(shared) => Inner::Shared(shared, Arc::new(awaited)),
            None => Inner::Own(Replicated::reading(awaited, reads)),
        };
        Self { inner, reads, records }
    }
}

impl StateMachine for Recorded {
    type View = Arc<ClusterState>;
    type Outcome = Outcome;

    fn admit(from: NodeId, entry: &[u8]) -> Result<(), MachineError> {
        Replicated::admit(from, entry)
    }

    fn apply(&mut self, index: u64, bytes: &[u8]) -> Result<Outcome, MachineError> {
        let inner = match &mut self.inner {
            Inner::Shared(shared, state) => {
                let (after, outcome) = shared.apply(index, bytes, state, self.reads)?;
                *state = after;
                return Ok(outcome);
            }
            Inner::Own(inner) => inner,
        };
        let outcome = inner.apply(index, bytes)?;
        let entry = Arc::new(Entry::decode(bytes, self.reads)?);
        let state = index.is_multiple_of(DIGEST_EVERY).then(|| inner.view());
        let applied = Applied { index, entry, outcome: outcome.clone(), state };
        // Nobody listens where only figures are wanted.
        let _ = self.records.send(Record::Applied(applied));
        Ok(outcome)
    }

    fn snapshot(&self) -> Vec<u8> {
        match &self.inner {
            Inner::Own(inner) => inner.snapshot(),
            Inner::Shared(_, state) => state.encode(),
        }
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError> {
        match &mut self.inner {
            Inner::Own(inner) => inner.restore(snapshot)?,
            Inner::Shared(shared, state) => {
                *state = match shared.restore(snapshot) {
                    Some(genesis) => genesis,
                    None => Arc::new(ClusterState::decode(snapshot, self.reads)?),
                };
            }
        }
        let _ = self.records.send(Record::Restored);
        Ok(())
    }

    fn view(&self) -> Arc<ClusterState> {
        match &self.inner {
            Inner::Own(inner) => inner.view(),
            Inner::Shared(_, state) => Arc::clone(state),
        }
    }
}
