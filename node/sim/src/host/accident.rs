//! What happens to a host that nobody ordered, and the life and death of its daemon.

use super::disk::Paper;
use super::world::Process;
use super::{Cause, Change, Host, Manager, What};
use relupd::driver::Liveness;
use relupd::ids::ReleaseVersion;
use std::io;
use std::time::Duration;

/// Something goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accident {
    /// `kill -9` of the VM.
    VmKilled,
    /// The link breaks while both ends live.
    LinkCut,
    /// The release root can no longer be written.
    DiskRefuses(io::ErrorKind),
    /// It can be written again.
    DiskRecovers,
    /// No VM comes up any more: its port, its memory or its name on the network is somebody else's.
    CannotBoot,
    /// They are its own again.
    CanBoot,
    /// RELEASES was truncated by somebody else's hands.
    BookTorn,
    /// `start_erl.data` was.
    PointerTorn,
    /// `bin/REL` was.
    ScriptTorn,
    /// The trial file was.
    TrialTorn,
    /// The release handler was restarted: it forgets `current`.
    HandlerRestarted,
    /// The handler believes in another permanent release than the disk.
    HandlerLies(ReleaseVersion),
    /// Somebody loaded a module of another version by hand.
    HandPatched,
    /// An install failed before its point of no return: the environment is another version's.
    HalfEnvironment(ReleaseVersion),
    /// Directories that nobody registered.
    Debris(String),
}

impl Host {
    /// Lets an accident happen. On a host where there is nothing to hit nothing happens.
    pub fn accident(&mut self, now: Duration, accident: Accident) {
        self.to(now);
        {
            let mut world = self.world.borrow_mut();
            match accident {
                Accident::VmKilled => {
                    if !matches!(world.process, Process::None) {
                        world.end();
                    }
                }
                Accident::LinkCut => {
                    if world.vm().is_some() {
                        world.hang_up(Liveness::Unknown);
                        world.link.dials_at = Some(now + world.delay(100, 1000));
                    }
                }
                Accident::DiskRefuses(kind) => world.disk.refuses = Some(kind),
                Accident::DiskRecovers => world.disk.refuses = None,
                Accident::CannotBoot => world.cannot_boot = true,
                Accident::CanBoot => world.cannot_boot = false,
                Accident::BookTorn if world.disk.book.whole().is_some() => world.disk.book = Paper::Torn,
                Accident::PointerTorn if world.disk.pointer.whole().is_some() => {
                    let from = world.disk.pointer.whole().cloned();
                    world.disk.pointer = Paper::Torn;
                    world.pointer_torn_at = now;
                    let what = What::Permanent { from, to: None };
                    world.changes.push(Change { at: now, what, cause: Cause::Accident });
                }
                Accident::ScriptTorn if world.disk.script.whole().is_some() => {
                    world.disk.script = Paper::Torn;
                }
                Accident::TrialTorn if world.disk.trial.whole().is_some() => world.disk.trial = Paper::Torn,
                Accident::BookTorn | Accident::PointerTorn | Accident::ScriptTorn | Accident::TrialTorn => {}
                Accident::Debris(directory) => world.disk.debris.push(directory),
                Accident::HandlerRestarted => {
                    let booted = world.vm().map(|vm| vm.booted.clone());
                    if let Some(handler) = booted.map(|booted| world.read_book(&booted))
                        && let Some(vm) = world.vm_mut()
                    {
                        vm.handler = handler;
                    }
                }
                Accident::HandlerLies(version) => {
                    if let Some(vm) = world.vm_mut() {
                        vm.handler.permanent = Some(version);
                    }
                }
                Accident::HandPatched => {
                    if let Some(vm) = world.vm_mut() {
                        vm.code = None;
                    }
                }
                Accident::HalfEnvironment(version) => {
                    if let Some(vm) = world.vm_mut() {
                        vm.environment = version;
                    }
                }
            }
        }
        self.settle_now();
    }

    /// The daemon's process is gone; the app's is not.
    pub fn daemon_died(&mut self, now: Duration) {
        self.to(now);
        self.executor.kill();
        let mut world = self.world.borrow_mut();
        world.link.daemon_up = false;
        world.link.connected = None;
        world.link.dials_at = None;
        world.link.known = Liveness::Unknown;
        world.turn = None;
        world.unsynced = None;
        world.on_disk.clear();
        world.events.clear();
    }

    /// A daemon starts. A VM that lives dials in within a second.
    pub fn daemon_started(&mut self, now: Duration) {
        self.to(now);
        let mut world = self.world.borrow_mut();
        world.link.daemon_up = true;
        if world.vm().is_some() {
            world.link.dials_at = Some(now + world.delay(20, 1000));
        }
    }

    /// The host loses power, or is booted by somebody: VM and daemon are gone, `/run` is empty. Files
    /// below the release root are as the last rename left them; the last of all may be lost with its sync.
    pub fn went_down(&mut self, now: Duration) {
        self.to(now);
        self.world.borrow_mut().lose_unsynced();
        self.daemon_died(now);
        let mut world = self.world.borrow_mut();
        world.process = Process::None;
        world.restarts_at = None;
        world.disk.trial = Paper::Absent;
        // Whatever relupd had been about, the reboot is not its doing.
        world.down_by_us = false;
    }

    /// The host is up again. Units start without the daemon; what only the daemon starts waits for it.
    pub fn came_up(&mut self, now: Duration) {
        self.to(now);
        let mut world = self.world.borrow_mut();
        world.starts = 0;
        match world.setup.manager {
            Manager::Restarts if world.disk.pointer.whole().is_some() => {
                world.wanted = true;
                world.boot(Cause::Manager);
            }
            Manager::Restarts | Manager::Leaves => world.wanted = false,
        }
    }
}
