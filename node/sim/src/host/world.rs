//! The ground truth of one app on one host, and what happens there by itself: boots end, relups go on,
//! VMs die, the service manager starts them again. Nobody but the model sees it as it is; daemons see
//! what `observe` makes of it.

use super::disk::{Disk, Paper, Papers};
use super::release::{Boot, Catalog, CodeChange, Vitality};
use super::vm::{Handler, Job, JobStep, Vm};
use super::{Cause, Change, Event, Manager, OperationId, Setup, What};
use crate::random::Random;
use relupd::driver::Liveness;
use relupd::ids::{BootNonce, ReleaseVersion};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// So often the service manager starts what does not stay up (systemd's StartLimitBurst).
const START_LIMIT: u32 = 5;

#[derive(Debug)]
pub(super) enum Process {
    None,
    Booting(Booting),
    Up(Box<Vm>),
}

/// A VM on its way up.
#[derive(Clone, Debug)]
pub(super) struct Booting {
    pub version: ReleaseVersion,
    /// `None` never ends.
    pub ends_at: Option<Duration>,
    pub comes: bool,
    pub cause: Cause,
    /// A stop was ordered and ends then.
    pub stops_at: Option<Duration>,
}

/// What the daemon's end of the link knows.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub daemon_up: bool,
    /// The VM will have dialled in then.
    pub dials_at: Option<Duration>,
    pub connected: Option<BootNonce>,
    pub known: Liveness,
}

#[derive(Debug)]
pub(super) struct World {
    pub now: Duration,
    pub setup: Setup,
    pub catalog: Rc<Catalog>,
    pub random: Random,
    pub disk: Disk,
    pub process: Process,
    pub link: Link,
    /// The service manager wants it to run.
    pub wanted: bool,
    pub starts: u32,
    pub restarts_at: Option<Duration>,
    pub lives: u64,
    /// It does not run, and that is relupd's doing.
    pub down_by_us: bool,
    /// It was taken down since somebody last asked.
    pub fell: bool,
    /// Whatever is booted ends before it is up.
    pub cannot_boot: bool,
    /// When somebody tore the pointer last.
    pub pointer_torn_at: Duration,
    /// Who has the driver's turn.
    pub turn: Option<OperationId>,
    /// What a file said before it was replaced by this operation, which still syncs it.
    pub unsynced: Option<(OperationId, Papers)>,
    /// Operations whose file work runs on a thread that outlives their being given up.
    pub on_disk: BTreeSet<OperationId>,
    /// When a waiting operation wants to be looked at.
    pub alarms: BTreeSet<Duration>,
    pub events: Vec<Event>,
    pub changes: Vec<Change>,
    /// What ran last, to tell a change of version from a restart.
    last_version: Option<ReleaseVersion>,
}

impl World {
    pub(super) fn new(setup: Setup, catalog: Rc<Catalog>, random: Random) -> Self {
        Self {
            now: Duration::ZERO,
            disk: Disk { has_script: setup.has_script, ..Disk::default() },
            setup,
            catalog,
            random,
            process: Process::None,
            link: Link { daemon_up: false, dials_at: None, connected: None, known: Liveness::Unknown },
            wanted: false,
            starts: 0,
            restarts_at: None,
            lives: 0,
            down_by_us: false,
            fell: false,
            cannot_boot: false,
            pointer_torn_at: Duration::ZERO,
            turn: None,
            unsynced: None,
            on_disk: BTreeSet::new(),
            alarms: BTreeSet::new(),
            events: Vec::new(),
            changes: Vec::new(),
            last_version: None,
        }
    }

    pub(super) fn vm(&self) -> Option<&Vm> {
        match &self.process {
            Process::Up(vm) => Some(vm),
            Process::None | Process::Booting(_) => None,
        }
    }

    pub(super) fn vm_mut(&mut self) -> Option<&mut Vm> {
        match &mut self.process {
            Process::Up(vm) => Some(vm),
            Process::None | Process::Booting(_) => None,
        }
    }

    /// The VM that the daemon's link reaches.
    pub(super) fn linked_vm(&self) -> Option<&Vm> {
        self.vm().filter(|vm| self.link.connected.as_ref() == Some(&vm.nonce))
    }

