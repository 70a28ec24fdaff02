//! A daemon: a raft member, an agent for each app, the leader's work, and the calls between them. It is
//! all in memory: what is dropped with it was never on a disk.

pub mod agent;
pub mod calls;
pub mod context;
mod door;
pub mod leader;
mod rounds;

use crate::clock::{Clock, Process};
use crate::disk::SimulatedDisk;
use crate::figures::Stopwatch;
use crate::genesis::node_id;
use crate::host::{Host, OperationId};
use crate::machine::{Readings, Record, Recorded, Shared};
use crate::promises::{self, Violation, what_a_member_says_is_on_its_disk};
use crate::random::Random;
use crate::reached::Coverage;
use crate::trace::Trace;
use agent::Agent;
use bytes::Bytes;
use calls::{CallId, Caller, Calls};
use context::{Contact, Context, Drawer};
use door::Door;
use leader::{Keeper, Reconciler};
use raft::eraftpb::Message;
use relupd::agent::ledger_file;
use relupd::clock::Monotonic;
use relupd::consensus::stepped::Stepped;
use relupd::consensus::voters::VoterSettings;
use relupd::consensus::{Options, Storage};
use relupd::daemon::contact;
use relupd::format::Format;
use relupd::identity::PeerIdentity;
use relupd::ids::{AppName, ClusterId, CommandId, NodeId, RaftId};
use relupd::state::command::{Actor, Command};
use relupd::state::{ClusterState, Outcome};
use relupd::transport::join::KnownPeer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The real member with the recorded state machine.
pub type Core = Stepped<Recorded>;

/// What a daemon does to the world outside its host.
#[derive(Debug)]
pub enum Effect {
    /// A raft message, after so long.
    Message { message: Message, after: Duration },
    /// A promise was broken in here.
    Broken(Violation),
    /// A request to the leader; the answer comes to `Daemon::replied`.
    Forward { to: RaftId, request: Bytes, call: CallId, number: u32 },
    /// An operator's command was answered.
    Operator { client: u64, answer: Result<Outcome, ()> },
    /// An operator's linearizable read was answered.
    OperatorRead { client: u64, holds: bool },
    /// An agent begins an effect.
    Begins { operation: OperationId, effect: Box<promises::Effect> },
    /// An agent says something of its node.
    Says(Box<promises::Said>),
    /// A proposer was told an outcome.
    Answered { command: CommandId, outcome: Outcome },
    /// A linearizable read returned.
    Read { applied: u64, newest: u64 },
}

/// What stays the same for all daemons of a simulation.
#[derive(Clone, Debug)]
pub struct Setting {
    pub cluster: ClusterId,
    pub options: Options,
    pub voters: VoterSettings,
    /// For election timeouts.
    pub seed: u64,
    /// Where all replicas share one line of states.
    pub shared: Option<Shared>,
    /// Entries that were read for the record.
    pub readings: Readings,
}

/// What of a host its daemon works with.
pub struct Ground<'a> {
    pub clock: &'a Clock,
    pub drawer: &'a mut Drawer,
    pub hosts: &'a mut BTreeMap<AppName, Host>,
    pub host_boot: &'a String,
    /// Whom a joiner was told of.
    pub peers: &'a [KnownPeer],
    pub alone: bool,
    pub newest: u64,
    pub coverage: &'a mut Coverage,
    pub stopwatch: &'a mut Stopwatch,
    pub trace: &'a mut Trace,
}

/// The daemon is gone.
#[derive(Debug)]
pub struct Died(pub String);

/// What the member has handed out.
struct Sent {
    /// What its disk had taken until then.
    after: Duration,
    message: Message,
    unfounded: Option<Violation>,
}

pub struct Daemon {
    pub me: NodeId,
    place: usize,
    setting: Setting,
    core: Core,
    /// Nobody is looked at where only figures are wanted.
    door: Option<Door>,
    disk: SimulatedDisk,
    outbox: Receiver<Sent>,
    pub records: Receiver<Record>,
    process: Process,
    /// Tells this start of the daemon from earlier ones.
    boot: u64,
    next_tick: Monotonic,
    calls: Calls,
    agents: BTreeMap<AppName, Agent>,
    reconciler: Reconciler,
    keeper: Keeper,
    contact: Contact,
    contact_call: Option<CallId>,
    /// When contact was last sought; the state says how soon again.
    contact_sought: Option<Monotonic>,
    random: Random,
    placed_for: Option<Arc<ClusterState>>,
    pub effects: Vec<Effect>,
}

