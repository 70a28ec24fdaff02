//! What a daemon costs while there is nothing to do: three nodes, configured as usual.

use super::Bench;
use crate::cluster::Cluster;
use crate::process::Usage;
use crate::report::{Figure, Report};
use anyhow::Context as _;
use std::time::Duration;

pub(super) const RSS: &str = "daemon_idle_rss_mb";
pub(super) const CPU: &str = "daemon_idle_cpu_percent";
const RSS_BOUND: f64 = 25.0;
const CPU_BOUND: f64 = 1.0;

/// Joining is no idling.
const SETTLE: Duration = Duration::from_secs(5);

/// The figure is about time itself, so time is what is waited for.
const IDLE: Duration = Duration::from_secs(60);

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let mut cluster = Cluster::prepare(&bench.directory.join("idle"), bench.binaries.clone(), 3)?;
    cluster.form().await?;
    tokio::time::sleep(SETTLE).await;
    let before = usages(&cluster)?;
    tokio::time::sleep(IDLE).await;
    let after = usages(&cluster)?;
    let cpu = |(before, after): (&Usage, &Usage)| {
        100.0 * (after.cpu_seconds - before.cpu_seconds) / IDLE.as_secs_f64()
    };
    let cpus: Vec<f64> = before.iter().zip(&after).map(cpu).collect();
    let rss: Vec<f64> = after.iter().map(|usage| usage.rss_mb).collect();
    report.push(Figure::at_most(RSS, largest(&rss), "MB", RSS_BOUND));
    report.push(Figure::at_most(CPU, largest(&cpus), "%", CPU_BOUND));
    report.note(format!(
        "idle: {IDLE:?} of three fresh nodes; resident {rss:.1?} MB, CPU {cpus:.2?} % of one core"
    ));
    Ok(())
}

fn usages(cluster: &Cluster) -> anyhow::Result<Vec<Usage>> {
    let usage = |pid: Option<u32>| pid.and_then(Usage::of).context("a daemon has ended by itself");
    cluster.members().iter().map(|member| usage(member.pid())).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
