//! What a daemon acts on: a model of the BEAM, of the service manager and of an app's health, for one
//! app on one host. It behaves as OTP's release handling was measured to behave, flaws included. An
//! operation is begun at a virtual time, goes through the driver's own steps, and ends with the driver's
//! own result, or never, where its daemon died. Ground truth stays inside; what a daemon sees of it is
//! what the real driver's `classify` makes of the same files and answers.

mod accident;
mod disk;
mod driver;
mod executor;
mod health;
mod release;
#[cfg(test)]
mod tests;
mod truth;
mod vm;
mod world;

pub use accident::Accident;
pub use health::Monitor;
pub use release::{Boot, Catalog, CodeChange, Release, ReleaseOdds, Traits, Vitality};
pub use truth::{ProcessTruth, Truth, VmTruth};

use crate::random::Random;
use disk::{Book, Paper};
use driver::Driver;
use executor::Executor;
use relupd::driver::{Check, Drained, DriverError, Liveness, Observation, Purge, Rung, Transition};
use relupd::ids::{AppName, Digest, ReleaseName, ReleaseVersion};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use world::World;

/// What kind of host this is.
#[derive(Clone, Debug)]
pub struct Setup {
    pub app: AppName,
    pub release: ReleaseName,
    /// Its number, for releases that misbehave on one host only.
    pub host: usize,
    pub manager: Manager,
    /// The app's releases have a start script with a version compiled in, as relx makes them.
    pub has_script: bool,
}

/// Who looks after the app's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// Nobody but the daemon starts it.
    Leaves,
    /// It starts at boot, and again when it dies.
    Restarts,
}

/// Names an operation on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// What the driver can be asked to do; `relupd::driver::ReleaseDriver` as data.
#[derive(Clone, Debug)]
pub enum Operation {
    Observe,
    /// `is_placed`, then `place`, of files that were fetched already.
    Place {
        version: ReleaseVersion,
        manifest: Digest,
    },
    Preflight(Transition),
    Install(Transition),
    Verify(Transition),
    Drain(Transition, Purge),
    Commit(Transition),
    RollBack(Transition, Rung),
    Repair(Option<ReleaseVersion>),
    Start,
    Stop,
}

/// How an operation ended.
#[derive(Debug)]
pub enum Reply {
    Observed(Result<Observation, DriverError>),
    Checked(Result<Vec<Check>, DriverError>),
    Drained(Result<Drained, DriverError>),
    Done(Result<(), DriverError>),
}

/// What the host has to say to its daemon.
#[derive(Debug)]
pub enum Event {
    Ended { id: OperationId, reply: Reply },
    Liveness(Liveness),
}

/// A version changed; for those who check promises, never for daemons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub at: Duration,
    pub what: What,
    pub cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Runs { from: Option<ReleaseVersion>, to: Option<ReleaseVersion> },
    Permanent { from: Option<ReleaseVersion>, to: Option<ReleaseVersion> },
}

/// Whose doing it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An operation of the driver, also where it went on after its daemon had died.
    Operation(OperationId),
    /// A relup of this operation had failed, and OTP restarted the VM.
    RestartedItself(OperationId),
    /// The service manager started it: at boot, or because it had died.
    Manager,
    /// It was so from the beginning.
    Beginning,
    /// Somebody's hands.
    Accident,
}

/// One app on one host.
pub struct Host {
    world: Rc<RefCell<World>>,
    executor: Executor,
    next: u64,
}

impl Host {
    /// A host on which nothing is installed and no daemon runs.
    pub fn new(setup: Setup, catalog: Rc<Catalog>, random: Random) -> Self {
        let world = Rc::new(RefCell::new(World::new(setup, catalog, random)));
        Self { world, executor: Executor::default(), next: 0 }
    }

    /// This version is placed, permanent, and runs from the beginning.
    pub fn settle(&mut self, version: &ReleaseVersion, manifest: Digest) {
        let mut world = self.world.borrow_mut();
        world.disk.placed.insert(version.clone(), manifest);
        world.disk.book = Paper::Whole(Book::default().with(version).with_permanent(version));
        world.disk.pointer = Paper::Whole(version.clone());
        if world.disk.has_script {
            world.disk.script = Paper::Whole(version.clone());
        }
        world.wanted = true;
        world.boot(Cause::Beginning);
    }

    /// Begins an operation. Its end is an event of `advance`.
    pub fn begin(&mut self, now: Duration, operation: Operation) -> OperationId {
        let id = OperationId(self.next);
        self.next += 1;
        self.to(now);
        let driver = Driver::new(Rc::clone(&self.world), id);
        self.executor.spawn(id, driver.carry_out(operation));
        self.settle_now();
        id
    }

    /// The daemon no longer waits for it: cut off by a newer order, or not wanted any more.
    pub fn give_up(&mut self, now: Duration, id: OperationId) {
        self.to(now);
        self.executor.give_up(&self.world, id);
        self.settle_now();
    }

    /// When `advance` has something to do.
    pub fn next_due(&self) -> Option<Duration> {
        let world = self.world.borrow();
        if world.events.is_empty() { world.next_due() } else { Some(world.now) }
    }

    /// Lets everything happen that is due until now, in its order.
    pub fn advance(&mut self, now: Duration) -> Vec<Event> {
        self.to(now);
        std::mem::take(&mut self.world.borrow_mut().events)
    }

    /// What changed since the last call, for the promises.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.world.borrow_mut().changes)
    }

    /// Whether the VM lives, as the daemon's link knows it.
    pub fn liveness(&self) -> Liveness {
        self.world.borrow().link.known.clone()
    }

    /// Whether it was taken down by relupd since the last call.
    pub fn take_fall(&mut self) -> bool {
        std::mem::take(&mut self.world.borrow_mut().fell)
    }

    /// How things are. For promises, never for daemons.
    pub fn truth(&self) -> Truth {
        Truth::of(&self.world.borrow())
    }

    /// Whether it does not run, by relupd's doing: part of the truth, asked after every event.
    pub fn is_down_by_us(&self) -> bool {
        self.world.borrow().down_by_us
    }

    fn to(&mut self, now: Duration) {
        loop {
            let due = self.world.borrow().next_due().filter(|due| *due <= now);
            let Some(due) = due else { break };
            {
                let mut world = self.world.borrow_mut();
                world.now = world.now.max(due);
                world.tick();
            }
            self.settle_now();
        }
        let mut world = self.world.borrow_mut();
        world.now = world.now.max(now);
    }

    /// Polls until nothing ends any more: the end of one operation may be what another waits for.
    fn settle_now(&mut self) {
        while self.executor.poll(&self.world) {}
    }
}
