//! The simulated world: virtual time, one queue of events, and nothing that runs beside it.

use crate::ambush::Ambush;
use crate::clock::Clock;
use crate::daemon::calls::CallId;
use crate::daemon::{Effect, Setting};
use crate::figures::Stopwatch;
use crate::genesis::{self, Shape, VERSIONS, node_id};
use crate::host::{Host, Manager, Setup};
use crate::machine::{Record, Shared};
use crate::network::Network;
use crate::node::{Node, Surroundings};
use crate::operator::Operators;
use crate::promises::Contact;
use crate::random::Random;
use crate::reached::Coverage;
use crate::schedule::{Deed, SPARE_HOSTS, Schedule};
use crate::trace::Trace;
use crate::witness::Witness;
use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb::Message;
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

#[derive(Debug)]
pub enum Event {
    /// A node wants to go on.
    Wake(usize),
    Message {
        to: usize,
        from: usize,
        message: Box<Message>,
    },
    Request {
        to: usize,
        from: usize,
        request: Bytes,
        call: CallId,
        number: u32,
        boot: u64,
    },
    Reply {
        to: usize,
        call: CallId,
        number: u32,
        reply: Option<Bytes>,
        boot: u64,
    },
    /// A node has done what it was busy with.
    Free(usize),
    /// Of the schedule, by its index.
    Deed(usize),
    /// A deed whose moment has come.
    Ambush(Box<Deed>),
    /// A fault ends.
    Relief(Relief),
    /// Operators look at what they are waiting for.
    Operators,
}

/// The end of a fault.
#[derive(Clone, Debug)]
pub enum Relief {
    StartDaemon(usize),
    PowerOn(usize),
    Mend { links: Vec<(usize, usize)> },
    Hurry(usize),
    Calm,
    FreeDisk(usize),
    FastDisk(usize),
    FreeRoot(usize),
    Fetch(usize),
}

struct Due {
    at: Duration,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

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
            let mut node = Node::new(node_id(place), Clock::new(drift, wall), daemons.split(place as u64));
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
            witness: Witness::new(Arc::new(state)),
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
        self.handle(event);
        if self.setting.shared.is_none() {
            self.witness.look(&self.nodes);
        }
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
            Event::Message { to, from, message } => self.deliver(to, from, *message),
            Event::Request { to, from, request, call, number, boot } => {
                self.serve(to, from, request, call, number, boot);
            }
            Event::Reply { to, call, number, reply, boot } => {
                let now = self.now;
                let node = &mut self.nodes[to];
                if let Some(daemon) = node.daemon.as_mut().filter(|daemon| daemon.boot() == boot) {
                    let local = daemon.monotonic(&node.clock, now);
                    daemon.replied(call, number, reply, local);
                    self.settle(to);
                }
            }
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

    fn is_busy(&self, place: usize) -> bool {
        self.nodes[place].busy_until > self.now
    }

    /// Lets an event wait until the node is free. As long as any does, one `Free` is on its way.
    fn queue_up(&mut self, place: usize, event: Event) {
        let node = &mut self.nodes[place];
        let (is_first, free_at) = (node.inbox.is_empty(), node.busy_until);
        node.inbox.push_back(event);
        if is_first {
            self.at(free_at, Event::Free(place));
        }
    }

    /// What has waited for a node, in its order, until the node is busy again.
    fn work_off(&mut self, place: usize) {
        while !self.is_busy(place) {
            let Some(event) = self.nodes[place].inbox.pop_front() else { return };
            self.handle(event);
        }
        if !self.nodes[place].inbox.is_empty() {
            let free_at = self.nodes[place].busy_until;
            self.at(free_at, Event::Free(place));
        }
    }

    fn deliver(&mut self, to: usize, from: usize, message: Message) {
        let (now, sender) = (self.now, self.nodes[from].id);
        let node = &mut self.nodes[to];
        let Some(daemon) = &mut node.daemon else { return };
        // Whoever was removed has no certificate that would be taken here any more (S10).
        let refused = daemon.state().nodes.get(&sender).is_some_and(|record| !record.is_present());
        let contact = Contact { from: sender, to: node.id, refused, heard: !refused, answered: false };
        self.witness.contact(contact);
        if refused {
            return;
        }
        self.trace.mix(
            message.get_msg_type() as u64 ^ (to as u64) << 8 ^ (from as u64) << 16 ^ message.index << 24,
        );
        let local = daemon.monotonic(&node.clock, now);
        daemon.receive(message, local);
        if !self.more_at_once(to) {
            self.settle(to);
        }
    }

