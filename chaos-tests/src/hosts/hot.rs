//! Hot rollouts without a fault: nobody who asks the app notices, and no VM is another one afterwards.

use super::Hosts;
use crate::cluster::APP;
use crate::load::{Load, Record};
use crate::report::Figure;
use crate::show::Show;
use anyhow::ensure;

/// What was asked meanwhile, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Served {
    requests: u64,
    failed: u64,
    counters_lost: u64,
}

impl Served {
    pub(super) fn figures(self, at_least: u64) -> Vec<Figure> {
        vec![
            Figure::at_least("requests_in_hot_rollout", self.requests, at_least),
            Figure::exactly("failed_requests_in_fault_free_hot_rollout", self.failed, 0),
            Figure::exactly("counters_lost", self.counters_lost, 0),
        ]
    }

    fn and(self, record: &Record) -> Self {
        Self {
            requests: self.requests + record.requests(),
            failed: self.failed + record.failures().len() as u64,
            counters_lost: self.counters_lost + record.counters_lost(),
        }
    }
}

/// Rolls from one version to the next, round and round, until so many requests were made; also where every host
/// is then.
pub(super) async fn rolls(
    hosts: &Hosts,
    versions: [&'static str; 2],
    requests: u64,
    show: Show,
) -> anyhow::Result<(Served, &'static str)> {
    let [mut current, mut next] = versions;
    let mut served = Served::default();
    loop {
        served = served.and(&roll(hosts, next, show).await?);
        (current, next) = (next, current);
        if served.requests >= requests {
            return Ok((served, current));
        }
    }
}

/// One rollout to this version.
async fn roll(hosts: &Hosts, version: &str, show: Show) -> anyhow::Result<Record> {
    let mut before = Vec::new();
    for index in 0..hosts.all().len() {
        before.push(hosts.testimony(index).await?);
    }
    let load = Load::start(&hosts.apps(), &hosts.directory().join("load.log"))?;
    let rollout = hosts.ctl(0)?.roll(APP, version).await?;
    let record = load.stop().await?;
    ensure!(rollout.summary.phase == "completed", "the hot rollout: {}", rollout.summary.reason);
    for (index, (info, start_time)) in before.iter().enumerate() {
        let (now, now_started) = hosts.testimony(index).await?;
        ensure!(now.version == version, "{} answers", now.version);
        ensure!((&now.boot, now_started) == (&info.boot, *start_time), "the VM is another one");
    }
    if let Some((node, why)) = record.failures().first() {
        show.block(&format!("failed on {node}: {why}"));
    }
    show.witnessed(&format!(
        "hot to {version} through port 80: {} requests from outside, {} failed, {} counts lost, the same VMs",
        record.requests(),
        record.failures().len(),
        record.counters_lost()
    ));
    Ok(record)
}
