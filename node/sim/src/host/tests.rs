use super::*;
use relupd::driver::{Condition, Method, Purge, Running};

const ANSWER: Duration = Duration::from_secs(600);

fn version(text: &str) -> ReleaseVersion {
    text.parse().expect("a version")
}

fn manifest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// A host with 1.0.0 settled and running, and a daemon; 2.0.0 behaves as told.
struct Bench {
    host: Host,
    now: Duration,
}

impl Bench {
    fn new(traits: Traits) -> Self {
        Self::with(traits, Manager::Restarts)
    }

    fn with(traits: Traits, manager: Manager) -> Self {
        let release = |text, everywhere| Release { version: version(text), everywhere, only_on: None };
        let catalog = Catalog { releases: vec![release("1.0.0", Traits::GOOD), release("2.0.0", traits)] };
        let setup = Setup {
            app: "shop".parse().expect("a name"),
            release: "shop".parse().expect("a name"),
            host: 0,
            manager,
            has_script: true,
        };
        let mut host = Host::new(setup, Rc::new(catalog), Random::new(7, "host"));
        host.settle(&version("1.0.0"), manifest("1.0.0"));
        host.daemon_started(Duration::ZERO);
        let mut bench = Self { host, now: Duration::ZERO };
        bench.pass(10);
        bench
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.host.advance(self.now);
    }

    /// Carries an operation out to its end.
    fn run(&mut self, operation: Operation) -> Reply {
        let id = self.host.begin(self.now, operation);
        self.end_of(id)
    }

    fn end_of(&mut self, id: OperationId) -> Reply {
        let give_up = self.now + ANSWER;
        while let Some(due) = self.host.next_due().filter(|due| *due <= give_up) {
            self.now = self.now.max(due);
            for event in self.host.advance(self.now) {
                if let Event::Ended { id: ended, reply } = event
                    && ended == id
                {
                    return reply;
                }
            }
        }
        panic!("{id:?} did not end");
    }