impl Daemon {
    /// Starts from what the disk holds.
    pub fn start(
        place: usize,
        reads: Format,
        setting: Setting,
        disk: SimulatedDisk,
        random: Random,
        now: Duration,
        ground: &Ground<'_>,
    ) -> Result<Self, Died> {
        let me = node_id(place);
        let died = |error: &dyn std::fmt::Display| Died(error.to_string());
        let storage =
            Storage::open_on(Box::new(disk.clone()), setting.cluster, me).map_err(|error| died(&error))?;
        let (records_in, records) = channel();
        let awaited = ClusterState::awaited(setting.cluster);
        let (shared, readings) = (setting.shared.clone(), setting.readings.clone());
        let machine = Recorded::new(awaited, reads, shared, readings, records_in);
        let (messages, outbox) = channel();
        let stamp = disk.clone();
        let send = Box::new(move |message| {
            let (after, told) = stamp.platter().told();
            let unfounded = what_a_member_says_is_on_its_disk(me, &message, told);
            // Without a world there is nobody to send to.
            let _ = messages.send(Sent { after, message, unfounded });
        });
        disk.platter().began = now;
        let mut random = random;
        let life = random.next_u64();
        let options = setting.options.clone();
        let core = Stepped::new(storage, machine, send, options, life).map_err(|error| died(&error))?;
        let process = Process::start(ground.clock, now);
        let begin = process.monotonic(ground.clock, now);
        let mut daemon = Self {
            me,
            place,
            core,
            door: setting.shared.is_none().then(|| Door::new(ground.peers)),
            disk,
            outbox,
            records,
            process,
            boot: life,
            // Hosts do not tick together.
            next_tick: begin + Duration::from_micros(random.below(setting.options.tick.as_micros() as u64)),
            setting,
            calls: Calls::default(),
            agents: BTreeMap::new(),
            reconciler: Reconciler::default(),
            keeper: Keeper::default(),
            contact: Contact { last: begin },
            contact_call: None,
            contact_sought: None,
            random,
            placed_for: None,
            effects: Vec::new(),
        };
        daemon.core.begin(begin).map_err(|error| died(&error))?;
        Ok(daemon)
    }

    pub fn state(&self) -> Arc<ClusterState> {
        self.core.view()
    }

    pub fn status(&self) -> relupd::consensus::Status {
        self.core.status()
    }

    /// For how long no leader has proved its quorum to it.
    pub fn contact_age(&self, clock: &Clock, now: Duration) -> Duration {
        self.contact.age(self.monotonic(clock, now))
    }

    pub fn boot(&self) -> u64 {
        self.boot
    }

    pub fn leads(&self) -> bool {
        self.core.leadership().is_self
    }

    pub fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    pub fn agent(&self, app: &AppName) -> Option<&Agent> {
        self.agents.get(app)
    }

    pub fn receive(&mut self, message: Message, now: Monotonic) {
        self.core.receive(message, now);
    }

    pub fn serve(&mut self, peer: NodeId, request: Bytes, now: Monotonic) -> Bytes {
        self.core.serve(peer, request, now)
    }

    /// The member that this peer is, where this daemon hears it.
    pub fn hears(&mut self, peer: &PeerIdentity) -> Option<RaftId> {
        let state = self.core.view();
        match (&mut self.door, peer) {
            (Some(door), _) => door.hears(peer, &state),
            (None, PeerIdentity::Node { node, .. }) => state.nodes.get(node).map(|node| node.raft_id),
            (None, PeerIdentity::Operator { .. }) => None,
        }
    }

    /// The member that this peer is which says that it is that one.
    pub fn meets(&mut self, peer: &PeerIdentity, raft: RaftId, address: SocketAddr) -> Option<RaftId> {
        let state = self.core.view();
        match &mut self.door {
            Some(door) => door.meets(peer, raft, address, &state),
            None => self.hears(peer),
        }
    }

    /// Whether this daemon knows where that member is.
    pub fn finds(&mut self, member: RaftId) -> bool {
        let state = self.core.view();
        self.door.as_mut().is_none_or(|door| door.finds(member, &state).is_some())
    }

    pub fn replied(&mut self, call: CallId, number: u32, reply: Option<Bytes>, now: Monotonic) {
        self.calls.replied(&mut self.core, call, number, reply, now);
    }

    pub fn monotonic(&self, clock: &Clock, now: Duration) -> Monotonic {
        self.process.monotonic(clock, now)
    }

