//! Under as many requests as one node of the sample app gets through, up and down again and again, each
//! made permanent: not one request is cut, and no count is lost.

use super::Bench;
use super::fake::text;
use super::real::{NEW, OLD, apply, healthy_on};
use super::statistics::Samples;
use crate::cluster::{APP, Cluster};
use crate::http;
use crate::report::{Figure, Report};
use crate::samples::Samples as Releases;
use anyhow::ensure;
use relupd::clock::monotonic;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(super) const REQUESTS: &str = "hot_upgrades_requests";
pub(super) const RATE: &str = "hot_upgrades_requests_per_s";
pub(super) const CUT: &str = "hot_upgrades_requests_cut";
pub(super) const LOST: &str = "hot_upgrades_counts_lost";
pub(super) const SUSPEND: &str = "suspend_ms_p99";
pub(super) const SUSPEND_DOWN: &str = "suspend_down_ms_p99";
const ENOUGH: u64 = 500_000;
const RATE_BOUND: u64 = 3_000;
const SUSPEND_BOUND: f64 = 50.0;

/// So many clients ask without a pause.
const CLIENTS: usize = 8;

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let releases = Releases::build(&bench.directory.join("samples")).await?;
    let mut cluster = Cluster::prepare(&bench.directory.join("cuts"), bench.binaries.clone(), 1)?;
    cluster.form().await?;
    let ctl = cluster.ctl(0);
    for version in [OLD, NEW] {
        ctl.run(&["release", "push", text(&releases.archive(version))?]).await?;
    }
    apply(&cluster, Duration::from_millis(500)).await?;
    ctl.roll(APP, OLD).await?;
    healthy_on(&cluster, OLD).await?;

    let (_, app) = cluster.apps().remove(0);
    let hammer = Hammer::begin(app);
    let began = monotonic();
    let (mut up, mut down) = (Samples::default(), Samples::default());
    while hammer.answered() < ENOUGH {
        for (version, suspends) in [(NEW, &mut up), (OLD, &mut down)] {
            suspends.push(upgrade(&cluster, version).await?);
        }
    }
    let seconds = monotonic().since(began).as_secs().max(1);
    let answers = hammer.end().await?;
    let requests = answers.counts.len() as u64 + answers.failed.len() as u64;
    report.push(Figure::at_least(REQUESTS, requests, ENOUGH));
    report.push(Figure::at_least(RATE, requests / seconds, RATE_BOUND));
    report.push(Figure::exactly(CUT, answers.failed.len() as u64, 0));
    report.push(Figure::exactly(LOST, answers.lost(), 0));
    for (figure, suspends) in [(SUSPEND, &up), (SUSPEND_DOWN, &down)] {
        report.push(Figure::at_most_ms(figure, suspends.percentile(99), SUSPEND_BOUND));
        report.note(format!(
            "{figure}: the longest that a process was suspended in each of these installations, as measured in the \
             VM; {}",
            suspends.describe()
        ));
    }
    report.note(format!(
        "{CUT}: one node, {CLIENTS} clients without a pause, one connection a request, for {seconds} s; {} rollouts, \
         up and down by turns, each made permanent; requests that had no answer with status 200, the first of them: {}",
        up.len() + down.len(),
        answers.failed.first().map_or("none", String::as_str)
    ));
    Ok(())
}

/// One rollout; the longest that a process was suspended, in milliseconds.
async fn upgrade(cluster: &Cluster, version: &str) -> anyhow::Result<f64> {
    let end = cluster.ctl(0).roll(APP, version).await?;
    ensure!(end.summary.phase == "completed", "{}: {}", end.summary.phase, end.summary.reason);
    let measured = end.nodes.first().and_then(|node| node.measured.as_ref());
    let Some(measured) = measured else { anyhow::bail!("{version} was not installed hot: {end:?}") };
    let ms = measured.longest_suspend_us as f64 / 1000.0;
    healthy_on(cluster, version).await?;
    Ok(ms)
}

/// Clients that ask as fast as they are answered.
struct Hammer {
    answered: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
    clients: Vec<JoinHandle<Answers>>,
}

/// What came back. Each life of the app gives each count once.
#[derive(Default)]
struct Answers {
    counts: Vec<u64>,
    boots: BTreeSet<String>,
    failed: Vec<String>,
}

#[derive(Deserialize)]
struct Bumped {
    count: u64,
    boot: String,
}

impl Hammer {
    fn begin(app: SocketAddr) -> Self {
        let (stop, stopped) = watch::channel(false);
        let answered = Arc::new(AtomicU64::new(0));
        let client = |_| tokio::spawn(ask(app, Arc::clone(&answered), stopped.clone()));
        let clients = (0..CLIENTS).map(client).collect();
        Self { answered, stop, clients }
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Every request that is on its way has its answer.
    async fn end(self) -> anyhow::Result<Answers> {
        self.stop.send_replace(true);
        let mut all = Answers::default();
        for client in self.clients {
            let Answers { counts, boots, failed } = client.await?;
            all.counts.extend(counts);
            all.boots.extend(boots);
            all.failed.extend(failed);
        }
        Ok(all)
    }
}

async fn ask(app: SocketAddr, answered: Arc<AtomicU64>, stopped: watch::Receiver<bool>) -> Answers {
    let mut answers = Answers::default();
    while !*stopped.borrow() {
        match bump(app).await {
            Ok(Bumped { count, boot }) => {
                answers.counts.push(count);
                if !answers.boots.contains(&boot) {
                    answers.boots.insert(boot);
                }
                answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => answers.failed.push(format!("{error:#}")),
        }
    }
    answers
}

async fn bump(app: SocketAddr) -> anyhow::Result<Bumped> {
    let answer = http::get(app, "/bump").await?;
    ensure!(answer.status == 200, "status {}: {}", answer.status, answer.body.trim());
    Ok(serde_json::from_str(&answer.body)?)
}

impl Answers {
    /// Counts that are missing between the first and the last, or that came twice; every life of the app
    /// beyond the first has lost all of them. A request that failed may have been counted all the same.
    fn lost(&self) -> u64 {
        let mut sorted = self.counts.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let twice = self.counts.len() - sorted.len();
        let span = sorted.first().zip(sorted.last()).map_or(0, |(first, last)| last - first + 1);
        let missing = span.saturating_sub(sorted.len() as u64).saturating_sub(self.failed.len() as u64);
        missing + twice as u64 + self.boots.len().saturating_sub(1) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(counts: &[u64], failed: usize) -> Answers {
        let boots = BTreeSet::from(["a".to_owned()]);
        Answers { counts: counts.to_vec(), boots, failed: vec![String::new(); failed] }
    }

    #[test]
    fn a_count_that_is_missing_or_comes_twice_is_lost() {
        assert_eq!(answers(&[], 0).lost(), 0);
        assert_eq!(answers(&[7, 5, 6], 0).lost(), 0);
        assert_eq!(answers(&[7, 5], 0).lost(), 1);
        assert_eq!(answers(&[7, 5], 1).lost(), 0, "the one that failed was counted");
        assert_eq!(answers(&[5, 6, 6], 0).lost(), 1);
        let mut restarted = answers(&[1, 2], 0);
        restarted.boots.insert("b".to_owned());
        assert_eq!(restarted.lost(), 1);
    }
}
