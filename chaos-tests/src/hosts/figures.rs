//! What takes its time, and what the daemon takes of a host: measured from outside of it.

use super::Hosts;
use super::acknowledged::Acknowledged;
use crate::process::Usage;
use crate::report::Figure;
use crate::wait;
use anyhow::Context as _;
use relupd::clock::monotonic;
use std::time::Duration;

/// So many leaders lose their power, where time is taken for all there is; and where it is not. The worst of so few
/// is what is shown; its bound is that of the 99th percentile.
pub(super) const ALL_CUTS: usize = 30;
pub(super) const SOME_CUTS: usize = 5;

const DETECTED_BOUND_MS: f64 = 2000.0;
const PROGRESS_BOUND_MS: f64 = 3000.0;
const RSS_BOUND_MB: f64 = 25.0;
const CPU_BOUND_PERCENT: f64 = 1.0;

/// The daemons are left alone for so long.
pub(super) const IDLE: Duration = Duration::from_secs(120);

/// Until a daemon is idle: what it talked on before is looked for every ten seconds, and ended.
const CALM: Duration = Duration::from_secs(30);

const PATIENCE: Duration = Duration::from_secs(30);

/// The power of the leader's host fails: until somebody else misses it, and until a command is acknowledged.
pub(super) async fn lost_leaders(
    hosts: &mut Hosts,
    acknowledged: &mut Acknowledged,
    cuts: usize,
) -> anyhow::Result<Vec<Figure>> {
    let (mut detected, mut progressed) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..cuts {
        let status = hosts.settled().await?;
        let leader = hosts.index_of(status.leader()?)?;
        let name = hosts.all()[leader].name().to_owned();
        let other = (leader + 1) % hosts.all().len();
        hosts.at(leader).cut_power();
        let begin = monotonic();
        let missed = async {
            wait::closely(&format!("{name} is missed"), PATIENCE, async || {
                let status = hosts.ctl(other)?.status().await?;
                let lost = status.cluster.nodes.iter().find(|node| node.name == name).context("a node")?;
                Ok((lost.liveness == "dead").then(|| monotonic().since(begin)))
            })
            .await
        };
        let progress = async {
            acknowledged.at(hosts, other).await?;
            Ok::<_, anyhow::Error>(monotonic().since(begin))
        };
        let (missed, progress) = tokio::try_join!(missed, progress)?;
        detected = detected.max(missed);
        progressed = progressed.max(progress);
        hosts.at(leader).power_on()?;
        hosts.at(leader).booted().await?;
    }
    hosts.settled().await?;
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(vec![
        Figure::some("leader_hosts_cut", cuts as u64),
        Figure::at_most_ms("host_power_cut_to_detected_p99_ms", ms(detected), DETECTED_BOUND_MS),
        Figure::at_most_ms("leader_host_lost_to_progress_p99_ms", ms(progressed), PROGRESS_BOUND_MS),
    ])
}

/// The most that one daemon takes while nothing happens, after rollouts, with an app that is asked for its health.
pub(super) async fn idle(hosts: &Hosts, how_long: Duration) -> anyhow::Result<Vec<Figure>> {
    hosts.apply_quiet_spec().await?;
    hosts.settled().await?;
    tokio::time::sleep(CALM).await;
    let pids: Vec<u32> = hosts.all().iter().map(|host| host.main_pid("relupd")).collect::<Result<_, _>>()?;
    let usage = || -> anyhow::Result<Vec<Usage>> {
        pids.iter().map(|pid| Usage::of(*pid).context("the daemon runs on")).collect()
    };
    let before = usage()?;
    tokio::time::sleep(how_long).await;
    let after = usage()?;
    hosts.apply_spec("auto").await?;
    let share = |(before, after): (&Usage, &Usage)| {
        (after.cpu_seconds - before.cpu_seconds) / how_long.as_secs_f64() * 100.0
    };
    let cpu = before.iter().zip(&after).map(share).fold(0.0, f64::max);
    let rss = after.iter().map(|usage| usage.rss_mb).fold(0.0, f64::max);
    Ok(vec![
        Figure::at_most("relupd_rss_mb", rss, "MB", RSS_BOUND_MB),
        Figure::at_most("relupd_cpu_percent", cpu, "% of a core", CPU_BOUND_PERCENT),
    ])
}
