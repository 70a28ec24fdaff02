//! What a rollout costs beside the work itself. The fake driver's own time, which is some microseconds
//! and a small file, is not taken off, so the figure is an upper bound.

use super::fake::{FakeCluster, VERSIONS};
use super::statistics::{Samples, ms_between};
use crate::report::{Figure, Report};
use anyhow::ensure;
use relupd::clock::wall;

pub(super) const OVERHEAD: &str = "rollout_overhead_per_node_p99_ms";
const BOUND: f64 = 25.0;

const ROLLOUTS: usize = 220;
const NODES: f64 = 3.0;

/// The first ones find caches cold and versions that are not placed yet.
const WARM_UP: usize = 6;

const APP: &str = "rolling";

pub(super) async fn measure(fakes: &mut FakeCluster, report: &mut Report) -> anyhow::Result<()> {
    fakes.add_app(APP, "", "0s").await?;
    let mut samples = Samples::default();
    for number in 0..WARM_UP + ROLLOUTS {
        let ms = one(fakes, VERSIONS[(number + 1) % 2]).await?;
        if number >= WARM_UP {
            samples.push(ms / NODES);
        }
    }
    report.push(Figure::at_most_ms(OVERHEAD, samples.percentile(99), BOUND));
    report.note(format!(
        "{OVERHEAD}: from the request to start a plan until `Complete` is applied at the leader, by three; {}",
        samples.describe()
    ));
    Ok(())
}

async fn one(fakes: &mut FakeCluster, version: &str) -> anyhow::Result<f64> {
    let api = &fakes.apis[0];
    let plan = api.plan(APP, version).await?;
    fakes.journal.begin()?;
    let began = wall();
    let id = api.start(&plan).await?;
    let ends = ["Complete", "Halt", "Refuse"];
    let ended = fakes.journal.until("a rollout ends", |entry| {
        entry.text("rollout") == id && ends.iter().any(|end| entry.decided(end))
    });
    let ended = ended.await?;
    ensure!(ended.decided("Complete"), "rollout {id}: {}", ended.text("decisions"));
    Ok(ms_between(began, ended.at))
}