    /// When something happens by itself next.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let process = match &self.process {
            Process::None => None,
            Process::Booting(boot) => boot.ends_at.into_iter().chain(boot.stops_at).min(),
            Process::Up(vm) => vm.next_due(self.now),
        };
        let alarm = self.alarms.first().copied();
        [process, alarm, self.restarts_at, self.link.dials_at].into_iter().flatten().min()
    }

    /// Lets happen what is due now.
    pub(super) fn tick(&mut self) {
        while self.alarms.first().is_some_and(|alarm| *alarm <= self.now) {
            self.alarms.pop_first();
        }
        self.tick_process();
        if self.restarts_at.is_some_and(|at| at <= self.now) {
            self.restarts_at = None;
            if matches!(self.process, Process::None) && self.wanted {
                self.boot(Cause::Manager);
            }
        }
        if self.link.dials_at.is_some_and(|at| at <= self.now) {
            self.link.dials_at = None;
            let nonce = self.vm().map(|vm| vm.nonce.clone());
            if let (true, Some(nonce)) = (self.link.daemon_up, nonce) {
                self.link.connected = Some(nonce.clone());
                self.say(Liveness::Up { boot_nonce: nonce });
            }
        }
    }

    fn tick_process(&mut self) {
        let now = self.now;
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        match &mut self.process {
            Process::None => {}
            Process::Booting(boot) if due(boot.stops_at) => self.end(),
            Process::Booting(boot) if due(boot.ends_at) => {
                if boot.comes {
                    let (version, cause) = (boot.version.clone(), boot.cause.clone());
                    self.come_up(version, cause);
                } else {
                    self.end();
                }
            }
            Process::Booting(_) => {}
            Process::Up(vm) if due(vm.stops_at) || due(vm.dies_at) => self.end(),
            Process::Up(vm) => {
                let by = vm.job.as_ref().map(|job| (job.by, job.to.clone()));
                match (vm.work(now), by) {
                    (JobStep::Changed, Some((by, to))) => {
                        let dies = self.dies_at(&to);
                        if let Some(vm) = self.vm_mut() {
                            vm.dies_at = dies;
                        }
                        self.runs(Some(to), Cause::Operation(by));
                    }
                    (JobStep::Restarts(by), _) => self.restart_itself(by),
                    (JobStep::GoesOn | JobStep::Changed, _) => {}
                }
            }
        }
    }

    fn dies_at(&self, version: &ReleaseVersion) -> Option<Duration> {
        match self.catalog.on(self.setup.host, version).vitality {
            Vitality::DiesAfter(after) => Some(self.now + after),
            Vitality::Good | Vitality::Sick | Vitality::SickAfter(_) | Vitality::Flaps { .. } => None,
        }
    }

    /// A delay between these, from the host's own stream.
    pub(super) fn delay(&mut self, low_ms: u64, high_ms: u64) -> Duration {
        Duration::from_millis(self.random.between(low_ms, high_ms))
    }

    /// Starts what the files on disk say. Nothing to start is a start that ended at once.
    pub(super) fn boot(&mut self, cause: Cause) {
        self.starts += 1;
        match self.disk.boots_into().cloned() {
            None => self.end(),
            Some(version) => self.boot_version(version, cause, 300, 1500),
        }
    }

    fn boot_version(&mut self, version: ReleaseVersion, cause: Cause, low_ms: u64, high_ms: u64) {
        let (ends_at, comes) = match self.catalog.on(self.setup.host, &version).boot {
            Boot::Comes if !self.cannot_boot => (Some(self.now + self.delay(low_ms, high_ms)), true),
            Boot::Comes | Boot::Ends => (Some(self.now + self.delay(50, high_ms)), false),
            Boot::Hangs => (None, false),
        };
        self.process = Process::Booting(Booting { version, ends_at, comes, cause, stops_at: None });
    }

    /// `init:restart`: the same process, another life, of what it was told to boot. Its being away is
    /// the doing of whoever began the relup.
    fn restart_itself(&mut self, by: OperationId) {
        let Some(vm) = self.vm() else { return };
        let version = vm.restarts_into.clone();
        self.hang_up(Liveness::Down);
        self.taken_down();
        self.boot_version(version, Cause::RestartedItself(by), 1500, 2200);
    }

    fn come_up(&mut self, version: ReleaseVersion, cause: Cause) {
        self.lives += 1;
        let nonce = BootNonce(format!("h{}-life{}", self.setup.host, self.lives));
        let handler = self.read_book(&version);
        let dies = self.dies_at(&version);
        let vm = Vm::booted(nonce, version.clone(), handler, self.now, dies);
        self.process = Process::Up(Box::new(vm));
        self.down_by_us = false;
        self.runs(Some(version), cause);
        if self.link.daemon_up {
            self.link.dials_at = Some(self.now + self.delay(5, 200));
        }
    }

    /// What a handler that starts believes: the book, or, without one, what was booted.
    pub(super) fn read_book(&self, booted: &ReleaseVersion) -> Handler {
        match &self.disk.book {
            Paper::Whole(book) => Handler {
                permanent: book.permanent.clone(),
                current: None,
                known: book.registered.keys().cloned().collect(),
            },
            Paper::Absent | Paper::Torn => Handler {
                permanent: Some(booted.clone()),
                current: None,
                known: BTreeSet::from([booted.clone()]),
            },
        }
    }

    /// The process is gone, whatever the reason.
    pub(super) fn end(&mut self) {
        self.process = Process::None;
        self.hang_up(Liveness::Down);
        if self.wanted && self.setup.manager == Manager::Restarts && self.starts < START_LIMIT {
            self.restarts_at = Some(self.now + self.delay(200, 2000));
        }
    }

    pub(super) fn hang_up(&mut self, known: Liveness) {
        self.link.dials_at = None;
        if self.link.connected.take().is_some() {
            self.say(known);
        }
    }

    pub(super) fn say(&mut self, liveness: Liveness) {
        if self.link.daemon_up && self.link.known != liveness {
            self.link.known = liveness.clone();
            self.events.push(Event::Liveness(liveness));
        }
    }

    /// The driver looked and found no process.
    pub(super) fn no_process(&mut self) {
        if self.link.connected.is_none() {
            self.say(Liveness::Down);
        }
    }

    /// The service manager is asked to start it.
    pub(super) fn order_start(&mut self, by: OperationId) {
        self.wanted = true;
        self.starts = 0;
        if matches!(self.process, Process::None) {
            self.restarts_at = None;
            self.boot(Cause::Operation(by));
        }
    }

    /// The service manager is asked to stop it; it is gone when the process is.
    pub(super) fn order_stop(&mut self, ours: bool) {
        self.wanted = false;
        self.restarts_at = None;
        // What had died by itself, and would not come up again, is not down by us, whatever is to be done with it.
        let serves = match &self.process {
            Process::None => false,
            Process::Booting(boot) => boot.comes,
            Process::Up(_) => true,
        };
        if ours && serves {
            self.taken_down();
        }
        let at = Some(self.now + self.delay(100, 2500));
        match &mut self.process {
            Process::None => {}
            Process::Booting(boot) => boot.stops_at = boot.stops_at.or(at),
            Process::Up(vm) => vm.stops_at = vm.stops_at.or(at),
        }
    }

    /// Begins a relup in the VM, or finds one of this name.
    pub(super) fn begin_job(&mut self, by: OperationId, operation: &str, to: &ReleaseVersion) {
        let (begins, quick, slow) = (self.now, self.delay(5, 60), self.delay(10, 400));
        let restarts_after = if self.random.chance(300) { Duration::ZERO } else { self.delay(5, 300) };
        let timeout = Duration::from_secs(30);
        let host = self.setup.host;
        let Some(vm) = self.vm() else { return };
        if vm.done.contains_key(operation) || vm.job.is_some() {
            return;
        }
        let from = vm.code.clone().unwrap_or_else(|| vm.booted.clone());
        let fate = if vm.handler.known.contains(to) {
            self.catalog.code_change(host, &from, to)
        } else {
            CodeChange::Missing
        };
        let code_at = begins + quick + slow;
        let ends_at = match fate {
            CodeChange::Hangs => code_at + timeout,
            // Skipping takes the time in which the process could have answered.
            CodeChange::SkipsProcess => code_at + timeout / 4,
            CodeChange::Works
            | CodeChange::Lies
            | CodeChange::Missing
            | CodeChange::FailsEarly
            | CodeChange::Crashes => code_at + quick,
        };
        let job = Job {
            by,
            operation: operation.to_owned(),
            to: to.clone(),
            fate,
            environment_at: begins + quick,
            code_at,
            ends_at,
            restarts_after,
        };
        let lingers = self.delay(0, 4000);
        if let Some(vm) = self.vm_mut() {
            vm.job = Some(job);
            vm.old_code_until = ends_at + lingers;
        }
    }

    const fn taken_down(&mut self) {
        self.fell |= !self.down_by_us;
        self.down_by_us = true;
    }

    fn runs(&mut self, version: Option<ReleaseVersion>, cause: Cause) {
        if version != self.last_version {
            let from = std::mem::replace(&mut self.last_version, version.clone());
            self.changes.push(Change { at: self.now, what: What::Runs { from, to: version }, cause });
        }
    }

    /// The power goes: what was replaced and not synced may be as it was before.
    pub(super) fn lose_unsynced(&mut self) {
        let Some((_, before)) = self.unsynced.take() else { return };
        if self.random.chance(500) {
            return;
        }
        let from = self.disk.pointer.whole().cloned();
        self.disk.lose(before);
        let to = self.disk.pointer.whole().cloned();
        if from != to {
            let what = What::Permanent { from, to };
            self.changes.push(Change { at: self.now, what, cause: Cause::Accident });
        }
    }

    /// Notes a move of what the host boots into.
    pub(super) fn points(&mut self, to: Option<ReleaseVersion>, by: OperationId) {
        let from = self.disk.pointer.whole().cloned();
        self.disk.pointer = to.clone().map_or(Paper::Absent, Paper::Whole);
        if from != to {
            let what = What::Permanent { from, to };
            self.changes.push(Change { at: self.now, what, cause: Cause::Operation(by) });
        }
    }
}
