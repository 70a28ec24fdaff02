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
use crate::world::Event;
use relupd::format::Format;
use relupd::ids::{AppName, NodeId, RaftId};
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
    /// Until then its member waits for its disk, or its daemon is not scheduled.
    pub busy_until: Duration,
    /// What has arrived since it became busy, oldest first.
    pub inbox: VecDeque<Event>,
    /// The next time that it wants to be woken.
    pub wakes: Option<Duration>,
}

impl Node {
    pub fn new(id: NodeId, clock: Clock, random: Random) -> Self {
        let disk = SimulatedDisk::default();
        disk.platter().fsync = Duration::from_micros(400);
        Self {
            id,
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
            random,
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
            self.daemon_gone(now);
        }
        started
    }

    /// The daemon is gone with everything that was in its memory.
    pub fn daemon_gone(&mut self, now: Duration) {
        self.daemon = None;
        self.busy_until = now;
        self.disk.platter().crash = None;
        for host in self.hosts.values_mut() {
            host.daemon_died(now);
        }
    }

    pub fn power_off(&mut self, now: Duration) {
        self.daemon = None;
        self.busy_until = now;
        self.disk.platter().crash = None;
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
