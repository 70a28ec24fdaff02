//! A host: its clock, its disks, its apps, and the daemon where one runs.

use crate::clock::Clock;
use crate::daemon::context::Drawer;
use crate::daemon::{Daemon, Died, Ground, Setting};
use crate::disk::SimulatedDisk;
use crate::figures::Stopwatch;
use crate::host::Host;
use crate::random::Random;
use crate::reached::Coverage;
use crate::trace::Trace;
use crate::world::{Departure, Event};
use relupd::format::Format;
use relupd::identity::PeerIdentity;
use relupd::ids::{AppName, NodeId, RaftId};
use relupd::transport::join::KnownPeer;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What a node needs of the world for a moment.
pub struct Surroundings<'a> {
    /// No peer can be reached.
    pub alone: bool,
    /// The newest entry that was applied anywhere.
    pub newest: u64,
    pub coverage: &'a mut Coverage,
    pub stopwatch: &'a mut Stopwatch,
    pub trace: &'a mut Trace,
}

pub struct Node {
    pub id: NodeId,
    /// What its certificate says.
    pub identity: PeerIdentity,
    /// Whom it was told of when it joined.
    pub peers: Vec<KnownPeer>,
    /// `None` until the cluster has admitted it.
    pub raft: Option<RaftId>,
    pub clock: Clock,
    pub disk: SimulatedDisk,
    pub drawer: Drawer,
    pub hosts: BTreeMap<AppName, Host>,
    pub daemon: Option<Daemon>,
    /// The host itself is on.
    pub powered: bool,
    /// It will never be on again.
    pub dead: bool,
    pub boots: u64,
    /// Of the relupd that is installed.
    pub reads: Format,
    host_boot: String,
    starts: u64,
    random: Random,
    /// Whether what was being written when it died is there.
    fate: Random,
    /// When each start of the daemon ended.
    ended: BTreeMap<u64, Duration>,
    /// Until then its member waits for its disk, or its daemon is not scheduled.
    pub busy_until: Duration,
    /// What has arrived since it became busy, oldest first.
    pub inbox: VecDeque<Event>,
    /// The next time that it wants to be woken.
    pub wakes: Option<Duration>,
}

impl Node {
    pub fn new(id: NodeId, identity: PeerIdentity, clock: Clock, random: Random) -> Self {
        let disk = SimulatedDisk::default();
        disk.platter().fsync = Duration::from_micros(400);
        Self {
            id,
            identity,
            peers: Vec::new(),
            raft: None,
            clock,
            disk,
            drawer: Drawer::default(),
            hosts: BTreeMap::new(),
            daemon: None,
            powered: true,
            dead: false,
            boots: 1,
            reads: Format::FIRST,
            host_boot: format!("{id}-boot-1"),
            starts: 0,
            fate: random.split(u64::MAX),
            random,
            ended: BTreeMap::new(),
            busy_until: Duration::ZERO,
            inbox: VecDeque::new(),
            wakes: None,
        }
    }

    /// Starts the daemon, where the host is on and none runs.
    pub fn start_daemon(
        &mut self,
        place: usize,
        setting: &Setting,
        now: Duration,
        surroundings: Surroundings<'_>,
    ) -> Result<(), Died> {
        if !self.powered || self.daemon.is_some() {
            return Ok(());
        }
        self.starts += 1;
        let random = self.random.split(self.starts);
        let disk = self.disk.clone();
        let (reads, setting) = (self.reads, setting.clone());
        for host in self.hosts.values_mut() {
            host.daemon_started(now);
        }
        let ground = self.ground(surroundings);
        let daemon = Daemon::start(place, reads, setting, disk, random, now, &ground.1);
        let started = daemon.map(|daemon| self.daemon = Some(daemon));
        if started.is_err() {
            let spent = self.disk.platter().spent;
            self.daemon_ended(now, now + spent);
        }
        started
    }

    /// The daemon is gone with everything that was in its memory, and what its disk had not taken yet.
    pub fn daemon_gone(&mut self, now: Duration) {
        self.daemon_ended(now, now);
    }

    /// The same; `at` is when it ended, in the middle of what it began now.
    pub fn daemon_ended(&mut self, now: Duration, at: Duration) {
        self.cut_off(now, at);
        for host in self.hosts.values_mut() {
            host.daemon_died(now);
        }
    }

    fn cut_off(&mut self, now: Duration, at: Duration) {
        if let Some(daemon) = self.daemon.take() {
            self.ended.insert(self.starts, at);
            daemon.cut_off(&mut self.drawer, || self.fate.chance(500));
        }
        self.busy_until = now;
        self.disk.platter().cut(at, || self.fate.chance(500));
    }

    /// Which start of its daemon this is.
    pub fn life(&self) -> u64 {
        self.starts
    }

    /// Whether what left then left too late: its daemon had ended before.
    pub fn is_unsent(&self, departure: Departure) -> bool {
        self.ended.get(&departure.life).is_some_and(|ended| *ended < departure.at)
    }

    pub fn power_off(&mut self, now: Duration) {
        self.cut_off(now, now);
        self.powered = false;
        for host in self.hosts.values_mut() {
            host.went_down(now);
        }
    }

    pub fn power_on(&mut self, now: Duration) {
        if self.powered || self.dead {
            return;
        }
        self.powered = true;
        self.boots += 1;
        self.host_boot = format!("{}-boot-{}", self.id, self.boots);
        for host in self.hosts.values_mut() {
            host.came_up(now);
        }
    }

    /// The daemon and what it stands on.
    pub fn ground<'a>(&'a mut self, surroundings: Surroundings<'a>) -> (&'a mut Option<Daemon>, Ground<'a>) {
        let Surroundings { alone, newest, coverage, stopwatch, trace } = surroundings;
        let ground = Ground {
            clock: &self.clock,
            drawer: &mut self.drawer,
            hosts: &mut self.hosts,
            host_boot: &self.host_boot,
            peers: &self.peers,
            alone,
            newest,
            coverage,
            stopwatch,
            trace,
        };
        (&mut self.daemon, ground)
    }

    /// When something happens here by itself.
    pub fn next_due(&self) -> Option<Duration> {
        match &self.daemon {
            Some(daemon) => Some(daemon.next_due(&self.clock, &self.hosts).max(self.busy_until)),
            None => self.hosts.values().filter_map(Host::next_due).min(),
        }
    }
}
