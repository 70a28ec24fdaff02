//! Sees what every replica applied and every host did, and asks the promises at the moments at which
//! they can be broken.

use crate::host::{Change, Host, OperationId, Truth};
use crate::machine::{Applied, Record};
use crate::node::Node;
use crate::promises::{
    Auditor, Contact, Effect, Hosts, Said, Violation, a_revoked_peer_changes_nothing_and_learns_nothing,
};
use crate::reached::Coverage;
use relupd::ids::{AppName, CommandId, NodeId};
use relupd::state::{ClusterState, Outcome};
use std::sync::Arc;
use std::time::Duration;

/// The whole state of a replica is compared at every so many entries.
pub const DIGEST_EVERY: u64 = 64;

/// What everybody must agree on, and what was promised.
#[derive(Debug)]
pub struct Witness {
    auditor: Auditor,
    state: Arc<ClusterState>,
    applied: u64,
    /// Until when each host is, or may be, out of somebody's reach.
    disturbed: Vec<Duration>,
    /// Something happened since the promises were last asked.
    is_stirred: bool,
    pub broken: Option<Violation>,
}

/// The hosts, for the promises.
struct Sight<'a> {
    nodes: &'a [Node],
    now: Duration,
    disturbed: &'a [Duration],
}

impl Sight<'_> {
    fn place(&self, node: NodeId) -> Option<usize> {
        self.nodes.iter().position(|known| known.id == node)
    }

    fn host(&self, node: NodeId, app: &AppName) -> Option<&Host> {
        let place = self.place(node)?;
        self.nodes[place].hosts.get(app).filter(|_| !self.nodes[place].dead)
    }
}

impl Hosts for Sight<'_> {
    fn truth(&self, node: NodeId, app: &AppName) -> Option<Truth> {
        self.host(node, app).map(Host::truth)
    }

    fn is_down_by_us(&self, node: NodeId, app: &AppName) -> bool {
        self.host(node, app).is_some_and(Host::is_down_by_us)
    }

    fn may_be_out_of_reach(&self, node: NodeId) -> bool {
        let Some(place) = self.place(node) else { return true };
        self.nodes[place].daemon.is_none() || self.disturbed[place] >= self.now
    }
}

impl Witness {
    pub fn new(begin: Arc<ClusterState>, places: usize) -> Self {
        Self {
            auditor: Auditor::new(DIGEST_EVERY),
            state: begin,
            applied: 1,
            disturbed: vec![Duration::ZERO; places],
            is_stirred: false,
            broken: None,
        }
    }

    /// The state at the end of what anybody has applied.
    pub fn state(&self) -> &Arc<ClusterState> {
        &self.state
    }

    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// The newest entry that anybody has applied.
    pub fn newest(&self) -> u64 {
        self.auditor.newest_index()
    }

    pub fn say(&mut self, promise: &'static str, detail: String) {
        self.broken.get_or_insert(Violation { promise, detail });
    }

    /// A fault is upon this host until then.
    pub fn disturb(&mut self, place: usize, until: Duration) {
        self.disturbed[place] = self.disturbed[place].max(until);
    }

    /// A fault that may be upon everybody, e.g. because a leader that stood still has heard of nobody.
    pub fn disturb_all(&mut self, until: Duration) {
        for place in 0..self.disturbed.len() {
            self.disturb(place, until);
        }
    }

    /// Takes in what happened in a replica; says whether it is news.
    pub fn record(
        &mut self,
        now: Duration,
        place: usize,
        record: &Record,
        nodes: &[Node],
        coverage: &mut Coverage,
    ) -> bool {
        let Record::Applied(Applied { index, entry, outcome, state }) = record else { return false };
        let node = nodes[place].id;
        let is_news = *index > self.applied;
        if is_news {
            let before = Arc::clone(&self.state);
            let ours = Arc::make_mut(&mut self.state).apply(entry);
            self.applied = *index;
            self.is_stirred = true;
            coverage.applied(&entry.command, &before, &self.state);
            if ours != *outcome {
                self.say(
                    "S8",
                    format!("entry {index} came to {outcome:?} on n{}, and to {ours:?} here", place + 1),
                );
            }
        }
        let state = state.as_ref().unwrap_or(&self.state);
        let sight = Sight { nodes, now, disturbed: &self.disturbed };
        self.auditor.applied(now, node, *index, Some((entry, outcome)), state, &sight);
        is_news
    }

    pub fn answered(&mut self, command: CommandId, outcome: &Outcome) {
        self.auditor.answered(command, outcome);
    }

    pub fn read(&mut self, node: NodeId, applied: u64, newest_when_asked: u64) {
        self.auditor.read(node, applied, newest_when_asked);
    }

    pub fn begins(&mut self, operation: OperationId, effect: &Effect) {
        self.auditor.begins(operation, effect);
    }

    pub fn says(&mut self, said: &Said) {
        self.auditor.says(said);
    }

    pub fn changed(&mut self, node: NodeId, app: &AppName, change: &Change) {
        self.is_stirred = true;
        self.auditor.changed(node, app, change);
    }

    pub fn contact(&mut self, contact: Contact) {
        if let Some(violation) = a_revoked_peer_changes_nothing_and_learns_nothing(contact) {
            self.broken.get_or_insert(violation);
        }
    }

    /// After every event.
    pub fn look(&mut self, now: Duration, nodes: &[Node]) {
        if std::mem::take(&mut self.is_stirred) {
            let sight = Sight { nodes, now, disturbed: &self.disturbed };
            self.auditor.after_event(&sight);
        }
        if let Some(violation) = self.auditor.take_violations().into_iter().next() {
            self.broken.get_or_insert(violation);
        }
    }

    /// When everything has settled.
    pub fn look_back(&mut self, now: Duration, nodes: &[Node]) {
        let living: Vec<_> = nodes
            .iter()
            .filter_map(|node| {
                let daemon = node.daemon.as_ref()?;
                Some((node.id, daemon.status().applied, daemon.state()))
            })
            .collect();
        let sight = Sight { nodes, now, disturbed: &self.disturbed };
        self.auditor.at_the_end(&living, &sight);
        self.look(now, nodes);
    }
}
