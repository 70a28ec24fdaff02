//! The simulated world: virtual time, one queue of events, and nothing that runs beside it.

use crate::ambush::Ambush;
use crate::clock::Clock;
use crate::daemon::Setting;
use crate::figures::Stopwatch;
use crate::genesis::{self, Shape, VERSIONS, node_id};
use crate::host::{Host, Manager, Setup};
use crate::machine::{Applied, Record, Shared};
use crate::network::Network;
use crate::node::{Node, Surroundings};
use crate::operator::Operators;
use crate::random::Random;
use crate::reached::Coverage;
use crate::schedule::{SPARE_HOSTS, Schedule};
use crate::trace::Trace;
use crate::witness::Witness;
use bytes::Bytes;
use relupd::clock::monotonic;
use relupd::ids::RaftId;
use relupd::state::ClusterState;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A forwarded request that got lost is known to be so after this long, as a QUIC stream that idles out.
const NO_ANSWER: Duration = Duration::from_secs(3);

/// A daemon that fails to start is started again by the service manager.
pub const RESTART_AFTER: Duration = Duration::from_secs(2);

mod delivery;
mod event;

use event::Due;
pub use event::{Departure, Event, Relief};

pub struct World {
    pub now: Duration,
    pub setting: Setting,
    pub shape: Shape,
    pub nodes: Vec<Node>,
    pub network: Network,
    pub schedule: Schedule,
    pub operators: Operators,
    pub witness: Witness,
    pub coverage: Coverage,
    pub stopwatch: Stopwatch,
    pub trace: Trace,
    pub events: u64,
    pub calm: bool,
    /// What waits for its moment.
    pub ambushes: Vec<Ambush>,
    /// When the operators next look by themselves.
    pub operators_regular_at: Duration,
    /// Bytes of raft messages that were sent, and wall time of the leader's work; only where wanted.
    pub raft_bytes: Option<u64>,
    pub leader_time: Duration,
    queue: BinaryHeap<Reverse<Due>>,
    number: u64,
    places: BTreeMap<RaftId, usize>,
}

