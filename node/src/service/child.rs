//! Apps as plain child processes that outlive the daemon: each in a process group of its own, its
//! output in a file, its identity in a book that the next life of the daemon reads. Where the daemon
//! is itself a systemd unit, that unit needs `KillMode=process`.

mod book;
mod log;

use super::process::{self, Identity, Process};
use super::{Launch, Service, ServiceError, ServiceState, user};
use crate::fail_point;
use async_trait::async_trait;
use book::{Book, Record, Stage};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// Marks a process as started for us before its pid is in the book.
const MARK: &str = "RELUPD_START";

/// From SIGKILL to giving up. A process in uninterruptible sleep does not go away.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Starts apps as its own child processes, and finds those of its earlier lives.
#[derive(Debug)]
pub struct ChildService {
    directory: PathBuf,
    book: Book,
    boot_id: String,
    /// One start or stop of an instance at a time.
    turns: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
}

impl ChildService {
    /// A service whose book and logs lie in `STATE_DIR/apps`.
    pub fn open(state_dir: &Path) -> Result<Self, ServiceError> {
        let directory = state_dir.join("apps");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|source| ServiceError::Io { path: directory.clone(), source })?;
        let boot_id = process::boot_id()
            .map_err(|source| ServiceError::Io { path: "/proc/sys/kernel/random/boot_id".into(), source })?;
        Ok(Self { book: Book::new(directory.clone()), directory, boot_id, turns: Mutex::default() })
    }

    /// The instance's output.
    #[must_use]
    pub fn log_path(&self, instance: &str) -> PathBuf {
        self.directory.join(format!("{instance}.log"))
    }

    async fn turn(&self, instance: &str) -> Arc<Mutex<()>> {
        Arc::clone(self.turns.lock().await.entry(instance.to_owned()).or_default())
    }

    /// The process that the book names, whether or not it still lives.
    async fn recorded(&self, instance: &str) -> Result<Option<Identity>, ServiceError> {
        let (book, name) = (self.book.clone(), instance.to_owned());
        let record = blocking(move || book.read(&name)).await?;
        match record {
            Some(Record { boot_id, stage }) if boot_id == self.boot_id => match stage {
                Stage::Started { pid, start_time } => Ok(Some(Identity { pid, start_time })),
                Stage::Starting { mark } => blocking(move || find_marked(&mark).map_err(proc_error)).await,
            },
            Some(_) | None => Ok(None),
        }
    }

    async fn write(&self, instance: &str, stage: Stage) -> Result<(), ServiceError> {
        let (book, name) = (self.book.clone(), instance.to_owned());
        let record = Record { boot_id: self.boot_id.clone(), stage };
        blocking(move || book.write(&name, &record)).await
    }

    async fn forget(&self, instance: &str) -> Result<(), ServiceError> {
        let (book, name) = (self.book.clone(), instance.to_owned());
        blocking(move || book.remove(&name)).await
    }

    fn spawn(&self, launch: &Launch, mark: &str) -> Result<Child, ServiceError> {
        let failed = |reason: String| ServiceError::Start { instance: launch.instance.clone(), reason };
        let path = self.log_path(&launch.instance);
        let output = log::open(&path).map_err(|source| ServiceError::Io { path: path.clone(), source })?;
        let errors = output.try_clone().map_err(|source| ServiceError::Io { path, source })?;
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .env_clear()
            .envs(&launch.environment)
            .env(MARK, mark)
            .current_dir(&launch.directory)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        if let Some(user) = user::to_change_to(launch.user.as_deref()).map_err(failed)? {
            command.uid(user.uid).gid(user.gid);
        }
        command.spawn().map_err(|error| {
            let (program, directory) = (launch.program.display(), launch.directory.display());
            failed(format!("{program} in {directory}: {error}"))
        })
    }
}

