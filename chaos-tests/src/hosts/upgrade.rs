//! relupd itself is rolled over hosts that serve an app: to a daemon of the next format and back before that is in
//! use, one that does not start, and one that the power leaves in the middle.

use super::{Hosts, package, settle};
use crate::cluster::APP;
use crate::ctl::Ended;
use crate::load::Load;
use crate::report::Figure;
use crate::samples::Samples;
use crate::show::Show;
use crate::wait;
use anyhow::{Context as _, ensure};
use relupd::clock::monotonic;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The installer's own account on a host.
const PROGRESS: &str = "/var/lib/relupd-upgrade/progress.json";

const OLD: &str = "0.1.0-2";
const NEXT: &str = "0.1.0-3";
const BROKEN: &str = "0.1.0-4";

/// dpkg, a minute for a daemon to prove itself, the way back, and a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Plays it on booted hosts. `next` is a daemon that reads the next format.
pub async fn play(
    hosts: &mut Hosts,
    samples: &Samples,
    next: &Path,
    show: Show,
) -> anyhow::Result<Vec<Figure>> {
    let packages = Packages::make(hosts, next)?;
    hosts.form().await?;
    hosts.set_up_app().await?;
    hosts.install_app(samples, &["0.1.0"]).await?;
    show.witnessed(&format!("{APP} runs on {} hosts", hosts.all().len()));
    untrusted(hosts, &packages, show).await?;
    trust(hosts, &packages).await?;

    // From the package that was installed by hand to one of the same program: all versions are told from here on.
    let mut figures = vec![roll(hosts, &packages, OLD, "upgrade_roll_s", show).await?];
    let mut failed = 0;
    for (version, figure) in [(NEXT, "upgrade_to_next_format_s"), (OLD, "upgrade_back_s")] {
        if version == NEXT {
            mixed(hosts, &packages, show).await?;
        }
        let load = Load::start(&hosts.apps(), &hosts.directory().join("upgrade.log"))?;
        let before = vms(hosts).await?;
        figures.push(roll(hosts, &packages, version, figure, show).await?);
        let record = load.stop().await?;
        ensure!(vms(hosts).await? == before, "a VM was restarted with its daemon");
        settle::agreed(hosts).await?;
        show.witnessed(&format!(
            "to {version} under load: {} requests, {} failed, {} counts lost, the same VMs",
            record.requests(),
            record.failures().len(),
            record.counters_lost()
        ));
        figures.push(Figure::some(&format!("requests_during_{figure}"), record.requests()));
        failed += record.failures().len() as u64 + record.counters_lost();
        if version == NEXT {
            let notes = hosts.settled().await?.cluster.notes;
            ensure!(notes.iter().any(|note| note.contains("raise-format")), "nothing to raise: {notes:?}");
        }
    }
    figures.push(Figure::exactly("failed_requests_in_upgrades_of_relupd", failed, 0));
    figures.push(broken(hosts, &packages, show).await?);
    cut_off(hosts, &packages, show).await?;
    Ok(figures)
}

/// What is rolled, and the key that signs it.
struct Packages {
    directory: PathBuf,
    old: PathBuf,
    next: PathBuf,
    broken: PathBuf,
    key: String,
}

impl Packages {
    fn make(hosts: &Hosts, next: &Path) -> anyhow::Result<Self> {
        ensure!(
            next.is_file(),
            "{} is missing: build relupd with --features next-format and copy it there",
            next.display()
        );
        let (binaries, directory) = (hosts.binaries(), hosts.directory().join("packages"));
        fs::create_dir_all(&directory)?;
        let old = package::of(binaries, &binaries.relupd, OLD, &directory)?;
        let next = package::of(binaries, next, NEXT, &directory)?;
        let broken = package::broken(&old, BROKEN, &directory)?;
        let key = directory.join("key.pem").to_string_lossy().into_owned();
        Ok(Self { directory, old, next, broken, key })
    }

    fn of(&self, version: &str) -> String {
        let path = match version {
            OLD => &self.old,
            NEXT => &self.next,
            _ => &self.broken,
        };
        path.to_string_lossy().into_owned()
    }
}

/// Before anybody is trusted, and by a key that is not, nothing is changed.
async fn untrusted(hosts: &Hosts, packages: &Packages, show: Show) -> anyhow::Result<()> {
    let ctl = hosts.ctl(0)?;
    ctl.run(&["upgrade", "new-key", &packages.key]).await?;
    let refused = ctl.refused(&["cluster", "upgrade", &packages.of(OLD), "--key", &packages.key]).await?;
    ensure!(refused.contains("relupctl upgrade trust"), "it does not say what to do: {refused}");
    show.witnessed("hosts that trust no key refuse, with what to run");
    Ok(())
}

async fn trust(hosts: &Hosts, packages: &Packages) -> anyhow::Result<()> {
    let public = hosts.ctl(0)?.run(&["upgrade", "key", "--key", &packages.key]).await?.stdout;
    for host in hosts.all() {
        host.write("/root/ada.pem", &public)?;
        host.run(&["relupctl", "upgrade", "trust", "/root/ada.pem"]).await?;
    }
    let ctl = hosts.ctl(0)?;
    let other = packages.directory.join("other.pem").to_string_lossy().into_owned();
    ctl.run(&["upgrade", "new-key", &other]).await?;
    let refused = ctl.refused(&["cluster", "upgrade", &packages.of(OLD), "--key", &other]).await?;
    ensure!(refused.contains("does not take packages signed by this key"), "a foreign key: {refused}");
    Ok(())
}