impl World {
    pub fn new(seed: u64, shape: Shape, schedule: Schedule, trace: Trace) -> Self {
        let mut setting = genesis::setting(seed, &shape);
        let state = genesis::state(&shape);
        let bytes = Bytes::from(state.encode());
        setting.shared = shape.shares_states.then(|| Shared::new(Arc::new(state.clone()), bytes.clone()));
        let clocks = Random::new(seed, "clocks");
        let hosts = Random::new(seed, "hosts");
        let daemons = Random::new(seed, "daemons");
        let catalogs: Vec<_> =
            shape.apps.iter().map(|app| (app, Rc::new(genesis::catalog(seed, &app.name, &shape)))).collect();
        let mut nodes = Vec::new();
        let mut places = BTreeMap::new();
        for place in 0..shape.hosts + SPARE_HOSTS {
            let mut random = clocks.split(place as u64);
            let drift = 100 - i64::try_from(random.below(200)).unwrap_or_default();
            let wall = 2_000 - i64::try_from(random.below(4_000)).unwrap_or_default();
            let mut node = Node::new(
                node_id(place),
                genesis::identity(place),
                Clock::new(drift, wall),
                daemons.split(place as u64),
            );
            let random = hosts.split(place as u64);
            for (index, (app, catalog)) in catalogs.iter().enumerate() {
                let mut random = random.split(index as u64);
                let manager = if random.chance(500) { Manager::Restarts } else { Manager::Leaves };
                let setup = Setup {
                    app: app.name.clone(),
                    release: genesis::release_name(&app.name),
                    host: place,
                    manager,
                    has_script: random.chance(700),
                };
                let mut host = Host::new(setup, Rc::clone(catalog), random);
                if place < shape.hosts {
                    let first = genesis::version(VERSIONS[0]);
                    let manifest = genesis::manifest(&app.name, &first);
                    host.settle(&first, manifest);
                    node.drawer.fetched.insert(manifest);
                }
                node.hosts.insert(app.name.clone(), host);
            }
            if place < shape.hosts {
                let raft = RaftId(place as u64 + 1);
                node.raft = Some(raft);
                places.insert(raft, place);
                genesis::format(&node.disk, &setting, place, &shape, bytes.clone())
                    .expect("a new disk works");
            }
            nodes.push(node);
        }
        let mut world = Self {
            now: Duration::ZERO,
            setting,
            network: Network::new(Random::new(seed, "network")),
            operators: Operators::new(Random::new(seed, "operators")),
            witness: Witness::new(Arc::new(state), &nodes, shape.shares_states),
            coverage: Coverage::default(),
            stopwatch: Stopwatch::default(),
            trace,
            events: 0,
            calm: false,
            ambushes: Vec::new(),
            operators_regular_at: Duration::ZERO,
            raft_bytes: None,
            leader_time: Duration::ZERO,
            queue: BinaryHeap::new(),
            number: 0,
            places,
            nodes,
            shape,
            schedule,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for place in 0..self.shape.hosts {
            self.start_daemon(place);
        }
        for index in 0..self.schedule.planned.len() {
            let at = self.schedule.planned[index].at;
            self.at(at, Event::Deed(index));
        }
        let calm_at = self.schedule.calm_at;
        self.at(calm_at, Event::Relief(Relief::Calm));
        self.at(Duration::from_secs(1), Event::Operators);
    }

    pub fn at(&mut self, at: Duration, event: Event) {
        self.number += 1;
        self.queue.push(Reverse(Due { at: at.max(self.now), number: self.number, event }));
    }

    pub fn after(&mut self, after: Duration, event: Event) {
        self.at(self.now + after, event);
    }

    pub fn place_of(&self, raft: RaftId) -> Option<usize> {
        self.places.get(&raft).copied()
    }

    /// A node has got its number in raft.
    pub fn admitted(&mut self, place: usize, raft: RaftId) {
        self.nodes[place].raft = Some(raft);
        self.places.insert(raft, place);
    }

    /// The newest state that any daemon has applied.
    pub fn newest_state(&self) -> Arc<ClusterState> {
        self.setting.shared.as_ref().map_or_else(|| Arc::clone(self.witness.state()), Shared::newest)
    }

    /// Lets the next event happen; `None` where a promise was broken or nothing is left to happen.
    pub fn step(&mut self) -> bool {
        let Some(Reverse(Due { at, event, .. })) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.events += 1;
        self.trace.mix(u64::try_from(self.now.as_nanos()).unwrap_or(u64::MAX));
        self.handle(event);
        self.witness.look(self.now, &self.nodes);
        true
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Message { to, .. } | Event::Request { to, .. } if self.is_busy(to) => {
                self.queue_up(to, event)
            }
            Event::Free(place) => self.work_off(place),
            Event::Wake(place) => {
                let node = &mut self.nodes[place];
                if node.wakes.is_some_and(|at| at <= self.now) {
                    node.wakes = None;
                    self.trace.mix(place as u64);
                    self.settle(place);
                }
            }
            Event::Message { to, from, message, left } => self.deliver(to, from, *message, left),
            Event::Request { to, from, request, asked } => self.serve(to, from, request, asked),
            Event::Reply { to, from, asked, reply } => self.replied(to, from, asked, reply),
            Event::Deed(index) => {
                let deed = self.schedule.planned[index].deed.clone();
                self.trace.mix(index as u64);
                self.trace.line(self.now, || format!("--  {deed:?}"));
                self.carry_out(deed);
            }
            Event::Ambush(_) if self.calm => {}
            Event::Ambush(deed) => {
                self.trace.line(self.now, || format!("--  in ambush: {deed:?}"));
                self.carry_out(*deed);
            }
            Event::Relief(relief) => {
                self.trace.line(self.now, || format!("--  ends: {relief:?}"));
                self.relieve(relief);
            }
            Event::Operators => self.operators_look(),
        }
    }

