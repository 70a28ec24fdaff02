//! What relupd promises in figures, measured on real daemons: three of them on this machine, over
//! QUIC with mutual TLS and fsync. Times are taken where things happen: from the daemons' own logs, or
//! by the clock of this program right before it kills. One file a measurement.

mod api;
mod commits;
mod cuts;
mod driver;
mod fake;
mod idle;
mod journal;
mod kills;
mod real;
mod rollouts;
mod statistics;
mod verdicts;

use crate::binaries::Binaries;
use crate::report::Report;
use std::path::PathBuf;

/// Every figure, in the order in which they are measured.
pub const FIGURES: [&str; 19] = [
    idle::RSS,
    idle::CPU,
    rollouts::OVERHEAD,
    commits::P50,
    commits::P99,
    verdicts::HALT,
    verdicts::REVERT,
    kills::PROGRESS,
    kills::DEATH,
    real::OUTAGE,
    real::VM_DEATH,
    driver::UPGRADE,
    driver::DOWNGRADE,
    cuts::REQUESTS,
    cuts::RATE,
    cuts::CUT,
    cuts::LOST,
    cuts::SUSPEND,
    cuts::SUSPEND_DOWN,
];

/// Where to measure what.
#[derive(Debug)]
pub struct Bench {
    /// Everything goes below it.
    pub directory: PathBuf,
    /// What is measured; the daemon was built with the fake driver.
    pub binaries: Binaries,
    /// Only these figures; all, where there are none.
    pub only: Vec<String>,
}

impl Bench {
    /// Measures. What went wrong in one measurement does not keep the others from being made; its
    /// figures are then missing, and the errors come back beside the report.
    pub async fn run(&self, report: &mut Report) -> Vec<anyhow::Error> {
        let mut failed = Vec::new();
        if self.wants(&[idle::RSS, idle::CPU]) {
            failed.extend(idle::measure(self, report).await.err());
        }
        if self.wants(&FIGURES[2..9]) {
            failed.extend(self.on_fakes(report).await.err());
        }
        if self.wants(&[real::OUTAGE, real::VM_DEATH]) {
            failed.extend(real::measure(self, report).await.err());
        }
        if self.wants(&[driver::UPGRADE, driver::DOWNGRADE]) {
            failed.extend(driver::measure(self, report).await.err());
        }
        if self.wants(&FIGURES[13..]) {
            failed.extend(cuts::measure(self, report).await.err());
        }
        failed
    }

    async fn on_fakes(&self, report: &mut Report) -> anyhow::Result<()> {
        let mut cluster = fake::FakeCluster::start(self).await?;
        if self.wants(&[rollouts::OVERHEAD]) {
            rollouts::measure(&mut cluster, report).await?;
        }
        if self.wants(&[commits::P50, commits::P99]) {
            commits::measure(&mut cluster, report).await?;
        }
        if self.wants(&[verdicts::HALT, verdicts::REVERT]) {
            verdicts::measure(&mut cluster, report).await?;
        }
        if self.wants(&[kills::PROGRESS, kills::DEATH]) {
            kills::measure(&mut cluster, report).await?;
        }
        Ok(())
    }

    fn wants(&self, figures: &[&str]) -> bool {
        self.only.is_empty() || figures.iter().any(|figure| self.only.iter().any(|only| only == figure))
    }
}