/// The whole cluster to a version, asked at its first host; how long it took.
async fn roll(
    hosts: &Hosts,
    packages: &Packages,
    version: &str,
    figure: &str,
    show: Show,
) -> anyhow::Result<Figure> {
    let begin = monotonic();
    let ended = upgrade(hosts, packages, version, &[]).await?;
    let took = monotonic().since(begin);
    ensure!(ended.code == 0, "to {version}: {}: {}{}", ended.code, ended.stdout, ended.stderr);
    show.block(ended.stdout.trim_end());
    let status = hosts.settled().await?;
    for node in &status.cluster.nodes {
        ensure!(node.daemon_version == version, "{} runs {}", node.name, node.daemon_version);
    }
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let handed = lines.iter().position(|line| line.contains("hands over"));
    let handed = handed.context("the leader has not handed over")?;
    ensure!(
        lines[handed..].iter().filter(|line| line.contains(" -> ")).count() == 1,
        "the leader was not the last: {}",
        ended.stdout
    );
    Ok(Figure::seconds(figure, took, None))
}

async fn upgrade(hosts: &Hosts, packages: &Packages, version: &str, more: &[&str]) -> anyhow::Result<Ended> {
    let package = packages.of(version);
    let arguments = ["cluster", "upgrade", package.as_str(), "--key", packages.key.as_str()];
    hosts.ctl(0)?.try_run(&[&arguments[..], more].concat()).await
}

/// Stopped after the first host, two versions run side by side, and nothing new can be used.
async fn mixed(hosts: &Hosts, packages: &Packages, show: Show) -> anyhow::Result<()> {
    let ended = upgrade(hosts, packages, NEXT, &["--limit", "1"]).await?;
    ensure!(ended.code == 5, "stopped after one: {}: {}{}", ended.code, ended.stdout, ended.stderr);
    let status = hosts.settled().await?;
    let new = status.cluster.nodes.iter().filter(|node| node.daemon_version == NEXT).count();
    ensure!(new == 1, "{new} nodes run {NEXT}");
    settle::agreed(hosts).await?;
    let refused = hosts.ctl(0)?.refused(&["cluster", "raise-format", "--yes"]).await?;
    show.witnessed(&format!("with one host of {NEXT} the format is not raised: {}", refused.trim()));
    Ok(())
}

/// A daemon that does not start is taken back by its host, and the roll ends with it.
async fn broken(hosts: &Hosts, packages: &Packages, show: Show) -> anyhow::Result<Figure> {
    let before = vms(hosts).await?;
    let begin = monotonic();
    let ended = upgrade(hosts, packages, BROKEN, &[]).await?;
    let took = monotonic().since(begin);
    ensure!(ended.code == 3, "a broken relupd: {}: {}{}", ended.code, ended.stdout, ended.stderr);
    show.block(ended.stdout.trim_end());
    let status = hosts.settled().await?;
    for node in &status.cluster.nodes {
        ensure!(node.daemon_version == OLD, "{} runs {}", node.name, node.daemon_version);
    }
    let mut touched = 0;
    for host in hosts.all() {
        touched += u32::from(progress(host.path(PROGRESS)?)?["to"] == BROKEN);
        let installed = host.run(&["dpkg-query", "-W", "-f=${Version} ${Status}", "relupd"]).await?;
        ensure!(installed.trim() == format!("{OLD} install ok installed"), "{}: {installed}", host.name());
    }
    ensure!(touched == 1, "{touched} hosts had the broken package");
    ensure!(vms(hosts).await? == before, "a VM was restarted with its daemon");
    show.witnessed(&format!("a relupd that does not start: back by itself in {:.0} s", took.as_secs_f64()));
    Ok(Figure::seconds("broken_upgrade_back_s", took, None))
}

/// The power fails while the new daemon has to prove itself: the next boot takes it back.
async fn cut_off(hosts: &mut Hosts, packages: &Packages, show: Show) -> anyhow::Result<()> {
    let package = packages.of(BROKEN);
    let mut command =
        hosts.ctl(0)?.command(&["cluster", "upgrade", &package, "--key", &packages.key, "--timeout", "5s"]);
    let mut rolling = command.stdout(std::process::Stdio::null()).spawn()?;
    let index = wait::until("a host tries the broken package again", PATIENCE, async || {
        for (index, host) in hosts.all().iter().enumerate() {
            let progress = progress(host.path(PROGRESS)?)?;
            if progress["to"] == BROKEN && progress["phase"] == "checking" {
                return Ok(Some(index));
            }
        }
        Ok(None)
    })
    .await?;
    let host = hosts.at(index);
    host.cut_power();
    rolling.kill().await?;
    host.power_on()?;
    host.booted().await?;
    let host = &hosts.all()[index];
    wait::until("the host goes back by itself", PATIENCE, async || {
        Ok((progress(host.path(PROGRESS)?)?["phase"] == "reverted").then_some(()))
    })
    .await?;
    let status = hosts.settled().await?;
    ensure!(status.cluster.nodes.iter().all(|node| node.daemon_version == OLD), "not everybody is back");
    show.witnessed(&format!(
        "{} lost its power in the middle: its next boot put the package of before back",
        host.name()
    ));
    Ok(())
}

fn progress(path: PathBuf) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// The VM on each host, told from every other by its boot and its start.
async fn vms(hosts: &Hosts) -> anyhow::Result<Vec<(String, u64)>> {
    let mut vms = Vec::new();
    for index in 0..hosts.all().len() {
        let (info, start_time) = hosts.testimony(index).await?;
        vms.push((info.boot, start_time));
    }
    Ok(vms)
}
