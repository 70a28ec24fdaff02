//! A host for one VM of the sample app: real releases, real driver, a service that starts the app as a
//! child of the test.

#![allow(dead_code, reason = "not every test file uses all of it")]
#![allow(unreachable_pub, reason = "a module of several test binaries")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use async_trait::async_trait;
use relupd::driver::erlang::{ErlangDriver, ErlangSettings, Patience};
use relupd::driver::{AppUser, Drained, Liveness, Method, Purge, ReleaseDriver, StagedRelease, Transition};
use relupd::ids::{Digest, ReleaseVersion};
use relupd::service::{Launch, Service, ServiceError, ServiceState};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::Mutex;

/// Starts the app as a child process that dies with the test.
#[derive(Default)]
pub struct TestService {
    child: Mutex<Option<Child>>,
    log: PathBuf,
}

#[async_trait]
impl Service for TestService {
    async fn start(&self, launch: &Launch) -> Result<(), ServiceError> {
        if self.state(&launch.instance).await? != ServiceState::Stopped {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let child = tokio::process::Command::new(&launch.program)
            .args(&launch.arguments)
            .env_clear()
            .envs(&launch.environment)
            .current_dir(&launch.directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        *self.child.lock().await = Some(child);
        Ok(())
    }

    async fn stop(&self, _instance: &str, _grace: Duration) -> Result<(), ServiceError> {
        if let Some(mut child) = self.child.lock().await.take() {
            child.kill().await.unwrap();
        }
        Ok(())
    }

    async fn state(&self, _instance: &str) -> Result<ServiceState, ServiceError> {
        let mut child = self.child.lock().await;
        let Some(child) = child.as_mut() else { return Ok(ServiceState::Stopped) };
        Ok(match child.try_wait().unwrap() {
            None => ServiceState::Running { pid: child.id().unwrap_or(0), start_time: 0 },
            Some(_ended) => ServiceState::Stopped,
        })
    }
}

fn is_stopped(pid: Pid) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).unwrap();
    tasks.flatten().all(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with('T'))
    })
}

/// One host with the sample app's driver.
pub struct Host {
    pub directory: tempfile::TempDir,
    pub driver: ErlangDriver,
    pub service: Arc<TestService>,
    pub port: u16,
}

impl Host {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// Its app runs as another user.
    pub fn for_user(user: Option<AppUser>) -> Self {
        Self::with(|settings| settings.user = user)
    }

