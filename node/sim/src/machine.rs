//! The daemon's state machine, with a record of what it was given and what it answered, for those who
//! hold the replicas against each other (S8, S12).

use crate::witness::DIGEST_EVERY;
use bytes::Bytes;
use relupd::clock::monotonic;
use relupd::consensus::{MachineError, StateMachine};
use relupd::daemon::replicated::Replicated;
use relupd::format::Format;
use relupd::ids::{Digest, NodeId};
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
    /// A snapshot was taken; `index` is the newest entry in it, where that is known.
    Snapshot {
        index: Option<u64>,
        state: Digest,
    },
    /// The state jumped to that of a snapshot: what was written down, and what came of reading it.
    Restored {
        written: Digest,
        state: Digest,
    },
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
    newest: (u64, Arc<ClusterState>),
    /// Snapshots by the index that they were taken at.
    snapshots: BTreeMap<u64, Bytes>,
    /// Wall time of every application.
    times: Vec<Duration>,
}

/// What came of an entry; with the entry where nobody has been there before.
struct Step {
    entry: Option<Entry>,
    state: Arc<ClusterState>,
    outcome: Outcome,
}

/// A replica that is further behind than this applies for itself.
const KEPT: usize = 4096;

/// Replicas take their snapshots at about the same entries, few of them at a time.
const SNAPSHOTS_KEPT: usize = 64;

impl Shared {
    pub fn new(state: Arc<ClusterState>, bytes: Bytes) -> Self {
        let line = Line {
            newest: (0, Arc::clone(&state)),
            genesis: (bytes, state),
            states: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            times: Vec::new(),
        };
        Self(Arc::new(Mutex::new(line)))
    }

    fn with<T>(&self, look: impl FnOnce(&mut Line) -> T) -> T {
        look(&mut self.0.try_lock().expect("a simulation is one thread, and no guard outlives a statement"))
    }

    /// The state at the end of what anybody has applied.
    pub fn newest(&self) -> Arc<ClusterState> {
        self.with(|line| Arc::clone(&line.newest.1))
    }

    pub fn times(&self) -> Vec<Duration> {
        self.with(|line| line.times.clone())
    }

    fn restore(&self, snapshot: &[u8]) -> Option<Arc<ClusterState>> {
        self.with(|line| (line.genesis.0 == snapshot).then(|| Arc::clone(&line.genesis.1)))
    }

    fn snapshot(&self, index: u64, state: &ClusterState) -> Bytes {
        if index == 0 {
            // Right after it took over somebody else's: the index is not known.
            return state.encode().into();
        }
        self.with(|line| {
            if line.snapshots.len() > SNAPSHOTS_KEPT {
                line.snapshots.pop_first();
            }
            line.snapshots.entry(index).or_insert_with(|| state.encode().into()).clone()
        })
    }

    fn apply(
        &self,
        index: u64,
        bytes: &[u8],
        before: &Arc<ClusterState>,
        reads: Format,
    ) -> Result<Step, MachineError> {
        self.with(|line| {
            if let Some((state, outcome)) = line.states.get(&index).cloned() {
                return Ok(Step { entry: None, state, outcome });
            }
            let began = monotonic();
            let entry = Entry::decode(bytes, reads)?;
            let mut state = Arc::clone(before);
            let outcome = Arc::make_mut(&mut state).apply(&entry);
            line.times.push(monotonic().since(began));
            let is_news = index > line.newest.0;
            if is_news {
                line.newest = (index, Arc::clone(&state));
                line.states.insert(index, (Arc::clone(&state), outcome.clone()));
            }
            if line.states.len() > KEPT {
                line.states.pop_first();
            }
            Ok(Step { entry: is_news.then_some(entry), state, outcome })
        })
    }
}

/// Entries as they were read for the record, by index: what several replicas apply is read once for all of them.
#[derive(Clone, Debug, Default)]
pub struct Readings(Arc<Mutex<BTreeMap<u64, Reading>>>);

