//! Sees what every replica applied, and holds them against each other.

use crate::machine::{Applied, Record};
use relupd::ids::CommandId;
use relupd::state::ClusterState;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which one, e.g. `S8`.
    pub promise: &'static str,
    pub detail: String,
}

/// What everybody must agree on: one log, one state for each place in it.
#[derive(Debug)]
pub struct Witness {
    /// The first to apply an entry decides what it was; all others must agree.
    log: BTreeMap<u64, (u64, CommandId)>,
    state: Arc<ClusterState>,
    applied: u64,
    pub broken: Option<Broken>,
}

impl Witness {
    pub fn new(begin: Arc<ClusterState>, _hosts: usize) -> Self {
        Self { log: BTreeMap::new(), state: begin, applied: 1, broken: None }
    }

    /// The state at the end of what anybody has applied.
    pub fn state(&self) -> &Arc<ClusterState> {
        &self.state
    }

    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Whether nobody has applied this entry before.
    pub fn is_news(&self, index: u64) -> bool {
        !self.log.contains_key(&index)
    }

    pub fn started(&mut self, _place: usize) {}

    pub fn say(&mut self, promise: &'static str, detail: String) {
        self.broken.get_or_insert(Broken { promise, detail });
    }

    /// Takes in what happened in a replica; returns the new state where the log has grown.
    pub fn record(&mut self, place: usize, record: Record) -> Option<Arc<ClusterState>> {
        let Record::Applied(Applied { index, hash, entry, outcome }) = record else { return None };
        match self.log.get(&index) {
            Some((known, _)) => {
                if *known != hash {
                    let detail = format!("n{} applied another entry at {index}", place + 1);
                    self.say("S8", detail);
                }
                None
            }
            None => {
                self.log.insert(index, (hash, entry.id));
                let ours = Arc::make_mut(&mut self.state).apply(&entry);
                self.applied = index;
                if ours != outcome {
                    let detail =
                        format!("entry {index} came to {outcome:?} on n{}, and to {ours:?} here", place + 1);
                    self.say("S8", detail);
                }
                if let Some(violation) = self.state.violations().into_iter().next() {
                    self.say(violation.promise, violation.detail);
                }
                Some(Arc::clone(&self.state))
            }
        }
    }
}
