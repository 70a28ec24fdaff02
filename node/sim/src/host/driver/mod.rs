//! The steps of the Erlang driver, one by one and in its order (`relupd::driver::erlang`), on a modelled
//! host. Wherever the real one waits, or could be cut off, there is a wait here.

mod back;
mod change;
mod commit;
mod place;
mod preflight;

use super::disk::{Book, Paper};
use super::executor::until;
use super::world::{Process, World};
use super::{Operation, OperationId, Reply};
use relupd::driver::erlang::simulated;
use relupd::driver::{
    Condition, DriverError, Liveness, Method, Observation, Running, StagedRelease, Transition,
};
use relupd::ids::{BootNonce, ReleaseVersion};
use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// As `relupd::driver::erlang::Patience` has them by default.
const START: Duration = Duration::from_secs(60);
const INSTALL: Duration = Duration::from_secs(300);
const DRAIN: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(10);

/// One operation of the driver.
#[derive(Clone)]
pub(super) struct Driver {
    world: Rc<RefCell<World>>,
    id: OperationId,
}

/// One step at a time; freed when dropped.
struct Turn(Driver);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.with(|world| world.turn.take_if(|holder| *holder == self.0.id));
    }
}

/// Work on files, which goes on when the operation is given up.
struct OnDisk(Driver);

impl Drop for OnDisk {
    fn drop(&mut self) {
        self.0.world.borrow_mut().on_disk.remove(&self.0.id);
    }
}

impl Driver {
    pub(super) fn new(world: Rc<RefCell<World>>, id: OperationId) -> Self {
        Self { world, id }
    }

    pub(super) async fn carry_out(self, operation: Operation) -> Reply {
        match operation {
            Operation::Observe => Reply::Observed(self.observe().await),
            Operation::Preflight(transition) => Reply::Checked(self.preflight(&transition).await),
            Operation::Verify(transition) => Reply::Done(self.verify(&transition).await),
            Operation::Drain(transition, purge) => {
                let _turn = self.turn().await;
                Reply::Drained(self.drain(&transition, purge).await)
            }
            effect => {
                let _turn = self.turn().await;
                Reply::Done(self.effect(effect).await)
            }
        }
    }

    async fn effect(&self, effect: Operation) -> Result<(), DriverError> {
        match effect {
            Operation::Place { version, manifest } => {
                // The model moves no trees.
                let staged = StagedRelease { version, manifest, tree: PathBuf::new() };
                self.place(&staged).await
            }
            Operation::Install(transition) => match transition.method {
                Method::Hot => self.install_hot(&transition).await,
                Method::Restart | Method::First => self.install_by_restart(&transition).await,
            },
            Operation::Commit(transition) => self.make_permanent(&transition.to).await,
            Operation::RollBack(transition, rung) => self.take_rung(&transition, rung).await,
            Operation::Repair(decided) => self.repair(decided.as_ref()).await,
            Operation::Start => {
                if self.with(|world| matches!(world.process, Process::None)) {
                    self.forget_trial()?;
                }
                self.boot("start").await.map(drop)
            }
            Operation::Stop => self.halt(false).await,
            Operation::Observe | Operation::Preflight(_) | Operation::Verify(_) | Operation::Drain(..) => {
                unreachable!("not an effect")
            }
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.world.borrow_mut())
    }

    async fn pause(&self, low_ms: u64, high_ms: u64) {
        let pause = self.with(|world| world.delay(low_ms, high_ms));
        until(&self.world, pause, |_| None::<()>).await;
        self.with(|world| world.unsynced.take_if(|(id, _)| *id == self.id));
    }

    async fn turn(&self) -> Turn {
        let take = |world: &mut World| match world.turn {
            Some(_) => None,
            None => world.turn.replace(self.id).is_none().then_some(()),
        };
        while until(&self.world, INSTALL, take).await.is_none() {}
        Turn(self.clone())
    }

    fn on_disk(&self) -> OnDisk {
        self.with(|world| world.on_disk.insert(self.id));
        OnDisk(self.clone())
    }

    /// Writes below the release root, unless the host refuses that. It is synced by the time of the next step.
    fn write(
        &self,
        what: &'static str,
        path: &str,
        work: impl FnOnce(&mut World),
    ) -> Result<(), DriverError> {
        self.with(|world| match world.disk.refuses {
            Some(kind) => {
                Err(DriverError::Io { what, path: PathBuf::from(path), source: io::Error::from(kind) })
            }
            None => {
                world.unsynced = Some((self.id, world.disk.papers()));
                work(world);
                Ok(())
            }
        })
    }

    async fn observe(&self) -> Result<Observation, DriverError> {
        let busy = self.with(|world| world.turn.is_some());
        let seen = self.observation().await?;
        let busy = busy || self.with(|world| world.turn.is_some());
        Ok(if busy && !is_orderly(&seen) { unsettled(seen) } else { seen })
    }

    /// Disk first, then process, then VM: they need not be of one moment.
    async fn observation(&self) -> Result<Observation, DriverError> {
        let (name, files) =
            self.with(|world| (world.setup.release.clone(), world.disk.files(&world.setup.release)));
        self.pause(1, 8).await;
        let process = self.process().await;
        Ok(simulated::classify(&name, &files, process))
    }