    /// Lets a node do everything that it can do now, and sends on what came of it.
    pub fn settle(&mut self, place: usize) {
        let now = self.now;
        if self.nodes[place].busy_until > now && self.nodes[place].daemon.is_some() {
            self.rewake(place);
            return;
        }
        let alone = self.is_alone(place);
        let node = &mut self.nodes[place];
        let (daemon, mut ground) = node.ground(Surroundings {
            alone,
            newest: self.witness.newest(),
            coverage: &mut self.coverage,
            stopwatch: &mut self.stopwatch,
            trace: &mut self.trace,
        });
        let Some(running) = daemon else {
            for host in ground.hosts.values_mut() {
                // Without a daemon nobody hears what the host has to say.
                drop(host.advance(now));
            }
            self.changes(place);
            self.rewake(place);
            return;
        };
        let timed = self.raft_bytes.is_some() && running.leads();
        let began = timed.then(monotonic);
        let settled = running.settle(now, &mut ground);
        if let Some(began) = began {
            self.leader_time += monotonic().since(began);
        }
        let effects = std::mem::take(&mut running.effects);
        let records: Vec<Record> = running.records.try_iter().collect();
        let spent = running.take_spent();
        node.busy_until = now + spent;
        self.falls(place);
        self.witnessed(place, records);
        for effect in effects {
            self.emit(place, effect);
        }
        self.changes(place);
        match settled {
            Ok(()) => self.rewake(place),
            Err(died) => {
                self.trace.log(now, place, || format!("the daemon dies: {}", died.0));
                let stays_down = std::mem::take(&mut self.nodes[place].disk.platter().stays_down);
                let down = stays_down.max(RESTART_AFTER);
                self.witness.disturb(place, now + down + 9 * RESTART_AFTER);
                self.nodes[place].daemon_ended(now, now + spent);
                self.after(down, Event::Relief(Relief::StartDaemon(place)));
            }
        }
    }

    fn witnessed(&mut self, place: usize, records: Vec<Record>) {
        let mut is_news = false;
        for record in records {
            let first = self.witness.record(self.now, place, &record, &self.nodes, &mut self.coverage);
            match &record {
                Record::Applied(Applied { index, entry, outcome, .. }) => {
                    self.trace.mix(*index);
                    if first {
                        is_news = true;
                        self.trace.mix_text(outcome);
                        self.trace.line(self.now, || format!("#{index}  {:?} -> {outcome:?}", entry.command));
                    }
                }
                Record::Snapshot { .. } => {}
                Record::Restored { .. } => {
                    self.trace.log(self.now, place, || "takes a snapshot over".to_owned());
                }
            }
        }
        if is_news {
            self.spring_ambushes();
        }
    }

    /// What relupd took down on a host.
    fn falls(&mut self, place: usize) {
        for host in self.nodes[place].hosts.values_mut() {
            if host.take_fall() {
                self.witness.fell(place);
            }
        }
    }

    /// What changed on a host, for the promises.
    fn changes(&mut self, place: usize) {
        self.falls(place);
        let (now, node) = (self.now, &mut self.nodes[place]);
        for (app, host) in &mut node.hosts {
            for change in host.take_changes() {
                self.trace.log(now, place, || format!("{app}: {:?} by {:?}", change.what, change.cause));
                self.trace.mix_text(&change);
                self.witness.changed(node.id, app, &change);
            }
        }
    }

    /// Makes sure that a node is woken when it wants to go on.
    fn rewake(&mut self, place: usize) {
        let now = self.now;
        let node = &mut self.nodes[place];
        let Some(due) = node.next_due().map(|due| due.max(now)) else { return };
        if node.wakes.is_none_or(|at| due < at) {
            node.wakes = Some(due);
            self.at(due, Event::Wake(place));
        }
    }

    pub fn start_daemon(&mut self, place: usize) {
        let now = self.now;
        let node = &mut self.nodes[place];
        if node.daemon.is_some() || !node.powered || node.raft.is_none() {
            return;
        }
        let surroundings = Surroundings {
            alone: false,
            newest: self.witness.newest(),
            coverage: &mut self.coverage,
            stopwatch: &mut self.stopwatch,
            trace: &mut self.trace,
        };
        match node.start_daemon(place, &self.setting, now, surroundings) {
            Ok(()) => {
                self.trace.log(now, place, || "the daemon starts".to_owned());
                self.settle(place);
            }
            Err(died) => {
                self.trace.log(now, place, || format!("the daemon does not start: {}", died.0));
                self.after(RESTART_AFTER, Event::Relief(Relief::StartDaemon(place)));
            }
        }
    }
}
