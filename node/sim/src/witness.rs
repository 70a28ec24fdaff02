//! Sees what every replica applied and every host did, and asks the promises at the moments at which
//! they can be broken.

use crate::host::{Change, Host, OperationId, Truth};
use crate::machine::{Applied, Record};
use crate::node::Node;
use crate::promises::{
    Auditor, Contact, Effect, Hosts, Said, Survivor, Violation,
    a_revoked_peer_changes_nothing_and_learns_nothing, order_left,
};
use crate::reached::Coverage;
use relupd::ids::{AppName, CommandId, NodeId};
use relupd::state::{ClusterState, Outcome};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The whole state of a replica is compared at every so many entries.
pub const DIGEST_EVERY: u64 = 64;

/// Hosts are looked at this often for what lasts on them.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What was applied somewhere so long ago everybody has applied, once faults have ended: retried messages, and a
/// snapshot that has to be asked for first.
const CATCHES_UP_WITHIN: Duration = Duration::from_secs(30);

/// What everybody must agree on, and what was promised.
#[derive(Debug)]
pub struct Witness {
    auditor: Auditor,
    state: Arc<ClusterState>,
    applied: u64,
    /// The newest entries, with when each was first applied anywhere.
    news: VecDeque<(Duration, u64)>,
    /// Replicas share one line of states: what they come to is not compared.
    shares_states: bool,
    places: BTreeMap<NodeId, usize>,
    looks_at: Duration,
    /// Where an app was taken down by relupd, and may be so still.
    fallen: BTreeSet<usize>,
    /// Until when each host is, or may be, out of somebody's reach.
    disturbed: Vec<Duration>,
    /// Something happened since the promises were last asked.
    is_stirred: bool,
    pub broken: Option<Violation>,
}

/// Contact is sought every half minute at least.
const LOST_AFTER: Duration = Duration::from_secs(40);

/// The hosts, for the promises.
struct Sight<'a> {
    nodes: &'a [Node],
    places: &'a BTreeMap<NodeId, usize>,
    fallen: &'a BTreeSet<usize>,
    now: Duration,
    disturbed: &'a [Duration],
}

impl Sight<'_> {
    fn place(&self, node: NodeId) -> Option<usize> {
        self.places.get(&node).copied()
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
        // Of a thousand hosts nearly all have not fallen, and this is asked of all of them.
        !self.fallen.is_empty() && self.host(node, app).is_some_and(Host::is_down_by_us)
    }

    fn could_tell(&self, node: NodeId, app: &AppName) -> bool {
        let Some(place) = self.place(node).filter(|place| self.disturbed[*place] < self.now) else {
            return false;
        };
        let node = &self.nodes[place];
        let heard =
            node.daemon.as_ref().filter(|daemon| daemon.contact_age(&node.clock, self.now) < LOST_AFTER);
        heard.and_then(|daemon| daemon.agent(app)).is_some_and(|agent| !agent.is_at_work())
    }

    fn may_be_out_of_reach(&self, node: NodeId) -> bool {
        let Some(place) = self.place(node) else { return true };
        self.nodes[place].daemon.is_none() || self.disturbed[place] >= self.now
    }
}

impl Witness {
    pub fn new(begin: Arc<ClusterState>, nodes: &[Node], shares_states: bool) -> Self {
        let mut auditor = Auditor::new(if shares_states { u64::MAX } else { DIGEST_EVERY });
        if let Some(first) = nodes.first() {
            auditor.took_a_snapshot(first.id, Some(1), begin.digest());
        }
        Self {
            auditor,
            state: begin,
            applied: 1,
            news: VecDeque::new(),
            shares_states,
            places: nodes.iter().enumerate().map(|(place, node)| (node.id, place)).collect(),
            looks_at: Duration::ZERO,
            fallen: BTreeSet::new(),
            disturbed: vec![Duration::ZERO; nodes.len()],
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
        let node = nodes[place].id;
        let Applied { index, entry, outcome, state } = match record {
            Record::Applied(applied) => applied,
            Record::Snapshot { index, state } => {
                self.auditor.took_a_snapshot(node, *index, *state);
                return false;
            }
            Record::Restored { written, state } => {
                self.auditor.took_over(node, *written, *state);
                return false;
            }
        };
        let is_news = *index > self.applied;
        if is_news {
            let before = Arc::clone(&self.state);
            let ours = match state.as_ref().filter(|_| self.shares_states) {
                Some(state) => {
                    self.state = Arc::clone(state);
                    outcome.clone()
                }
                None => Arc::make_mut(&mut self.state).apply(entry),
            };
            self.applied = *index;
            self.note_news(now);
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
        let sight =
            Sight { nodes, places: &self.places, fallen: &self.fallen, now, disturbed: &self.disturbed };
        self.auditor.applied(now, node, *index, Some((entry, outcome)), state, &sight);
        is_news
    }

    fn note_news(&mut self, now: Duration) {
        self.news.push_back((now, self.applied));
        // Of what everybody should have by now only the newest matters.
        while self.news.get(1).is_some_and(|(at, _)| *at + CATCHES_UP_WITHIN <= now) {
            self.news.pop_front();
        }
    }

    /// What everybody has had the time to apply.
    fn due(&self, now: Duration) -> u64 {
        let due = self.news.iter().rev().find(|(at, _)| *at + CATCHES_UP_WITHIN <= now);
        due.map_or(0, |(_, index)| *index)
    }

    /// An app was taken down there.
    pub fn fell(&mut self, place: usize) {
        self.is_stirred = true;
        self.fallen.insert(place);
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
        let sight =
            Sight { nodes, places: &self.places, fallen: &self.fallen, now, disturbed: &self.disturbed };
        if std::mem::take(&mut self.is_stirred) {
            self.auditor.after_event(&sight);
        }
        if now >= self.looks_at {
            self.looks_at = now + LOOK_EVERY;
            self.auditor.looked(now, &sight);
            self.fallen.retain(|place| nodes[*place].hosts.values().any(Host::is_down_by_us));
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
        let survivors: Vec<_> = nodes
            .iter()
            .filter(|node| self.survives(node))
            .map(|node| {
                let applied = node.daemon.as_ref().map(|daemon| daemon.status().applied);
                Survivor { node: node.id, applied }
            })
            .collect();
        let sight =
            Sight { nodes, places: &self.places, fallen: &self.fallen, now, disturbed: &self.disturbed };
        self.auditor.at_the_end(&living, &survivors, self.due(now), &sight);
        self.look(now, nodes);
    }

    /// Whether it belongs to the cluster, and is not gone for good. Who was let in and never heard of it has no
    /// number in raft: an operator's to settle.
    fn survives(&self, node: &Node) -> bool {
        !node.dead && node.raft.is_some() && self.state.present(node.id).is_ok()
    }

    /// What has ended, and is not yet as it was ordered to be.
    pub fn order_left(&self, now: Duration, nodes: &[Node]) -> Option<String> {
        let survives = |id| self.places.get(&id).is_some_and(|place| self.survives(&nodes[*place]));
        let sight =
            Sight { nodes, places: &self.places, fallen: &self.fallen, now, disturbed: &self.disturbed };
        order_left(&self.state, survives, &sight)
    }
}