    /// Its driver has other settings.
    pub fn with(change: impl FnOnce(&mut ErlangSettings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let service =
            Arc::new(TestService { log: directory.path().join("shop.log"), ..TestService::default() });
        let mut settings = settings(directory.path(), port);
        change(&mut settings);
        let driver = ErlangDriver::open(settings, Arc::clone(&service) as Arc<dyn Service>).unwrap();
        Self { directory, driver, service, port }
    }

    /// A daemon that died and came back: the app went on meanwhile.
    pub fn reopen(self) -> Self {
        self.reopen_with(|_| {})
    }

    /// The same, with other settings from then on.
    pub fn reopen_with(self, change: impl FnOnce(&mut ErlangSettings)) -> Self {
        let Self { directory, driver, service, port } = self;
        drop(driver);
        let mut settings = settings(directory.path(), port);
        change(&mut settings);
        let driver = ErlangDriver::open(settings, Arc::clone(&service) as Arc<dyn Service>).unwrap();
        Self { directory, driver, service, port }
    }

    pub fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// A host on which `version` runs and is permanent.
    pub async fn running(version: &str) -> Self {
        let host = Self::new();
        host.first(version).await;
        host
    }

    /// Brings `version` to a host that has nothing.
    pub async fn first(&self, version: &str) {
        self.place(version).await;
        let first = Transition { from: None, ..transition(version, version, Method::First) };
        self.driver.install(&first).await.unwrap();
        self.driver.verify(&first).await.unwrap();
        self.driver.commit(&first).await.unwrap();
    }

    /// Sends the VM a signal. A stop is in force when this returns.
    pub async fn signal(&self, signal: Signal) {
        let ServiceState::Running { pid, .. } = self.service.state("shop").await.unwrap() else { panic!() };
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        // One thread takes it on once it has a core; until then the others answer.
        while signal == Signal::STOP && !is_stopped(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits for the VM to dial a daemon that has come back.
    pub async fn settle(&self) {
        let mut liveness = self.driver.liveness();
        liveness.wait_for(|lives| matches!(lives, Liveness::Up { .. })).await.unwrap();
    }

    pub async fn place(&self, version: &str) {
        let staged = self.stage(version);
        self.driver.place(&staged).await.unwrap();
        assert!(self.driver.is_placed(&staged.version, &staged.manifest).await.unwrap());
    }

    /// Unpacks the release as the store would; the manifest's digest is stood in for by the version's.
    pub fn stage(&self, version: &str) -> StagedRelease {
        let tree = self.directory.path().join("staged").join(version);
        let _ = std::fs::remove_dir_all(&tree);
        std::fs::create_dir_all(&tree).unwrap();
        let unpacked =
            Command::new("tar").arg("xzf").arg(archive(version)).arg("-C").arg(&tree).status().unwrap();
        assert!(unpacked.success());
        StagedRelease { version: vsn(version), manifest: Digest::of(version.as_bytes()), tree }
    }

    /// Waits for as long as somebody lingers in old code.
    pub async fn drained(&self, transition: &Transition) {
        while let Drained::Lingering(_) = self.driver.drain(transition, Purge::Soft).await.unwrap() {}
    }

    pub fn info(&self) -> serde_json::Value {
        let (status, body) = self.get("/info").unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    pub fn bump(&self) -> u64 {
        let (status, body) = self.get("/bump").unwrap();
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["count"].as_u64().unwrap()
    }

    pub fn get(&self, path: &str) -> std::io::Result<(u16, String)> {
        get(self.port, path)
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("shop.log")).unwrap_or_default()
    }
}

pub fn get(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

/// A client that asks without a pause until it is stopped.
pub struct Load {
    stopped: Arc<AtomicBool>,
    client: std::thread::JoinHandle<(u64, Vec<String>)>,
}

impl Load {
    pub fn start(port: u16) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        let client = std::thread::spawn(move || {
            let (mut answered, mut failures) = (0, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                match get(port, "/bump") {
                    Ok((200, _)) => answered += 1,
                    Ok((status, body)) => failures.push(format!("{status} {body}")),
                    Err(error) => failures.push(error.to_string()),
                }
            }
            (answered, failures)
        });
        Self { stopped, client }
    }

    /// How many requests were answered, and what became of the others.
    pub fn stop(self) -> (u64, Vec<String>) {
        self.stopped.store(true, Ordering::Relaxed);
        self.client.join().unwrap()
    }
}

fn settings(directory: &Path, port: u16) -> ErlangSettings {
    ErlangSettings {
        app: "shop".parse().unwrap(),
        release: "shop".parse().unwrap(),
        root: directory.join("root"),
        run_directory: directory.join("run"),
        relupd: PathBuf::from(env!("CARGO_BIN_EXE_relupd")),
        environment: BTreeMap::from([
            ("PORT".to_owned(), port.to_string()),
            ("SHOP_SICK_FILE".to_owned(), directory.join("sick").to_string_lossy().into_owned()),
        ]),
        user: None,
        stop_grace: Duration::from_secs(5),
        patience: Patience::default(),
        required_hardening: BTreeSet::new(),
    }
}

pub fn vsn(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

pub fn transition(from: &str, to: &str, method: Method) -> Transition {
    Transition { from: Some(vsn(from)), to: vsn(to), method, operation: format!("test/{from}-{to}") }
}

/// None of those that the kernel gives to whoever asks for any: it is taken some time after this, and again by
/// every later life of the app.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Tests that run side by side begin apart from each other.
    let first = std::process::id().wrapping_mul(16);
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let port = 10_000 + u16::try_from(number).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The archive of one of the sample app's releases.
pub fn archive(version: &str) -> PathBuf {
    sample().join(format!("shop-{version}.tar.gz"))
}

/// The sample app's releases, which the end-to-end tests share; built by the first test that needs them.
fn sample() -> PathBuf {
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/samples");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../chaos-tests/sample/build.sh");
    let built = Command::new(&script).arg(&out).stdout(Stdio::null()).status().unwrap();
    assert!(
        built.success(),
        "{} failed; it needs erlc and rebar3 (apt-get install erlang rebar3)",
        script.display()
    );
    out
}