    #[track_caller]
    fn done(&mut self, operation: Operation) {
        match self.run(operation) {
            Reply::Done(Ok(())) | Reply::Drained(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn fails(&mut self, operation: Operation) -> DriverError {
        match self.run(operation) {
            Reply::Done(Err(error)) | Reply::Drained(Err(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    fn seen(&mut self) -> Observation {
        match self.run(Operation::Observe) {
            Reply::Observed(Ok(seen)) => seen,
            other => panic!("{other:?}"),
        }
    }

    fn place(&mut self) {
        self.done(Operation::Place { version: version("2.0.0"), manifest: manifest("2.0.0") });
    }

    fn install(&mut self, method: Method) -> Reply {
        self.place();
        self.run(Operation::Install(up(method)))
    }
}

fn up(method: Method) -> Transition {
    let operation = "shop-g1-install".to_owned();
    Transition { from: Some(version("1.0.0")), to: version("2.0.0"), method, operation }
}

fn is_up(seen: &Observation, text: &str) -> bool {
    matches!(&seen.running, Running::Up { version, .. } if version.as_str() == text)
}

#[test]
fn a_hot_upgrade_is_a_trial_until_it_is_committed() {
    let mut bench = Bench::new(Traits::GOOD);
    assert_eq!(bench.seen().condition, Condition::Clean);
    let life = bench.host.liveness();
    assert!(matches!(bench.install(Method::Hot), Reply::Done(Ok(()))));
    let seen = bench.seen();
    assert!(is_up(&seen, "2.0.0"));
    assert_eq!((seen.condition, seen.permanent), (Condition::Trial, Some(version("1.0.0"))));
    assert_eq!(bench.host.liveness(), life);
    bench.done(Operation::Verify(up(Method::Hot)));
    bench.done(Operation::Drain(up(Method::Hot), Purge::Soft));
    bench.done(Operation::Commit(up(Method::Hot)));
    let seen = bench.seen();
    assert_eq!((seen.condition, seen.permanent), (Condition::Clean, Some(version("2.0.0"))));
    assert_eq!(bench.host.truth().runs(), Some(&version("2.0.0")));
}

#[test]
fn a_reboot_ends_every_trial() {
    for method in [Method::Hot, Method::Restart] {
        let mut bench = Bench::new(Traits::GOOD);
        assert!(matches!(bench.install(method), Reply::Done(Ok(()))));
        assert_eq!(bench.seen().condition, Condition::Trial);
        bench.host.went_down(bench.now);
        bench.pass(60);
        bench.host.came_up(bench.now);
        bench.host.daemon_started(bench.now);
        bench.pass(10);
        let seen = bench.seen();
        assert!(is_up(&seen, "1.0.0"), "{seen:?}");
        assert_eq!(seen.condition, Condition::Clean);
    }
}

#[test]
fn a_crashed_code_change_restarts_into_the_old_release_in_another_life() {
    for way_up in [CodeChange::Crashes, CodeChange::Hangs] {
        let mut bench = Bench::new(Traits { way_up, ..Traits::GOOD });
        let before = bench.host.liveness();
        // The answer may be lost with the life that gave it.
        let reply = bench.install(Method::Hot);
        assert!(matches!(reply, Reply::Done(Err(DriverError::Failed { .. } | DriverError::VmGone { .. }))));
        let seen = bench.seen();
        assert!(is_up(&seen, "1.0.0"), "{seen:?}");
        assert_ne!(bench.host.liveness(), before);
    }
}

#[test]
fn an_early_failure_leaves_half_an_environment_and_a_repair_cures_it() {
    let mut bench = Bench::new(Traits { way_up: CodeChange::FailsEarly, ..Traits::GOOD });
    assert!(matches!(bench.install(Method::Hot), Reply::Done(Err(_))));
    assert!(matches!(bench.seen().condition, Condition::HalfEnvironment { .. }));
    assert!(bench.host.truth().is_mixed());
    bench.done(Operation::Repair(Some(version("1.0.0"))));
    assert_eq!(bench.seen().condition, Condition::Clean);
}

#[test]
fn a_skipped_process_and_a_lying_code_change_are_found_by_health_alone() {
    for way_up in [CodeChange::SkipsProcess, CodeChange::Lies] {
        let mut bench = Bench::new(Traits { way_up, ..Traits::GOOD });
        assert!(matches!(bench.install(Method::Hot), Reply::Done(Ok(()))));
        bench.done(Operation::Verify(up(Method::Hot)));
        assert!(!bench.host.probe(bench.now).is_empty());
    }
}

#[test]
fn every_cut_of_a_commit_is_seen_and_healed() {
    for cut in 0..60 {
        let mut bench = Bench::new(Traits::GOOD);
        assert!(matches!(bench.install(Method::Hot), Reply::Done(Ok(()))));
        bench.pass(10);
        bench.host.begin(bench.now, Operation::Commit(up(Method::Hot)));
        bench.now += Duration::from_millis(cut * 2);
        bench.host.advance(bench.now);
        bench.host.daemon_died(bench.now);
        bench.pass(1);
        bench.host.daemon_started(bench.now);
        bench.pass(5);
        let seen = bench.seen();
        assert!(is_up(&seen, "2.0.0"), "cut {cut}: {seen:?}");
        bench.done(Operation::Commit(up(Method::Hot)));
        assert_eq!(bench.seen().condition, Condition::Clean, "cut {cut}");
        assert!(!bench.host.truth().is_mixed());
    }
}

#[test]
fn the_vm_finishes_what_a_dead_daemon_began() {
    let mut bench = Bench::new(Traits::GOOD);
    bench.place();
    bench.host.begin(bench.now, Operation::Install(up(Method::Hot)));
    while !matches!(bench.host.truth().process, truth::ProcessTruth::Up(ref vm) if vm.changing) {
        bench.now = bench.host.next_due().expect("the relup is on its way");
        bench.host.advance(bench.now);
    }
    bench.host.daemon_died(bench.now);
    bench.pass(5);
    assert_eq!(bench.host.truth().runs(), Some(&version("2.0.0")));
    bench.host.daemon_started(bench.now);
    bench.pass(5);
    // Asked again, it attaches.
    bench.done(Operation::Install(up(Method::Hot)));
    assert_eq!(bench.seen().condition, Condition::Trial);
}

#[test]
fn a_missing_relup_is_refused_and_changes_nothing() {
    let mut bench = Bench::new(Traits { way_up: CodeChange::Missing, ..Traits::GOOD });
    bench.place();
    let error = bench.fails(Operation::Install(up(Method::Hot)));
    assert!(matches!(error, DriverError::Refused { .. }));
    assert_eq!(bench.seen().condition, Condition::Clean);
    match bench.run(Operation::Preflight(up(Method::Hot))) {
        Reply::Checked(Ok(checks)) => {
            assert!(
                checks.iter().any(|check| matches!(check.result, relupd::driver::CheckResult::NotHot { .. }))
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_does_not_come_up_is_said_and_the_restart_back_cures_it() {
    let mut bench = Bench::with(Traits { boot: Boot::Ends, ..Traits::GOOD }, Manager::Leaves);
    assert!(matches!(bench.install(Method::Restart), Reply::Done(Err(DriverError::Failed { .. }))));
    assert!(bench.host.truth().down_by_us);
    bench.done(Operation::RollBack(up(Method::Restart), Rung::Restart));
    let seen = bench.seen();
    assert!(is_up(&seen, "1.0.0"));
    assert_eq!(seen.condition, Condition::Clean);
}

#[test]
fn the_relup_leads_down_and_what_was_committed_is_taken_back() {
    let mut bench = Bench::new(Traits::GOOD);
    assert!(matches!(bench.install(Method::Hot), Reply::Done(Ok(()))));
    bench.pass(10);
    bench.done(Operation::Commit(up(Method::Hot)));
    let life = bench.host.liveness();
    bench.done(Operation::RollBack(up(Method::Hot), Rung::RelupDown));
    assert_eq!(bench.seen().condition, Condition::Clean);
    assert_eq!(bench.host.truth().permanent, Some(version("1.0.0")));
    assert_eq!(bench.host.liveness(), life);
}

#[test]
fn a_disk_that_refuses_is_told_and_leaves_the_old_pointers() {
    let mut bench = Bench::new(Traits::GOOD);
    assert!(matches!(bench.install(Method::Hot), Reply::Done(Ok(()))));
    bench.host.accident(bench.now, Accident::DiskRefuses(std::io::ErrorKind::StorageFull));
    let error = bench.fails(Operation::Commit(up(Method::Hot)));
    assert!(matches!(error, DriverError::Io { .. }));
    assert_eq!(bench.host.truth().permanent, Some(version("1.0.0")));
    bench.host.accident(bench.now, Accident::DiskRecovers);
    bench.done(Operation::Commit(up(Method::Hot)));
    assert_eq!(bench.host.truth().permanent, Some(version("2.0.0")));
}

#[test]
fn accidents_are_seen_and_repaired_towards_the_decided_version() {
    let lies = Accident::HandlerLies(version("2.0.0"));
    for accident in
        [Accident::BookTorn, Accident::PointerTorn, Accident::HandPatched, lies, Accident::VmKilled]
    {
        let mut bench = Bench::new(Traits::GOOD);
        bench.place();
        bench.host.accident(bench.now, accident.clone());
        assert_ne!(bench.seen().condition, Condition::Clean, "{accident:?}");
        bench.pass(10);
        bench.done(Operation::Repair(Some(version("1.0.0"))));
        bench.pass(10);
        assert_eq!(bench.seen().condition, Condition::Clean, "{accident:?}");
    }
}

#[test]
fn what_died_is_started_again_by_a_manager_that_does_so() {
    let mut bench = Bench::new(Traits::GOOD);
    bench.host.accident(bench.now, Accident::VmKilled);
    bench.pass(10);
    assert_eq!(bench.host.truth().runs(), Some(&version("1.0.0")));
    let mut bench = Bench::with(Traits::GOOD, Manager::Leaves);
    bench.host.accident(bench.now, Accident::VmKilled);
    bench.pass(10);
    assert_eq!(bench.seen().running, Running::Down);
    bench.done(Operation::Start);
    assert_eq!(bench.seen().condition, Condition::Clean);
}

#[test]
fn the_same_seed_gives_the_same_host() {
    let trace = || {
        let mut bench = Bench::new(Traits::GOOD);
        bench.install(Method::Restart);
        bench.done(Operation::Commit(up(Method::Restart)));
        (bench.now, format!("{:?}", bench.host.take_changes()))
    };
    assert_eq!(trace(), trace());
}
