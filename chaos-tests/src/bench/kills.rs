//! SIGKILL of the leader's daemon in the middle of a rollout, again and again: how long nothing can be
//! decided, and how long the others take to see that the node is gone. The rollout must complete all
//! the same, once the daemon is back.

use super::api::Api;
use super::fake::{FakeCluster, VERSIONS};
use super::statistics::{Samples, ms_between};
use crate::report::{Figure, Report};
use anyhow::Context as _;
use jiff::Timestamp;
use relupd::clock::wall;
use std::time::Duration;

pub(super) const PROGRESS: &str = "leader_kill_to_progress_p99_ms";
pub(super) const DEATH: &str = "node_death_detected_p99_ms";
const BOUND: f64 = 2000.0;

const KILLS: usize = 50;

/// The rollout that the leader is killed in.
const APP: &str = "interrupted";
const BAKE: &str = "200ms";

/// What is touched to see whether anything can be decided.
const PROBE: &str = "probe";

/// From one attempt of a survivor to the next.
const PACE: Duration = Duration::from_millis(5);

pub(super) async fn measure(fakes: &mut FakeCluster, report: &mut Report) -> anyhow::Result<()> {
    fakes.add_app(APP, "", BAKE).await?;
    fakes.apply(PROBE, "", BAKE).await?;
    let (mut progress, mut deaths) = (Samples::default(), Samples::default());
    for number in 0..KILLS {
        let leader = fakes.leader(number % 3).await?;
        let survivors: Vec<usize> = (0..3).filter(|index| *index != leader).collect();
        let (decided, seen) = one(fakes, leader, &survivors, VERSIONS[(number + 1) % 2]).await?;
        progress.push(decided);
        deaths.push(seen);
    }
    report.push(Figure::at_most_ms(PROGRESS, progress.percentile(99), BOUND));
    report.push(Figure::at_most_ms(DEATH, deaths.percentile(99), BOUND));
    report.note(format!(
        "{PROGRESS}: from kill -9 until a command that was given afterwards is applied at each of the two \
         survivors, the later of them counts; {}",
        progress.describe()
    ));
    report.note(format!(
        "{DEATH}: from kill -9 until gossip calls the node dead at both survivors; {}",
        deaths.describe()
    ));
    Ok(())
}

async fn one(
    fakes: &mut FakeCluster,
    leader: usize,
    survivors: &[usize],
    version: &str,
) -> anyhow::Result<(f64, f64)> {
    let killed_id = id_of(fakes, leader).await?;
    let by = *survivors.first().context("a cluster of three has survivors")?;
    let plan = fakes.apis[by].plan(APP, version).await?;
    fakes.journal.begin()?;
    let id = fakes.apis[by].start(&plan).await?;
    fakes.journal.until("the first node is told to upgrade", |entry| entry.decided("Upgrade")).await?;

    let killed_at = wall();
    let probes: Vec<_> =
        survivors.iter().map(|index| tokio::spawn(probe(fakes.apis[*index].clone()))).collect();
    fakes.cluster.kill_daemon(leader)?;
    let mut decided: f64 = 0.0;
    for probe in probes {
        decided = decided.max(ms_between(killed_at, probe.await??));
    }
    let mut seen: f64 = 0.0;
    for survivor in survivors {
        let gone = fakes.journal.until("the node's death is seen", |entry| {
            entry.node == *survivor
                && entry.at >= killed_at
                && entry.says("liveness by gossip")
                && entry.text("node") == killed_id
                && entry.text("liveness").starts_with("Dead")
        });
        seen = seen.max(ms_between(killed_at, gone.await?.at));
    }
    fakes.cluster.start_daemon(leader).await?;
    let completes = fakes.journal.until("the rollout completes", |entry| {
        entry.text("rollout") == id && (entry.decided("Complete") || entry.decided("Halt {"))
    });
    let end = completes.await?;
    anyhow::ensure!(end.decided("Complete"), "rollout {id}: {}", end.text("decisions"));
    fakes.cluster.settled().await?;
    Ok((decided, seen))
}

/// When a command that was given after now was decided.
async fn probe(api: Api) -> anyhow::Result<Timestamp> {
    loop {
        if api.touch(PROBE).await? {
            return Ok(wall());
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn id_of(fakes: &FakeCluster, index: usize) -> anyhow::Result<String> {
    let status = fakes.cluster.ctl(index).status().await?;
    let name = fakes.cluster.members()[index].name();
    let node = status.cluster.nodes.into_iter().find(|node| node.name == name);
    Ok(node.context("a node knows itself")?.id)
}
