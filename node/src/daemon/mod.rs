//! The only wiring: builds each service, hands out handles, orders the shutdown.

pub mod addresses;
mod admission;
mod agent_context;
mod announce;
mod authority;
mod backup;
pub mod cluster;
pub mod contact;
mod control;
mod drivers;
mod figures;
mod foresight;
mod joining;
mod member;
mod outside;
mod packages;
mod recovery;
mod releases;
mod relup;
pub mod replicated;
mod unit;
pub mod upkeep;
mod watchdog;

use crate::api::{self, ServeError};
use crate::config::Settings;
use crate::identity::{DirectoryError, IdentityDirectory, KeyError, Stored};
use crate::telemetry::{Metrics, serve as metrics_server};
use crate::transport::{BindError, Binding, api_server_config};
use control::Control;
use member::{Member, StartError};
use outside::{Outside, binding, new_candidate};
use recovery::RecoverError;
use sd_notify::NotifyState;
use std::error::Error;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Calls under way may end for so long; nothing that matters hangs on their answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// The last life's port is free as soon as its last task has ended.
const PORT_PATIENCE: Duration = Duration::from_secs(5);

/// The daemon did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A directory cannot be made.
    #[error("cannot make {path}")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The state directory cannot be used.
    #[error("cannot use the state directory")]
    State(#[from] DirectoryError),
    /// This host has no key.
    #[error("cannot make this host's key")]
    Key(#[from] KeyError),
    /// What `relupctl cluster recover` asked for cannot be done.
    #[error("cannot recover")]
    Recover(#[from] RecoverError),
    /// It could not go on as the member that it is.
    #[error("cannot go on as a member of the cluster")]
    Member(#[source] Box<dyn Error + Send + Sync>),
    /// The API cannot be served.
    #[error("cannot serve the API")]
    Api(#[from] ServeError),
    /// The API's port cannot be had.
    #[error("cannot serve the API")]
    Bind(#[from] BindError),
    /// The API's port cannot be listened on.
    #[error("cannot serve the API")]
    Listener(#[source] io::Error),
    /// The figures cannot be served.
    #[error("cannot serve metrics")]
    Metrics(#[from] metrics_server::MetricsError),
    /// Consensus has failed; what was promised to others may no longer hold here.
    #[error("consensus has failed; see the log for why")]
    Failed,
}

/// How a daemon's life ended that was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It was stopped.
    Stopped,
    /// It is to start again, in the same process: there is work that only a starting daemon can do.
    Again,
}

/// Runs the daemon until `stop`, through as many lives as it takes, or until it must not go on.
///
/// # Errors
/// Why it did not start, or had to stop. Apps are not touched either way.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), DaemonError> {
    // Before a package can be installed over this program.
    tracing::info!(version = crate::program::program().version, "relupd");
    let settings = Arc::new(settings);
    while live(Arc::clone(&settings), stop.clone()).await? == Ended::Again {
        binding(&settings).given_back(PORT_PATIENCE).await;
        tracing::info!("starting again");
    }
    Ok(())
}

async fn live(settings: Arc<Settings>, stop: CancellationToken) -> Result<Ended, DaemonError> {
    make_directory(&settings.run_dir, 0o711)?;
    let directory = IdentityDirectory::open(&settings.state_dir)?;
    let stored = directory.load(&settings.node_name)?;
    let failed = CancellationToken::new();
    let metrics = Metrics::new();
    let (candidate, identity) = match stored {
        Stored::Empty => {
            let candidate = new_candidate(&settings.node_name)?;
            directory.store_candidate(&candidate)?;
            (candidate, None)
        }
        Stored::Candidate(candidate) => (candidate, None),
        Stored::Member(identity) => {
            recovery::carry_out(&settings, identity.cluster, identity.node)?;
            (identity.clone().into_candidate(), Some(identity))
        }
    };
    let outside = Outside {
        settings: Arc::clone(&settings),
        directory: Arc::new(directory),
        candidate,
        failed: failed.clone(),
        again: CancellationToken::new(),
        metrics: metrics.clone(),
    };
    let member = match identity {
        Some(identity) => Some(Arc::new(outside.resume(identity).await.map_err(boxed)?)),
        None => {
            // Nothing listens there before there is a cluster; a setting that cannot work is said now.
            let binding = outside.binding();
            binding.check()?;
            drop((binding.udp()?, binding.tcp()?));
            None
        }
    };
    serve(outside, member, metrics, stop, failed).await
}

async fn serve(
    outside: Outside,
    member: Option<Arc<Member>>,
    metrics: Metrics,
    stop: CancellationToken,
    failed: CancellationToken,
) -> Result<Ended, DaemonError> {
    let (settings, again) = (Arc::clone(&outside.settings), outside.again.clone());
    let ending = CancellationToken::new();
    let tasks = TaskTracker::new();
    let remote = outside.binding();
    let bound = member.is_some().then(|| listen(&remote)).transpose()?;
    let (member, members) = watch::channel(member);
    let socket = api::bind_unix(&settings.api_socket)?;
    let control = Arc::new(Control::new(outside, member));
    if let Some(address) = settings.metrics {
        let listener = metrics_server::bind(address).await?;
        tasks.spawn(metrics_server::serve(listener, metrics.clone(), ending.clone()));
    }
    let (ends, mut ended) = mpsc::channel(1);
    tasks.spawn(report(api::serve_unix(socket, control.clone(), ending.clone()), ends.clone()));
    tasks.spawn(ending.clone().run_until_cancelled_owned(watchdog::keep(members.clone())));
    tell(NotifyState::Ready);
    tracing::info!(node = %settings.node_name, socket = %settings.api_socket.display(), "ready");

    if let Some(token) = unit::join_token().filter(|_| bound.is_none()) {
        tasks.spawn(joining::join(Arc::clone(&control), token, ending.clone()));
    }
    let mut members = members;
    let joined = async {
        // The API's TCP port opens with membership: before that there is no certificate to show.
        let Ok(member) = members.wait_for(Option::is_some).await.map(|member| member.clone()) else {
            return Ok(());
        };
        let Some(member) = member else { return Ok(()) };
        let listener = match bound {
            Some(listener) => listener,
            None => listen(&remote)?,
        };
        let (tls_sender, tls) = watch::channel(api_server_config(member.transport.credentials()));
        let serving = api::serve_tls(listener, tls, control.clone(), ending.clone());
        tasks.spawn(report(serving, ends.clone()));
        tasks.spawn(figures::keep(Arc::clone(&member), metrics, ending.clone()));
        // Certificates are read from the credentials at each handshake; the sender only has to live.
        ending.cancelled().await;
        drop(tls_sender);
        Ok::<(), DaemonError>(())
    };
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(Ended::Stopped),
        () = again.cancelled() => Ok(Ended::Again),
        () = failed.cancelled() => Err(DaemonError::Failed),
        Err(error) = joined => Err(error),
        Some(error) = ended.recv() => Err(DaemonError::Api(error)),
    };
    if !matches!(outcome, Ok(Ended::Again)) {
        tell(NotifyState::Stopping);
    }
    tracing::info!("stopping; apps run on");
    ending.cancel();
    tasks.close();
    let member = members.borrow_and_update().clone();
    if let Some(member) = member {
        member.shutdown().await;
    }
    if tokio::time::timeout(LAST_ANSWERS, tasks.wait()).await.is_err() {
        tracing::info!("some callers are cut off");
    }
    outcome
}

/// The API's port on the cluster's network.
fn listen(remote: &Binding) -> Result<TcpListener, DaemonError> {
    TcpListener::from_std(remote.tcp()?).map_err(DaemonError::Listener)
}

/// A daemon that cannot be talked to any more must not look as if it could.
async fn report(serving: impl Future<Output = Result<(), ServeError>>, failures: mpsc::Sender<ServeError>) {
    if let Err(error) = serving.await {
        // One reason to end is enough.
        drop(failures.try_send(error));
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "nobody to tell");
    }
}

fn make_directory(path: &Path, mode: u32) -> Result<(), DaemonError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|source| DaemonError::Directory { path: path.to_owned(), source })
}

fn boxed(error: StartError) -> DaemonError {
    DaemonError::Member(Box::new(error))
}
