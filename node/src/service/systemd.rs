//! Apps as systemd units, over D-Bus. What a unit runs, as whom and in which environment stands in
//! the unit itself, which the host's privileged setup makes; of a `Launch` nothing is used here. The
//! daemon only starts, stops and asks.

use super::process::{self, Stat};
use super::{Launch, Service, ServiceError, ServiceState};
use async_trait::async_trait;
use futures::StreamExt;
use rustix::process::Signal;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use zbus::Connection;
use zbus::proxy::CacheProperties;
use zbus_systemd::systemd1::{JobRemovedStream, ManagerProxy, ServiceProxy, UnitProxy};

/// Units have timeouts of their own; this only keeps a lost signal from being waited for for ever.
const START_PATIENCE: Duration = Duration::from_secs(300);

/// What a bus may take to answer one call; the same as D-Bus's own default.
const CALL_PATIENCE: Duration = Duration::from_secs(25);

/// From SIGKILL to giving up.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// The system bus, connected to when it is first needed; clones share the connection until it breaks.
#[derive(Clone, Debug, Default)]
pub struct SystemBus(Arc<Mutex<Option<Connection>>>);

impl SystemBus {
    async fn connection(&self) -> zbus::Result<Connection> {
        let mut current = self.0.lock().await;
        if let Some(connection) = &*current {
            return Ok(connection.clone());
        }
        Ok(current.insert(Connection::system().await?).clone())
    }

    /// The bus was restarted, as a rule: who needs it next connects anew.
    async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// Whether the connection itself is of no use any more.
fn is_broken(error: &zbus::Error) -> bool {
    match error {
        zbus::Error::InputOutput(_) => true,
        zbus::Error::FDO(error) => matches!(**error, zbus::fdo::Error::Disconnected(_)),
        _ => false,
    }
}

/// What systemd says to a connection that has asked for its signals before.
fn is_subscribed(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, _, _) if name.as_str() == "org.freedesktop.systemd1.AlreadySubscribed")
}

/// One app's unit.
#[derive(Clone, Debug)]
pub struct SystemdService {
    bus: SystemBus,
    unit: String,
}

impl SystemdService {
    /// The service for an app whose unit has this full name.
    #[must_use]
    pub const fn new(bus: SystemBus, unit: String) -> Self {
        Self { bus, unit }
    }

    async fn manager(&self) -> Result<ManagerProxy<'static>, ServiceError> {
        let connection = self.call("the system bus", self.bus.connection()).await?;
        self.call("systemd", ManagerProxy::new(&connection)).await
    }

    /// One call over the bus, which must not wait for ever for one that hangs.
    async fn call<T>(
        &self,
        what: &str,
        call: impl Future<Output = zbus::Result<T>>,
    ) -> Result<T, ServiceError> {
        match tokio::time::timeout(CALL_PATIENCE, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if is_broken(&error) {
                    self.bus.forget().await;
                }
                Err(self.failed(what, error))
            }
            Err(_) => {
                self.bus.forget().await;
                Err(self.failed(what, format!("no answer within {CALL_PATIENCE:?}")))
            }
        }
    }

    /// The stream of ended jobs. It has to be there before a job is queued, or its end may be missed.
    async fn ended_jobs(&self, manager: &ManagerProxy<'static>) -> Result<JobRemovedStream, ServiceError> {
        let subscribing = async {
            match manager.subscribe().await {
                // A subscription is the connection's, which all apps share.
                Err(error) if is_subscribed(&error) => Ok(()),
                answered => answered,
            }
        };
        self.call("subscribe", subscribing).await?;
        self.call("subscribe", manager.receive_job_removed()).await
    }

    async fn job_result(&self, ended: &mut JobRemovedStream, job: &str) -> Result<String, ServiceError> {
        while let Some(signal) = ended.next().await {
            let arguments = signal.args().map_err(|error| self.failed("read the end of a job", error))?;
            if arguments.job().as_str() == job {
                return Ok(arguments.result().clone());
            }
        }
        self.bus.forget().await;
        Err(self.failed("wait for the job", "the bus went away"))
    }

    async fn active_state_and_main_pid(&self) -> zbus::Result<(String, u32)> {
        let connection = self.bus.connection().await?;
        let path = ManagerProxy::new(&connection).await?.load_unit(self.unit.clone()).await?;
        // Nothing is cached: a cached state is one of a moment ago.
        let unit = UnitProxy::builder(&connection)
            .path(path.clone())
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        let service = ServiceProxy::builder(&connection)
            .path(path)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        Ok((unit.active_state().await?, service.main_pid().await?))
    }

    fn failed(&self, what: &str, error: impl Display) -> ServiceError {
        ServiceError::Manager { instance: self.unit.clone(), reason: format!("{what}: {error}") }
    }
}