    /// An operator's client connects to this daemon.
    pub fn operate(&mut self, client: u64, command: Command, now: Duration, ground: &mut Ground<'_>) {
        let (mut context, _) = self.context(now, ground);
        let actor = Actor::Operator(format!("operator-{client}"));
        context.propose_as(Caller::Operator(client), actor, command);
    }

    /// An operator's client wants to see everything that was acknowledged.
    pub fn operator_reads(&mut self, client: u64, now: Duration, ground: &mut Ground<'_>) {
        let (mut context, _) = self.context(now, ground);
        context.read(Caller::Operator(client));
    }

    /// From the seed instead of a global source. Time is in it, or two members whose timeouts are equal
    /// in one term would go on splitting the vote.
    fn election_timeout(&self, local: Monotonic) -> usize {
        let ticks = self.setting.options.election_ticks;
        let period = local.since(Monotonic::default()).as_secs() / 16;
        let term = self.core.leadership().term;
        let drawn = Random::new(self.setting.seed ^ term.rotate_left(17) ^ period, "election");
        let mut random = drawn.split(self.place as u64);
        ticks + usize::try_from(random.below(ticks as u64)).unwrap_or_default()
    }

    /// When this daemon goes on by itself, in true time.
    pub fn next_due(&self, clock: &Clock, hosts: &BTreeMap<AppName, Host>) -> Duration {
        let agents = self.agents.values().filter_map(Agent::next_due);
        let others = [self.calls.next_due(), self.reconciler.next_due(), self.keeper.next_due()];
        let contact = contact_due(self.contact_sought, &self.core.view(), self.me);
        let contact = contact.filter(|_| self.contact_call.is_none());
        let own = agents.chain(others.into_iter().flatten()).chain(contact);
        let local = own.fold(self.next_tick, Monotonic::min);
        let hosts = hosts.values().filter_map(Host::next_due).min();
        let own = self.process.when(clock, local);
        hosts.map_or(own, |hosts| hosts.min(own))
    }

    /// It dies: what it was writing to its ledgers is there or not.
    pub fn cut_off(&self, drawer: &mut Drawer, mut is_there: impl FnMut() -> bool) {
        for (app, agent) in &self.agents {
            if let Some(entry) = agent.is_writing()
                && !drawer.full
                && is_there()
                && let Ok(bytes) = ledger_file::encode(entry)
            {
                drawer.ledgers.insert(app.clone(), bytes);
            }
        }
    }

    /// How long the disk has kept the member since this was last asked.
    pub fn take_spent(&self) -> Duration {
        std::mem::take(&mut self.disk.platter().spent)
    }

    fn context<'a>(&'a mut self, now: Duration, ground: &'a mut Ground<'_>) -> (Context<'a>, Parts<'a>) {
        let local = self.process.monotonic(ground.clock, now);
        let context = Context {
            me: self.me,
            place: self.place,
            at: now,
            now: local,
            clock: ground.clock,
            wall_ms: ground.clock.wall_ms(now),
            host_boot: ground.host_boot,
            hosts: ground.hosts,
            ledgers: &mut ground.drawer.ledgers,
            fetched: &mut ground.drawer.fetched,
            disk_full: ground.drawer.full,
            cannot_fetch: ground.drawer.cannot_fetch,
            ledger_fsync: ground.drawer.fsync,
            alone: ground.alone,
            calls: &mut self.calls,
            core: &mut self.core,
            contact: &mut self.contact,
            random: &mut self.random,
            effects: &mut self.effects,
            coverage: ground.coverage,
            stopwatch: ground.stopwatch,
            newest: ground.newest,
            trace: ground.trace,
        };
        let parts = Parts {
            agents: &mut self.agents,
            reconciler: &mut self.reconciler,
            keeper: &mut self.keeper,
            contact_call: &mut self.contact_call,
            contact_sought: &mut self.contact_sought,
            voters: self.setting.voters,
        };
        (context, parts)
    }
}

/// When contact is to be sought again; `None` is now.
fn contact_due(sought: Option<Monotonic>, state: &ClusterState, me: NodeId) -> Option<Monotonic> {
    sought.map(|sought| sought + contact::pause(state, me))
}

struct Parts<'a> {
    agents: &'a mut BTreeMap<AppName, Agent>,
    reconciler: &'a mut Reconciler,
    keeper: &'a mut Keeper,
    contact_call: &'a mut Option<CallId>,
    contact_sought: &'a mut Option<Monotonic>,
    voters: VoterSettings,
}
