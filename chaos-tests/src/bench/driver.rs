//! What one node needs for a hot upgrade, without a cluster around it: the driver alone, on hosts that it
//! meets for the first time.

use super::Bench;
use super::real::{NEW, OLD};
use super::statistics::Samples;
use crate::cluster::ports;
use crate::report::{Figure, Report};
use crate::samples::Samples as Releases;
use anyhow::{Context as _, ensure};
use relupd::clock::monotonic;
use relupd::driver::erlang::{ErlangDriver, ErlangSettings, Patience};
use relupd::driver::{Method, ReleaseDriver, StagedRelease, Transition};
use relupd::ids::{Digest, ReleaseVersion};
use relupd::service::child::ChildService;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

pub(super) const UPGRADE: &str = "hot_upgrade_driver_ms_p50";
pub(super) const DOWNGRADE: &str = "hot_downgrade_driver_ms_p50";
const BOUND: f64 = 500.0;
const HOSTS: usize = 15;

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let releases = Releases::build(&bench.directory.join("samples")).await?;
    let (mut upgrades, mut downgrades) = (Samples::default(), Samples::default());
    let mut preflights = Samples::default();
    for number in 0..HOSTS {
        let directory = bench.directory.join("driver").join(number.to_string());
        let host = one_host(bench, &releases, &directory).await?;
        upgrades.push(host.upgrade);
        downgrades.push(host.downgrade);
        preflights.push(host.preflight);
    }
    report.push(Figure::at_most_ms(UPGRADE, upgrades.percentile(50), BOUND));
    report.push(Figure::at_most_ms(DOWNGRADE, downgrades.percentile(50), BOUND));
    report.note(format!(
        "{UPGRADE}: the release unpacked into the staging directory, placed and registered, installed by relup and \
         verified, on a host that has never seen it; {}. Preflight, which runs on every node before any is touched, \
         is not in it, and most of it is the smoke boot of the runtime system; {}",
        upgrades.describe(),
        preflights.describe()
    ));
    report.note(format!(
        "{DOWNGRADE}: the same host, the new release permanent, planned back: the old release is there already, and \
         is installed by the way down of the same relup and verified; {}",
        downgrades.describe()
    ));
    Ok(())
}

/// What one host took, in milliseconds.
struct Took {
    upgrade: f64,
    downgrade: f64,
    preflight: f64,
}

async fn one_host(bench: &Bench, releases: &Releases, directory: &Path) -> anyhow::Result<Took> {
    let driver = open(bench, directory)?;
    driver.place(&staged(releases, directory, OLD).await?).await?;
    let old = transition(None, OLD, Method::First)?;
    driver.install(&old).await?;
    driver.verify(&old).await?;
    driver.commit(&old).await?;

    let up = transition(Some(OLD), NEW, Method::Hot)?;
    let began = monotonic();
    driver.place(&staged(releases, directory, NEW).await?).await?;
    let placed = monotonic();
    driver.preflight(&up).await?;
    let checked = monotonic();
    driver.install(&up).await?;
    driver.verify(&up).await?;
    let verified = monotonic();
    let preflight = checked.since(placed);
    driver.commit(&up).await?;

    let down = transition(Some(NEW), OLD, Method::Hot)?;
    let turned = monotonic();
    ensure!(driver.is_placed(&down.to, &Digest::of(OLD.as_bytes())).await?, "{OLD} is there still");
    driver.install(&down).await?;
    driver.verify(&down).await?;
    let back = monotonic();
    driver.stop().await?;
    Ok(Took {
        upgrade: ms(verified.since(began) - preflight),
        downgrade: ms(back.since(turned)),
        preflight: ms(preflight),
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn open(bench: &Bench, directory: &Path) -> anyhow::Result<ErlangDriver> {
    let (state, run) = (directory.join("state"), directory.join("run"));
    for needed in [&state, &run] {
        fs::create_dir_all(needed)?;
    }
    let port = ports::free(&[Ipv4Addr::LOCALHOST])?;
    let settings = ErlangSettings {
        app: "shop".parse()?,
        release: "shop".parse()?,
        root: directory.join("root"),
        run_directory: run,
        relupd: bench.binaries.relupd.clone(),
        environment: BTreeMap::from([("PORT".to_owned(), port.to_string())]),
        user: None,
        stop_grace: Duration::from_secs(5),
        patience: Patience::default(),
        required_hardening: BTreeSet::new(),
    };
    Ok(ErlangDriver::open(settings, Arc::new(ChildService::open(&state)?))?)
}

/// Unpacks a release as the store would lay it out.
async fn staged(releases: &Releases, directory: &Path, version: &str) -> anyhow::Result<StagedRelease> {
    let tree = directory.join("staged").join(version);
    fs::create_dir_all(&tree)?;
    let archive = releases.archive(version);
    let unpacked = Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(&tree).status().await;
    ensure!(unpacked.context("cannot run tar")?.success(), "cannot unpack {}", archive.display());
    Ok(StagedRelease { version: version.parse()?, manifest: Digest::of(version.as_bytes()), tree })
}

fn transition(from: Option<&str>, to: &str, method: Method) -> anyhow::Result<Transition> {
    let from = from.map(str::parse::<ReleaseVersion>).transpose()?;
    Ok(Transition { from, to: to.parse()?, method, operation: format!("bench-{method}-{to}") })
}