#[async_trait]
impl Service for SystemdService {
    async fn start(&self, _launch: &Launch) -> Result<(), ServiceError> {
        let manager = self.manager().await?;
        let mut ended = self.ended_jobs(&manager).await?;
        // A release that died at every start has used up the unit's start limit, and would take the way
        // back with it. A unit that is not loaded yet has nothing to reset: that is an error to ignore.
        let reset = self.call("reset its start limit", manager.reset_failed_unit(self.unit.clone())).await;
        if let Err(error) = reset {
            tracing::debug!(unit = self.unit, %error, "nothing reset before the start");
        }
        let starting = manager.start_unit(self.unit.clone(), "replace".to_owned());
        let job = self.call("start it", starting).await?;
        match tokio::time::timeout(START_PATIENCE, self.job_result(&mut ended, job.as_str())).await {
            Ok(result) => judge_job(&self.unit, &result?),
            Err(_) => Err(ServiceError::Start {
                instance: self.unit.clone(),
                reason: format!("not started within {START_PATIENCE:?}"),
            }),
        }
    }

    async fn stop(&self, _instance: &str, grace: Duration) -> Result<(), ServiceError> {
        let manager = self.manager().await?;
        let mut ended = self.ended_jobs(&manager).await?;
        let stopping = manager.stop_unit(self.unit.clone(), "replace".to_owned());
        let job = self.call("stop it", stopping).await?;
        let result = match tokio::time::timeout(grace, self.job_result(&mut ended, job.as_str())).await {
            Ok(result) => result?,
            Err(_) => {
                tracing::warn!(unit = self.unit, ?grace, "did not stop in time; killing it");
                let killing = manager.kill_unit(self.unit.clone(), "all".to_owned(), Signal::KILL.as_raw());
                self.call("kill it", killing).await?;
                tokio::time::timeout(KILL_PATIENCE, self.job_result(&mut ended, job.as_str()))
                    .await
                    .map_err(|_| ServiceError::Stop { instance: self.unit.clone(), after: KILL_PATIENCE })??
            }
        };
        judge_job(&self.unit, &result)
    }

    async fn state(&self, _instance: &str) -> Result<ServiceState, ServiceError> {
        let (active_state, main_pid) =
            self.call("ask for its state", self.active_state_and_main_pid()).await?;
        let stat = match main_pid {
            0 => None,
            pid => process::stat(pid)
                .map_err(|source| ServiceError::Io { path: "/proc".into(), source })?
                .filter(Stat::is_alive),
        };
        judge_state(&self.unit, &active_state, stat)
    }
}

/// How a job ended, in systemd's words.
fn judge_job(unit: &str, result: &str) -> Result<(), ServiceError> {
    match result {
        "done" | "skipped" => Ok(()),
        other => Err(ServiceError::Manager {
            instance: unit.to_owned(),
            reason: format!("the job ended with {other:?}; see `systemctl status {unit}`"),
        }),
    }
}

/// A unit's state and main process, as what the agent may rely on.
fn judge_state(unit: &str, active_state: &str, main: Option<Stat>) -> Result<ServiceState, ServiceError> {
    match (main, active_state) {
        (Some(stat), _) => Ok(ServiceState::Running { pid: stat.pid, start_time: stat.start_time }),
        (None, "active" | "reloading") => Err(ServiceError::Manager {
            instance: unit.to_owned(),
            reason: "active without a main process; its unit needs `Type=exec`".to_owned(),
        }),
        (None, _) => Ok(ServiceState::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn main_process() -> Option<Stat> {
        process::stat(std::process::id()).expect("/proc")
    }

    #[test]
    fn a_unit_runs_as_long_as_its_main_process_does() {
        let stat = main_process().expect("this test runs");
        let running = ServiceState::Running { pid: stat.pid, start_time: stat.start_time };
        for active_state in ["active", "activating", "deactivating"] {
            assert_eq!(judge_state("x.service", active_state, Some(stat)).expect("a state"), running);
        }
        for active_state in ["inactive", "failed", "activating", "deactivating"] {
            let state = judge_state("x.service", active_state, None).expect("a state");
            assert_eq!(state, ServiceState::Stopped);
        }
    }

    #[test]
    fn a_unit_without_a_main_process_is_not_taken_for_stopped() {
        let error = judge_state("x.service", "active", None).expect_err("nothing to watch");
        assert!(error.to_string().contains("Type=exec"), "{error}");
    }

    #[test]
    fn a_job_that_failed_says_where_to_look() {
        judge_job("x.service", "done").expect("done");
        for result in ["failed", "timeout", "dependency", "canceled"] {
            let error = judge_job("x.service", result).expect_err("not done").to_string();
            assert!(error.contains(result) && error.contains("systemctl status x.service"), "{error}");
        }
    }

    #[test]
    fn only_a_broken_bus_is_connected_to_anew() {
        let io = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(is_broken(&zbus::Error::from(io)));
        assert!(is_broken(&zbus::Error::from(zbus::fdo::Error::Disconnected(String::new()))));
        assert!(!is_broken(&zbus::Error::from(zbus::fdo::Error::AccessDenied(String::new()))));
    }
}