#[async_trait]
impl Service for ChildService {
    async fn start(&self, launch: &Launch) -> Result<(), ServiceError> {
        let instance = launch.instance.as_str();
        let turn = self.turn(instance).await;
        let _turn = turn.lock().await;
        if let Some(identity) = self.recorded(instance).await? {
            if process::is_alive(identity).map_err(proc_error)? {
                return Ok(());
            }
            // The main process is gone; what it left could still hold its port.
            clear_group(instance, identity).await?;
        }
        let mark = format!("{:032x}", rand::random::<u128>());
        self.write(instance, Stage::Starting { mark: mark.clone() }).await?;
        fail_point::step("spawn", instance).await;
        let child = match self.spawn(launch, &mark) {
            Ok(child) => child,
            Err(error) => {
                self.forget(instance).await?;
                return Err(error);
            }
        };
        let pid = child.id().expect("it was not waited for yet");
        let stat = process::stat(pid).map_err(proc_error)?;
        reap(instance.to_owned(), pid, child);
        fail_point::step("spawned", instance).await;
        let Some(stat) = stat else { return Err(gone_at_once(instance)) };
        self.write(instance, Stage::Started { pid, start_time: stat.start_time }).await
    }

    async fn stop(&self, instance: &str, grace: Duration) -> Result<(), ServiceError> {
        let turn = self.turn(instance).await;
        let _turn = turn.lock().await;
        if let Some(identity) = self.recorded(instance).await? {
            if let Some(process) = Process::open(identity).map_err(proc_error)? {
                fail_point::step("terminate", instance).await;
                process.signal(Signal::TERM).map_err(proc_error)?;
                match tokio::time::timeout(grace, process.exited()).await {
                    Ok(exited) => exited.map_err(proc_error)?,
                    Err(_) => {
                        tracing::warn!(
                            instance,
                            pid = identity.pid,
                            ?grace,
                            "did not stop in time; killing it"
                        );
                    }
                }
            }
            clear_group(instance, identity).await?;
            fail_point::step("stopped", instance).await;
        }
        // It is gone; a record that cannot be taken away names a process that is not there.
        if let Err(error) = self.forget(instance).await {
            tracing::warn!(instance, error = %error, "the record of a stopped process stays");
        }
        Ok(())
    }

    async fn state(&self, instance: &str) -> Result<ServiceState, ServiceError> {
        let Some(identity) = self.recorded(instance).await? else { return Ok(ServiceState::Stopped) };
        Ok(match process::is_alive(identity).map_err(proc_error)? {
            true => ServiceState::Running { pid: identity.pid, start_time: identity.start_time },
            false => ServiceState::Stopped,
        })
    }
}

/// Kills whoever is left in the group until nobody is.
async fn clear_group(instance: &str, leader: Identity) -> Result<(), ServiceError> {
    let cleared = tokio::time::timeout(KILL_PATIENCE, async {
        loop {
            let alive = blocking(move || process::kill_group(leader).map_err(proc_error)).await?;
            if alive == 0 {
                return Ok(());
            }
            tokio::time::sleep(process::EXIT_POLL).await;
        }
    });
    cleared
        .await
        .unwrap_or_else(|_| Err(ServiceError::Stop { instance: instance.to_owned(), after: KILL_PATIENCE }))
}

/// Waits for the child, so that it does not stay as a zombie. Children of earlier lives of the daemon
/// are waited for by init.
fn reap(instance: String, pid: u32, mut child: Child) {
    tokio::spawn(async move {
        match child.wait().await {
            Ok(status) => tracing::info!(instance, pid, %status, "app process ended"),
            Err(error) => tracing::warn!(instance, pid, %error, "cannot wait for the app process"),
        }
    });
}

/// The process that was started with this mark and leads its group; its children carry it too.
fn find_marked(mark: &str) -> io::Result<Option<Identity>> {
    Ok(process::all()?
        .into_iter()
        .filter(|stat| stat.is_alive() && stat.group == stat.pid)
        .find(|stat| process::variable(stat.pid, MARK).is_ok_and(|found| found.as_deref() == Some(mark)))
        .map(|stat| Identity { pid: stat.pid, start_time: stat.start_time }))
}

fn gone_at_once(instance: &str) -> ServiceError {
    ServiceError::Start { instance: instance.to_owned(), reason: "it ended at once".to_owned() }
}

fn proc_error(source: io::Error) -> ServiceError {
    ServiceError::Io { path: "/proc".into(), source }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    spawn_blocking(work).await.expect("the work does not panic, and is not cancelled")
}

#[cfg(test)]
mod tests;