    fn serve(&mut self, to: usize, from: usize, request: Bytes, call: CallId, number: u32, boot: u64) {
        let (now, sender) = (self.now, self.nodes[from].id);
        let node = &mut self.nodes[to];
        let served = node.daemon.as_mut().and_then(|daemon| {
            let refused = daemon.state().nodes.get(&sender).is_some_and(|record| !record.is_present());
            let local = daemon.monotonic(&node.clock, now);
            (!refused).then(|| daemon.serve(request, local))
        });
        let Some(reply) = served else {
            self.after(NO_ANSWER, Event::Reply { to: from, call, number, reply: None, boot });
            return;
        };
        self.settle(to);
        let [first, _] = self.network.send(to, from);
        let (after, reply) = first.map_or((NO_ANSWER, None), |after| (after, Some(reply)));
        self.after(after, Event::Reply { to: from, call, number, reply, boot });
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
        self.witnessed(place, records);
        for effect in effects {
            self.emit(place, effect);
        }
        self.changes(place);
        match settled {
            Ok(()) => self.rewake(place),
            Err(died) => {
                self.trace.log(now, place, || format!("the daemon dies: {}", died.0));
                self.nodes[place].daemon_gone(now);
                self.after(RESTART_AFTER, Event::Relief(Relief::StartDaemon(place)));
            }
        }
    }

    /// Whether no daemon can be reached from here, and none reaches this one.
    fn is_alone(&self, place: usize) -> bool {
        let meets = |other: &usize| {
            let reaches = self.network.reaches(place, *other) && self.network.reaches(*other, place);
            *other != place && self.nodes[*other].daemon.is_some() && reaches
        };
        !(0..self.nodes.len()).any(|other| meets(&other))
    }

    /// Whether the next event belongs to the same moment of the same node: what a member finds in its
    /// inbox together is taken together, and shares one commit.
    fn more_at_once(&self, place: usize) -> bool {
        let waits = |event: &Event| matches!(event, Event::Message { .. });
        self.nodes[place].inbox.front().is_some_and(waits)
            || self.queue.peek().is_some_and(|Reverse(due)| {
                due.at <= self.now && matches!(due.event, Event::Message { to, .. } if to == place)
            })
    }

    fn witnessed(&mut self, place: usize, records: Vec<Record>) {
        if self.setting.shared.is_some() {
            return;
        }
        let mut is_news = false;
        for record in records {
            match &record {
                Record::Applied(applied) => {
                    self.trace.mix(applied.index);
                    let (nodes, coverage) = (&self.nodes, &mut self.coverage);
                    if self.witness.record(self.now, place, &record, nodes, coverage) {
                        is_news = true;
                        let (index, entry) = (applied.index, &applied.entry);
                        let outcome = &applied.outcome;
                        self.trace.line(self.now, || format!("#{index}  {:?} -> {outcome:?}", entry.command));
                    }
                }
                Record::Restored => self.trace.log(self.now, place, || "took over a snapshot".to_owned()),
            }
        }
        if is_news {
            self.spring_ambushes();
        }
    }

    /// What changed on a host, for the promises.
    fn changes(&mut self, place: usize) {
        let apps: Vec<_> = self.nodes[place].hosts.keys().cloned().collect();
        for app in apps {
            let Some(host) = self.nodes[place].hosts.get_mut(&app) else { continue };
            for change in host.take_changes() {
                self.trace.log(self.now, place, || format!("{app}: {:?} by {:?}", change.what, change.cause));
                if self.setting.shared.is_none() {
                    self.witness.changed(self.nodes[place].id, &app, &change);
                }
            }
        }
    }

    fn emit(&mut self, place: usize, effect: Effect) {
        match effect {
            Effect::Message { message, after } => {
                let Some(to) = self.place_of(RaftId(message.to)) else { return };
                if let Some(bytes) = &mut self.raft_bytes {
                    *bytes += u64::from(message.compute_size());
                }
                let copies = self.network.send(place, to);
                for latency in copies.into_iter().flatten() {
                    let message = Box::new(message.clone());
                    self.after(after + latency, Event::Message { to, from: place, message });
                }
            }
            Effect::Forward { to, request, call, number } => {
                let boot = self.nodes[place].daemon.as_ref().map_or(0, |daemon| daemon.boot());
                let sent = self.place_of(to).and_then(|to| Some((to, self.network.send(place, to)[0]?)));
                match sent {
                    Some((to, latency)) => {
                        self.after(latency, Event::Request { to, from: place, request, call, number, boot });
                    }
                    None => {
                        self.after(NO_ANSWER, Event::Reply { to: place, call, number, reply: None, boot });
                    }
                }
            }
            Effect::Operator { client, answer } => self.operator_answered(client, answer),
            Effect::OperatorRead { client, holds } => self.operator_read(place, client, holds),
            Effect::Begins { .. } | Effect::Says(_) | Effect::Answered { .. } | Effect::Read { .. }
                if self.setting.shared.is_some() => {}
            Effect::Begins { operation, effect } => self.witness.begins(operation, &effect),
            Effect::Says(said) => self.witness.says(&said),
            Effect::Answered { command, outcome } => self.witness.answered(command, &outcome),
            Effect::Read { applied, newest } => {
                let node = self.nodes[place].id;
                self.witness.read(node, applied, newest);
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
