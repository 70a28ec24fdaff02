//! Plays cells: a rollout under load, a fault, its healing, and then everything is held against what was
//! promised. One cell's end is the next one's beginning.

use super::acknowledged::Acknowledged;
use super::cells::{Cell, Moment};
use super::{Hosts, figures, install, smoke};
use crate::cluster::APP;
use crate::ctl::{Plan, Rollout};
use crate::load::Load;
use crate::report::{Figure, Report};
use crate::samples::Samples;
use crate::show::Show;
use crate::wait;
use anyhow::{Context as _, bail, ensure};
use relupd::clock::monotonic;
use std::time::Duration;

/// A fault lasts so long: longer than an election and than gossip takes to miss a node.
const HOLD: Duration = Duration::from_secs(3);

/// From one look at the rollout to the next, while a moment is waited for.
const MOMENT_PATIENCE: Duration = Duration::from_secs(60);

/// Everything is healed: until every host serves what it should, restarts and elections included.
const SETTLE_PATIENCE: Duration = Duration::from_secs(90);

/// Clients ask 200 times a second; what fails within one window fails at the same time.
const WINDOW: Duration = Duration::from_millis(500);

const VERSIONS: [&str; 2] = ["0.1.0", "0.2.0"];

/// Plays all of these on fresh hosts.
pub async fn play(
    hosts: &mut Hosts,
    samples: &Samples,
    cells: &[Cell],
    show: Show,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let joined = hosts.form().await?.as_secs_f64();
    report.push(Figure::at_most("package_install_to_joined_s", joined, "s", smoke::JOIN_BOUND_S));
    hosts.set_up_app().await?;
    hosts.install_app(samples, &VERSIONS).await?;
    report.extend(smoke::hot(hosts, show).await?);
    report.push(smoke::exposure(hosts).await?);

    report.extend(figures::idle(hosts).await?);
    let mut acknowledged = Acknowledged::new(hosts);
    report.extend(figures::lost_leaders(hosts, &mut acknowledged).await?);
    let mut current = VERSIONS[1];
    let (mut run, mut wrong) = (0, 0);
    for cell in cells {
        let begin = monotonic();
        run += 1;
        match one(hosts, *cell, current, &mut acknowledged).await {
            Ok((ended, phase)) => {
                show.witnessed(&format!(
                    "{cell}: {phase}, in {:.0} s",
                    monotonic().since(begin).as_secs_f64()
                ));
                current = ended;
            }
            Err(error) => {
                wrong += 1;
                show.say(&format!("  ✗ {cell}: {error:#}"));
                show.block(&hosts.testament().await);
                report.note(format!("{cell}: {error:#}"));
                current = recover(hosts).await.context("after a cell that went wrong")?;
            }
        }
    }
    let lost = acknowledged.lost(hosts).await?;
    ensure!(run == cells.len() as u64, "a cell was left out");
    report.note(format!("the last command that was not acknowledged: {:?}", acknowledged.last_refusal()));
    report.push(Figure::some("cells_run", run));
    report.push(Figure::exactly("cells_wrong", wrong, 0));
    report.push(Figure::some("acknowledged_commands", acknowledged.count()));
    report.push(Figure::exactly("acknowledged_commands_lost", lost.len() as u64, 0));
    Ok(report)
}

