//! The restart driver with real processes: shell scripts, and the sample app as its releases come.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use relupd::driver::restart::{RestartDriver, RestartSettings};
use relupd::driver::{
    CheckResult, Condition, Drained, DriverError, Liveness, Method, Purge, ReleaseDriver, Rung, Running,
    StagedRelease, Transition,
};
use relupd::ids::{Digest, ReleaseVersion};
use relupd::service::Service;
use relupd::service::child::ChildService;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Says what it is, then stays.
const PROGRAM: &str = r#"#!/bin/sh
echo "$RELUPD_VERSION $(pwd) $GREETING $*" >> "$SAID"
exec sleep 120
"#;

/// One host with one app of shell scripts; ends what it started.
struct Host {
    directory: tempfile::TempDir,
    service: Arc<ChildService>,
    driver: RestartDriver,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let service = Arc::new(ChildService::open(&directory.path().join("state")).unwrap());
        let driver = open(&directory, &service, "run");
        Self { directory, service, driver }
    }

    /// A host on which `version` runs and is permanent.
    async fn running(version: &str) -> Self {
        let host = Self::new();
        host.place(version).await;
        let first = Transition { from: None, method: Method::First, ..transition(version, version) };
        host.driver.install(&first).await.unwrap();
        host.driver.verify(&first).await.unwrap();
        host.driver.commit(&first).await.unwrap();
        // One that is stopped before it has said anything never does.
        host.said(1).await;
        host
    }

    /// A daemon that died and came back: the app went on meanwhile.
    fn reopen(&mut self) {
        self.service = Arc::new(ChildService::open(&self.directory.path().join("state")).unwrap());
        self.driver = open(&self.directory, &self.service, "run");
    }

    fn staged(&self, version: &str, program: &str) -> StagedRelease {
        let tree = self.directory.path().join("staged").join(version);
        fs::create_dir_all(tree.join("bin")).unwrap();
        let path = tree.join("bin/shop");
        fs::write(&path, program).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        StagedRelease { version: vsn(version), manifest: Digest::of(program.as_bytes()), tree }
    }

    async fn place(&self, version: &str) {
        let staged = self.staged(version, PROGRAM);
        self.driver.place(&staged).await.unwrap();
        assert!(self.driver.is_placed(&staged.version, &staged.manifest).await.unwrap());
    }

    /// What the programs said of themselves, in the order of their starts, once so many have: a program is
    /// started before it says anything.
    async fn said(&self, starts: usize) -> Vec<String> {
        loop {
            let text = fs::read_to_string(self.directory.path().join("said")).unwrap_or_default();
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            if lines.len() >= starts && text.ends_with('\n') {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stands(&self, permanent: Option<&str>, running: Option<&str>, condition: Condition) {
        let observed = self.driver.observe().await.unwrap();
        assert_eq!(observed.permanent, permanent.map(vsn), "{observed:?}");
        assert_eq!(observed.version(), running.map(vsn).as_ref(), "{observed:?}");
        assert_eq!(observed.condition, condition, "{observed:?}");
    }

    async fn end(self) {
        self.driver.stop().await.unwrap();
    }
}

fn open(directory: &tempfile::TempDir, service: &Arc<ChildService>, run: &str) -> RestartDriver {
    let path = directory.path();
    let settings = RestartSettings {
        app: "shop".parse().unwrap(),
        root: path.join("root"),
        run_directory: path.join(run),
        relupd: PathBuf::from(env!("CARGO_BIN_EXE_relupd")),
        command: PathBuf::from("bin/shop"),
        arguments: vec!["serve".to_owned(), "--fast".to_owned()],
        environment: BTreeMap::from([
            ("GREETING".to_owned(), "hello".to_owned()),
            ("SAID".to_owned(), path.join("said").to_string_lossy().into_owned()),
        ]),
        user: None,
        stop_grace: Duration::from_secs(5),
        start_patience: Duration::from_secs(30),
    };
    fs::create_dir_all(&settings.root).unwrap();
    RestartDriver::open(settings, Arc::clone(service) as Arc<dyn Service>).unwrap()
}

fn vsn(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

fn transition(from: &str, to: &str) -> Transition {
    let operation = format!("test/{from}-{to}");
    Transition { from: Some(vsn(from)), to: vsn(to), method: Method::Restart, operation }
}

#[tokio::test]
async fn a_trial_that_was_left_standing_is_ended_by_a_repair() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    host.driver.install(&transition("0.1.0", "0.2.0")).await.unwrap();
    host.stands(Some("0.1.0"), Some("0.2.0"), Condition::Trial).await;
    for _ in 0..2 {
        host.driver.repair(Some(&vsn("0.1.0"))).await.unwrap();
    }
    host.stands(Some("0.1.0"), Some("0.1.0"), Condition::Clean).await;
    host.end().await;
}

#[tokio::test]
async fn a_first_installation_that_was_left_standing_is_taken_away_by_a_repair() {
    let host = Host::new();
    host.place("0.1.0").await;
    let first = Transition { from: None, method: Method::First, ..transition("0.0.0", "0.1.0") };
    host.driver.install(&first).await.unwrap();
    host.stands(None, Some("0.1.0"), Condition::Trial).await;
    for _ in 0..2 {
        host.driver.repair(None).await.unwrap();
    }
    host.stands(None, None, Condition::Absent).await;
}

#[tokio::test]
async fn a_restart_is_a_trial_until_it_is_committed() {
    let host = Host::running("0.1.0").await;
    host.stands(Some("0.1.0"), Some("0.1.0"), Condition::Clean).await;
    host.place("0.2.0").await;
    let over = transition("0.1.0", "0.2.0");
    let checks = host.driver.preflight(&over).await.unwrap();
    assert!(checks.iter().all(|check| check.result == CheckResult::Passed), "{checks:?}");
    for _ in 0..2 {
        host.driver.install(&over).await.unwrap();
        host.driver.verify(&over).await.unwrap();
    }
    host.stands(Some("0.1.0"), Some("0.2.0"), Condition::Trial).await;
    let drained = host.driver.drain(&over, Purge::Soft).await.unwrap();
    let Liveness::Up { boot_nonce } = host.driver.liveness().borrow().clone() else { panic!() };
    assert_eq!(drained, Drained::Clear(boot_nonce));
    for _ in 0..2 {
        host.driver.commit(&over).await.unwrap();
    }
    host.stands(Some("0.2.0"), Some("0.2.0"), Condition::Clean).await;
    let root = fs::canonicalize(host.directory.path().join("root")).unwrap();
    let line = |version: &str| {
        format!("{version} {} hello serve --fast", root.join("versions").join(version).display())
    };
    // Each was started once, as itself, in its own directory.
    assert_eq!(host.said(2).await, [line("0.1.0"), line("0.2.0")]);
    let mut liveness = host.driver.liveness();
    host.driver.stop().await.unwrap();
    assert!(matches!(*liveness.borrow_and_update(), Liveness::Down));
    host.stands(Some("0.2.0"), None, Condition::Stopped).await;
}

#[tokio::test]
async fn a_trial_is_taken_back() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let over = transition("0.1.0", "0.2.0");
    host.driver.install(&over).await.unwrap();
    for _ in 0..2 {
        host.driver.roll_back(&over, Rung::Restart).await.unwrap();
        host.stands(Some("0.1.0"), Some("0.1.0"), Condition::Clean).await;
    }
    // One that is permanent already, too.
    host.driver.install(&over).await.unwrap();
    host.driver.commit(&over).await.unwrap();
    host.driver.roll_back(&over, Rung::Restart).await.unwrap();
    host.stands(Some("0.1.0"), Some("0.1.0"), Condition::Clean).await;
    let refused = host.driver.roll_back(&over, Rung::RelupDown).await.unwrap_err();
    assert!(matches!(refused, DriverError::Refused { .. }), "{refused}");
    host.end().await;
}

#[tokio::test]
async fn a_reboot_returns_to_the_old_version() {
    let mut host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    host.driver.install(&transition("0.1.0", "0.2.0")).await.unwrap();
    host.driver.stop().await.unwrap();
    fs::remove_dir_all(host.directory.path().join("run")).unwrap();
    host.reopen();
    host.stands(Some("0.1.0"), None, Condition::Stopped).await;
    host.driver.start().await.unwrap();
    host.stands(Some("0.1.0"), Some("0.1.0"), Condition::Clean).await;
    host.end().await;
}

#[tokio::test]
async fn a_trial_that_died_is_started_as_the_old_version() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    host.driver.install(&transition("0.1.0", "0.2.0")).await.unwrap();
    let mut liveness = host.driver.liveness();
    kill(liveness.borrow_and_update().clone());
    let died = liveness.wait_for(|liveness| *liveness == Liveness::Down);
    tokio::time::timeout(Duration::from_secs(60), died).await.expect("pushed").unwrap();
    host.stands(Some("0.1.0"), None, Condition::Stopped).await;
    host.driver.start().await.unwrap();
    host.stands(Some("0.1.0"), Some("0.1.0"), Condition::Clean).await;
    host.end().await;
}

