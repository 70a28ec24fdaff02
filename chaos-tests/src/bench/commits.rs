//! How long a decision takes: from a proposal at the leader until it is durable with a quorum of three
//! and applied.

use super::fake::FakeCluster;
use super::statistics::Samples;
use crate::report::{Figure, Report};
use anyhow::{Context as _, ensure};

pub(super) const P50: &str = "commit_p50_ms";
pub(super) const P99: &str = "commit_p99_ms";
const P50_BOUND: f64 = 2.0;
const P99_BOUND: f64 = 10.0;

const COMMITS: usize = 1000;

const APP: &str = "touched";

pub(super) async fn measure(fakes: &mut FakeCluster, report: &mut Report) -> anyhow::Result<()> {
    fakes.apply(APP, "", "0s").await?;
    let leader = fakes.leader(0).await?;
    fakes.journal.begin()?;
    for _ in 0..COMMITS {
        ensure!(fakes.apis[leader].touch(APP).await?, "the leader has no quorum");
    }
    let mut samples = Samples::default();
    for entry in fakes.journal.entries()? {
        if entry.node == leader && entry.says("committed and applied here") {
            let micros = entry.number("micros").context("a commit that took some time")?;
            samples.push(micros as f64 / 1000.0);
        }
    }
    ensure!(samples.len() >= COMMITS, "{} commits are in the log", samples.len());
    report.push(Figure::at_most_ms(P50, samples.percentile(50), P50_BOUND));
    report.push(Figure::at_most_ms(P99, samples.percentile(99), P99_BOUND));
    report.note(format!(
        "commit: from the proposal at the leader until applied there, one after the other; {}",
        samples.describe()
    ));
    Ok(())
}