/// One cell; the version that every host runs after it, and the phase that the rollout ended in.
async fn one(
    hosts: &mut Hosts,
    cell: Cell,
    from: &'static str,
    acknowledged: &mut Acknowledged,
) -> anyhow::Result<(&'static str, String)> {
    let to = if from == VERSIONS[0] { VERSIONS[1] } else { VERSIONS[0] };
    let status = hosts.settled().await?;
    let leader = status.leader()?;
    let ctl = hosts.ctl(0)?;
    let plan = ctl.plan(APP, to).await?;
    let victim = cell.role.of(&plan.order(), leader).context("a host with that role")?;
    let victim = hosts.index_of(victim)?;

    let load = Load::start(&hosts.apps(), &hosts.directory().join("load.log"))?;
    let id = ctl.start(&plan).await?;
    until(hosts, cell.moment, &id, &plan).await?;
    cell.fault.strike(hosts, victim, to).await?;
    let begin = monotonic();
    while monotonic().since(begin) < HOLD {
        acknowledged.one_more(hosts).await?;
    }
    cell.fault.heal(hosts, victim).await?;
    hosts.settled().await?;

    let rollout = hosts.ctl(0)?.watch_to_end(&id).await?;
    let phase = rollout.summary.phase.clone();
    let now = if phase == "completed" { to } else { from };
    settled_on(hosts, now).await.with_context(|| format!("it ended {phase}: {}", rollout.summary.reason))?;
    let record = load.stop().await?;
    ensure!(cell.may_end(&phase), "it ended {phase}: {}", rollout.summary.reason);
    let at_once = record.nodes_failing_at_once(WINDOW);
    ensure!(at_once <= cell.may_fail_at_once(), "{at_once} hosts' apps failed at the same time");
    acknowledged.one_more(hosts).await?;
    lift(hosts).await?;
    Ok((now, phase))
}

/// Waits for the moment, asking a host that is there.
async fn until(hosts: &Hosts, moment: Moment, id: &str, plan: &Plan) -> anyhow::Result<()> {
    let ctl = hosts.ctl(0)?;
    if moment == Moment::Reverting {
        let first = plan.order().first().copied().context("a plan has steps")?;
        let is_done = |rollout: &Rollout| {
            rollout.nodes.iter().any(|node| node.node_name == first && node.step == "healthy")
        };
        ctl.rollout_until(id, "the first node is done", is_done).await?;
        ctl.run(&["rollout", "abort", id, "--revert"]).await?;
    }
    wait::closely(&format!("the rollout is {moment:?}"), MOMENT_PATIENCE, async || {
        Ok(moment.has_come(&ctl.rollout(id).await?).then_some(()))
    })
    .await
}

/// Every host serves this version from outside, and relupd knows it: running, permanent and healthy.
async fn settled_on(hosts: &Hosts, version: &str) -> anyhow::Result<()> {
    wait::until(&format!("every host serves {version} and will after a boot"), SETTLE_PATIENCE, async || {
        let status = hosts.ctl(0)?.status().await?;
        for (index, host) in hosts.all().iter().enumerate() {
            let (info, _) = hosts.testimony(index).await?;
            ensure!(info.version == version, "{} serves {}", host.name(), info.version);
            let instance = status.instance(host.name(), APP)?;
            let agrees = instance.running == version && instance.permanent == version;
            ensure!(agrees && instance.health == "healthy", "relupd has {instance:?} on {}", host.name());
        }
        Ok(Some(()))
    })
    .await
}

/// A release that failed here failed by the fault.
async fn lift(hosts: &Hosts) -> anyhow::Result<()> {
    let ctl = hosts.ctl(0)?;
    for quarantine in ctl.status().await?.quarantines {
        let digest = quarantine["digest"].as_str().or_else(|| quarantine["release"]["digest"].as_str());
        let digest = digest.context("a quarantine names a digest")?;
        ctl.run(&["quarantine", "lift", digest]).await?;
    }
    Ok(())
}

/// Heals whatever a cell has left, and finds a version that every host runs.
async fn recover(hosts: &mut Hosts) -> anyhow::Result<&'static str> {
    for index in 0..hosts.all().len() {
        if !hosts.all()[index].is_on() {
            hosts.at(index).power_on()?;
            hosts.at(index).booted().await?;
        }
        // Nothing is to be thawed, as a rule.
        let _thawed = hosts.all()[index].thaw_state();
        let host = &hosts.all()[index];
        host.try_run(&["nft", "delete table inet chaos"]).await?;
        host.try_run(&["rm", "-f", "/var/lib/relupd/filler", "/opt/filler"]).await?;
        host.try_run(&["systemctl", "kill", "--signal=CONT", "relupd"]).await?;
        host.try_run(&["systemctl", "start", "relupd"]).await?;
    }
    hosts.settled().await?;
    lift(hosts).await?;
    for version in VERSIONS {
        if settled_on(hosts, version).await.is_ok() {
            return Ok(version);
        }
    }
    bail!("the hosts serve different versions (the daemons' port is {})", install::PORT)
}