fn kill(liveness: Liveness) {
    let Liveness::Up { boot_nonce } = liveness else { panic!("{liveness:?}") };
    let pid = boot_nonce.0.split(':').next().unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_daemon_that_comes_back_knows_what_runs() {
    let mut host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    host.driver.install(&transition("0.1.0", "0.2.0")).await.unwrap();
    let life = host.driver.liveness().borrow().clone();
    // Once from the record, once from the process itself.
    for _ in 0..2 {
        host.reopen();
        assert_eq!(*host.driver.liveness().borrow(), Liveness::Unknown);
        host.stands(Some("0.1.0"), Some("0.2.0"), Condition::Trial).await;
        assert_eq!(*host.driver.liveness().borrow(), life);
        fs::remove_file(host.directory.path().join("run/shop/life")).unwrap_or_default();
    }
    host.end().await;
}

#[tokio::test]
async fn a_first_installation_is_undone_without_a_trace() {
    let host = Host::new();
    host.stands(None, None, Condition::Absent).await;
    host.place("0.1.0").await;
    let first = Transition { from: None, method: Method::First, ..transition("0.1.0", "0.1.0") };
    host.driver.install(&first).await.unwrap();
    host.stands(None, Some("0.1.0"), Condition::Trial).await;
    host.driver.commit(&first).await.unwrap();
    for _ in 0..2 {
        host.driver.roll_back(&first, Rung::Unplace).await.unwrap();
        host.stands(None, None, Condition::Absent).await;
    }
    assert_eq!(fs::read_dir(host.directory.path().join("root/versions")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_program_that_ends_at_once_or_is_not_there_is_a_failed_installation() {
    let host = Host::running("0.1.0").await;
    let sick = host.staged("0.2.0", "#!/bin/sh\nexit 3\n");
    host.driver.place(&sick).await.unwrap();
    let over = transition("0.1.0", "0.2.0");
    // It may live just long enough to have been seen; then it is its proof that fails.
    let proven = match host.driver.install(&over).await {
        Ok(()) => {
            let mut liveness = host.driver.liveness();
            liveness.wait_for(|liveness| *liveness == Liveness::Down).await.unwrap();
            host.driver.verify(&over).await.map(drop)
        }
        failed => failed,
    };
    assert!(proven.is_err());
    host.driver.roll_back(&over, Rung::Restart).await.unwrap();
    host.stands(Some("0.1.0"), Some("0.1.0"), Condition::Clean).await;

    let empty = host.staged("0.3.0", PROGRAM);
    fs::rename(empty.tree.join("bin/shop"), empty.tree.join("bin/other")).unwrap();
    host.driver.place(&empty).await.unwrap();
    let checks = host.driver.preflight(&transition("0.1.0", "0.3.0")).await.unwrap();
    let told = checks.iter().any(|check| {
        matches!(&check.result, CheckResult::Failed { reason, remedy }
            if reason.contains("bin/shop is not there") && remedy.contains("restart.command"))
    });
    assert!(told, "{checks:?}");
    host.end().await;
}

#[tokio::test]
async fn a_torn_pointer_is_written_again() {
    let host = Host::running("0.1.0").await;
    let pointer = host.directory.path().join("root/permanent");
    for torn in ["", "../../etc\n"] {
        fs::write(&pointer, torn).unwrap();
        let observed = host.driver.observe().await.unwrap();
        assert!(matches!(observed.condition, Condition::TornPointers { .. }), "{observed:?}");
        assert!(matches!(observed.running, Running::Up { .. }), "{observed:?}");
        assert!(host.driver.repair(None).await.is_err(), "nobody says what should run");
        host.driver.repair(Some(&vsn("0.1.0"))).await.unwrap();
        host.stands(Some("0.1.0"), Some("0.1.0"), Condition::Clean).await;
    }
    assert_eq!(host.said(1).await.len(), 1, "what ran was left alone");
    host.end().await;
}

#[tokio::test]
async fn other_content_never_replaces_what_is_in_use() {
    let host = Host::running("0.1.0").await;
    let other = host.staged("0.1.0", "#!/bin/sh\nexit 0\n");
    let refused = host.driver.place(&other).await.unwrap_err();
    assert!(matches!(refused, DriverError::Refused { .. }), "{refused}");
    // What was left of an interrupted placing is replaced, and swept away by a repair.
    let torn = host.directory.path().join("root/versions/0.2.0");
    fs::create_dir_all(&torn).unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert!(matches!(observed.condition, Condition::Debris { .. }), "{observed:?}");
    host.place("0.2.0").await;
    fs::create_dir_all(host.directory.path().join("root/versions/0.3.0")).unwrap();
    host.driver.repair(Some(&vsn("0.1.0"))).await.unwrap();
    host.stands(Some("0.1.0"), Some("0.1.0"), Condition::Clean).await;
    host.end().await;
}
