//! How this host's daemon is, as it says on its own socket.

use super::steps::Daemon;
use crate::clock::{Monotonic, monotonic};
use relupd_proto::api::v1::GetStatusRequest;
use relupd_proto::api::v1::cluster_service_client::ClusterServiceClient;
use std::path::PathBuf;
use std::time::Duration;
use tonic::transport::Endpoint;

/// An answer waits for a quorum for two seconds.
const LOOK_PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(250);

/// A daemon that was well for so long has opened its state, joined, and caught up.
const BAKE: Duration = Duration::from_secs(3);

/// The daemon behind a socket.
pub(super) struct Local {
    pub(super) socket: PathBuf,
    pub(super) patience: Duration,
}

impl Daemon for Local {
    fn is_well(&self) -> Result<(), String> {
        block_on(self.look()).map(drop)
    }

    fn proves(&self, version: &str) -> Result<(), String> {
        block_on(async {
            let mut trial = Trial::new(monotonic(), self.patience);
            loop {
                let seen = self.look().await.and_then(|found| {
                    if found == version { Ok(()) } else { Err(format!("relupd {found} still runs")) }
                });
                if let Some(verdict) = trial.judge(monotonic(), seen) {
                    return verdict;
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }
}

impl Local {
    /// Its version, where it has a quorum and everything that was acknowledged.
    async fn look(&self) -> Result<String, String> {
        let looked = tokio::time::timeout(LOOK_PATIENCE, async {
            let endpoint = Endpoint::from_shared(format!("unix://{}", self.socket.display()));
            let channel = endpoint.map_err(|error| error.to_string())?.connect().await;
            let channel = channel.map_err(|_| "the daemon does not listen".to_owned())?;
            let answer = ClusterServiceClient::new(channel).get_status(GetStatusRequest::default()).await;
            Ok::<_, String>(answer.map_err(|status| status.message().to_owned())?.into_inner().cluster)
        });
        let cluster = looked.await.map_err(|_| format!("no answer within {LOOK_PATIENCE:?}"))??;
        let cluster = cluster.ok_or("the daemon's answer is incomplete")?;
        if cluster.cluster_id.is_empty() {
            return Err("it is in no cluster".to_owned());
        }
        if !cluster.confirmed {
            return Err("it has no quorum".to_owned());
        }
        let own = cluster.nodes.into_iter().find(|node| node.id == cluster.this_node);
        own.map(|node| node.daemon_version).ok_or_else(|| "the cluster does not know it".to_owned())
    }
}

/// Judges looks: well throughout the bake is proof, and not to be by the end is none.
struct Trial {
    end: Monotonic,
    well_since: Option<Monotonic>,
}

impl Trial {
    fn new(now: Monotonic, patience: Duration) -> Self {
        Self { end: now + patience, well_since: None }
    }

    fn judge(&mut self, now: Monotonic, seen: Result<(), String>) -> Option<Result<(), String>> {
        match seen {
            Ok(()) => {
                let since = *self.well_since.get_or_insert(now);
                (now.since(since) >= BAKE).then_some(Ok(()))
            }
            Err(reason) => {
                self.well_since = None;
                (now >= self.end).then_some(Err(format!("the daemon was not well in time: {reason}")))
            }
        }
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_daemon_that_stays_well_is_proved_after_the_bake() {
        let start = monotonic();
        let mut trial = Trial::new(start, 10 * SECOND);
        assert_eq!(trial.judge(start + SECOND, Ok(())), None);
        assert_eq!(trial.judge(start + 2 * SECOND, Ok(())), None);
        assert_eq!(trial.judge(start + 4 * SECOND, Ok(())), Some(Ok(())));
    }

    #[test]
    fn a_daemon_that_falls_begins_its_bake_again() {
        let start = monotonic();
        let mut trial = Trial::new(start, 10 * SECOND);
        assert_eq!(trial.judge(start, Ok(())), None);
        assert_eq!(trial.judge(start + 2 * SECOND, Err("gone".to_owned())), None);
        assert_eq!(trial.judge(start + 4 * SECOND, Ok(())), None);
        assert_eq!(trial.judge(start + 7 * SECOND, Ok(())), Some(Ok(())));
    }

    #[test]
    fn a_daemon_that_is_never_well_has_failed_at_the_end() {
        let start = monotonic();
        let mut trial = Trial::new(start, 10 * SECOND);
        assert_eq!(trial.judge(start + 9 * SECOND, Err("gone".to_owned())), None);
        let verdict = trial.judge(start + 10 * SECOND, Err("gone".to_owned()));
        assert!(verdict.expect("the end").expect_err("not well").contains("gone"));
    }
}