    async fn process(&self) -> simulated::Process {
        if self.with(|world| world.link.connected.is_some()) {
            // The release handler answers between relups only.
            let answer = until(&self.world, ANSWER, |world| match world.linked_vm() {
                None => Some(None),
                Some(vm) if vm.job.is_none() => Some(Some(vm.clone())),
                Some(_) => None,
            });
            let silent = |reason: &str| simulated::Process::Silent { reason: reason.to_owned() };
            return match answer.await {
                Some(Some(vm)) => simulated::Process::Answers(simulated::Vm {
                    boot_nonce: vm.nonce,
                    booted: vm.booted,
                    handler_permanent: vm.handler.permanent,
                    handler_current: vm.handler.current,
                    code: vm.code,
                    applications: [(
                        self.with(|world| world.setup.release.to_string()),
                        vm.environment.to_string(),
                    )]
                    .into(),
                }),
                Some(None) => silent("the VM hung up"),
                None => silent("the VM did not answer in time"),
            };
        }
        self.with(|world| match &world.process {
            Process::None => {
                world.no_process();
                simulated::Process::None
            }
            Process::Booting(_) | Process::Up(_) => simulated::Process::Silent {
                reason: "process 1 runs, but its VM has not dialled in".to_owned(),
            },
        })
    }

    fn book(&self, what: &'static str) -> Result<Book, DriverError> {
        let refused = |reason: &str| DriverError::Refused {
            what,
            reason: reason.to_owned(),
            remedy: "run `relupctl node repair`".to_owned(),
        };
        self.with(|world| match &world.disk.book {
            Paper::Whole(book) => Ok(book.clone()),
            Paper::Absent => Err(refused("there is no RELEASES")),
            Paper::Torn => Err(refused("RELEASES cannot be read")),
        })
    }

    /// Starts the app and waits for its VM to dial in.
    async fn boot(&self, what: &'static str) -> Result<BootNonce, DriverError> {
        self.with(|world| world.order_start(self.id));
        let connected = until(&self.world, START, |world| match (&world.link.connected, &world.process) {
            (Some(nonce), _) => Some(Ok(nonce.clone())),
            (None, Process::None) => Some(Err(())),
            (None, Process::Booting(_) | Process::Up(_)) => None,
        });
        match connected.await {
            Some(Ok(nonce)) => Ok(nonce),
            Some(Err(())) => {
                Err(failed(what, "the VM ended while it booted; its own output says why".to_owned()))
            }
            None => Err(DriverError::TimedOut { what, after: START }),
        }
    }

    /// Stops the app and waits until it is gone. `ours`: a version change needs it, not the operator.
    async fn halt(&self, ours: bool) -> Result<(), DriverError> {
        self.with(|world| world.order_stop(ours));
        let gone = |world: &mut World| matches!(world.process, Process::None).then_some(());
        let _in_time = until(&self.world, START, gone).await;
        self.with(World::no_process);
        Ok(())
    }

    fn forget_trial(&self) -> Result<(), DriverError> {
        self.with(|world| world.disk.trial = Paper::Absent);
        Ok(())
    }

    /// Waits for the end of this life's link, or for `patience`.
    async fn hung_up(&self, patience: Duration) -> bool {
        let gone = |world: &mut World| (!matches!(world.link.known, Liveness::Up { .. })).then_some(());
        until(&self.world, patience, gone).await.is_some()
    }

    async fn connected(&self) {
        let _in_time = until(&self.world, START, |world| world.link.connected.clone()).await;
    }

    fn linked_nonce(&self) -> Option<BootNonce> {
        self.with(|world| world.link.connected.clone())
    }
}

fn failed(what: &'static str, reason: String) -> DriverError {
    DriverError::Failed { what, reason }
}

fn refused(what: &'static str, reason: String, remedy: &str) -> DriverError {
    DriverError::Refused { what, reason, remedy: remedy.to_owned() }
}

fn is_orderly(observation: &Observation) -> bool {
    match observation.condition {
        Condition::Absent
        | Condition::Clean
        | Condition::Trial
        | Condition::Stopped
        | Condition::Debris { .. }
        | Condition::Unknown { .. } => true,
        Condition::HalfEnvironment { .. }
        | Condition::TornPointers { .. }
        | Condition::HandlerLies { .. }
        | Condition::MixedCode { .. } => false,
    }
}

fn unsettled(observation: Observation) -> Observation {
    let reason = format!("a step is at work: {:?}", observation.condition);
    Observation {
        running: Running::Unknown { reason: reason.clone() },
        condition: Condition::Unknown { reason },
        ..observation
    }
}

/// The operation's own name within the VM.
fn down_operation(transition: &Transition) -> String {
    format!("{}/down", transition.operation)
}

/// For messages.
fn found(observation: &Observation) -> String {
    format!("found {:?}, {:?}", observation.running, observation.condition)
}

/// Whether exactly this version runs, wholly.
fn runs(observation: &Observation, version: &ReleaseVersion) -> bool {
    observation.is_whole() && observation.version() == Some(version)
}