#[derive(Clone, Debug)]
struct Reading {
    bytes: Vec<u8>,
    reads: Format,
    entry: Arc<Entry>,
}

/// Replicas are seldom further apart.
const READINGS_KEPT: usize = 64;

impl Readings {
    fn entry(&self, index: u64, bytes: &[u8], reads: Format) -> Result<Arc<Entry>, MachineError> {
        let mut known = self.0.try_lock().expect("a simulation is one thread, and no guard outlives a call");
        if let Some(reading) = known.get(&index)
            && reading.bytes == bytes
            && reading.reads == reads
        {
            return Ok(Arc::clone(&reading.entry));
        }
        let entry = Arc::new(Entry::decode(bytes, reads)?);
        known.insert(index, Reading { bytes: bytes.to_vec(), reads, entry: Arc::clone(&entry) });
        if known.len() > READINGS_KEPT {
            known.pop_first();
        }
        Ok(entry)
    }
}

pub struct Recorded {
    inner: Inner,
    readings: Readings,
    /// Of the daemon that this is.
    reads: Format,
    /// The newest entry since the beginning, or since a snapshot was taken over.
    newest: Option<u64>,
    records: Sender<Record>,
}

enum Inner {
    Own(Replicated),
    Shared { line: Shared, applied: u64, state: Arc<ClusterState> },
}

impl Recorded {
    pub fn new(
        awaited: ClusterState,
        reads: Format,
        shared: Option<Shared>,
        readings: Readings,
        records: Sender<Record>,
    ) -> Self {
        let inner = match shared {
            Some(line) => Inner::Shared { line, applied: 0, state: Arc::new(awaited) },
            None => Inner::Own(Replicated::reading(awaited, reads)),
        };
        Self { inner, readings, reads, newest: None, records }
    }
}

impl Recorded {
    fn tell(&self, record: Record) {
        // A daemon that is being started may be given up before anybody listens.
        let _ = self.records.send(record);
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
            Inner::Shared { line, applied, state } => {
                let Step { entry, state: after, outcome } = line.apply(index, bytes, state, self.reads)?;
                (*applied, *state) = (index, Arc::clone(&after));
                if let Some(entry) = entry {
                    self.tell(Record::Applied(Applied {
                        index,
                        entry: Arc::new(entry),
                        outcome: outcome.clone(),
                        state: Some(after),
                    }));
                }
                return Ok(outcome);
            }
            Inner::Own(inner) => inner,
        };
        let outcome = inner.apply(index, bytes)?;
        let entry = self.readings.entry(index, bytes, self.reads)?;
        let state = index.is_multiple_of(DIGEST_EVERY).then(|| inner.view());
        self.newest = Some(index);
        self.tell(Record::Applied(Applied { index, entry, outcome: outcome.clone(), state }));
        Ok(outcome)
    }

    fn snapshot(&self) -> Bytes {
        match &self.inner {
            Inner::Own(inner) => {
                let bytes = inner.snapshot();
                self.tell(Record::Snapshot { index: self.newest, state: Digest::of(&bytes) });
                bytes
            }
            Inner::Shared { line, applied, state } => line.snapshot(*applied, state),
        }
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError> {
        match &mut self.inner {
            Inner::Own(inner) => {
                inner.restore(snapshot)?;
                let (written, state) = (Digest::of(snapshot), inner.view().digest());
                self.newest = None;
                self.tell(Record::Restored { written, state });
            }
            Inner::Shared { line, applied, state } => {
                *applied = 0;
                *state = match line.restore(snapshot) {
                    Some(genesis) => genesis,
                    None => Arc::new(ClusterState::decode(snapshot, self.reads)?),
                };
            }
        }
        Ok(())
    }

    fn view(&self) -> Arc<ClusterState> {
        match &self.inner {
            Inner::Own(inner) => inner.view(),
            Inner::Shared { state, .. } => Arc::clone(state),
        }
    }
}
