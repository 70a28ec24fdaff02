//! Plays cells: a rollout under load, a fault, its healing, and then everything is held against what was
//! promised. One cell's end is the next one's beginning.

use super::acknowledged::Acknowledged;
use super::cells::{Cell, Moment};
use super::{Hosts, elixir, figures, hot, noise, settle, smoke};
use crate::cluster::APP;
use crate::ctl::{Plan, Rollout};
use crate::history;
use crate::load::Load;
use crate::report::{Figure, Report};
use crate::samples::Samples;
use crate::show::Show;
use crate::wait;
use anyhow::{Context as _, ensure};
use relupd::clock::monotonic;
use std::time::Duration;

/// A fault lasts so long: longer than an election and than gossip takes to miss a node.
const HOLD: Duration = Duration::from_secs(3);

/// From one look at the rollout to the next, while a moment is waited for.
const MOMENT_PATIENCE: Duration = Duration::from_secs(60);

/// Clients ask 200 times a second; what fails within one window fails at the same time.
pub(super) const WINDOW: Duration = Duration::from_millis(500);

const VERSIONS: [&str; 2] = ["0.1.0", "0.2.0"];

/// So many requests tell of a fault-free rollout, where time is taken for all there is.
const REQUESTS: u64 = 100_000;

/// Plays all of these on fresh hosts, after what is measured without a fault; that takes its time where it is `whole`.
pub async fn play(
    hosts: &mut Hosts,
    samples: &Samples,
    cells: &[Cell],
    whole: bool,
    show: Show,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut acknowledged = Acknowledged::new(hosts);
    let joined = hosts.form().await?.as_secs_f64();
    report.push(Figure::at_most("package_install_to_joined_s", joined, "s", smoke::JOIN_BOUND_S));
    hosts.set_up_app().await?;
    hosts.install_app(samples, &VERSIONS).await?;
    let (served, current) = hot::rolls(hosts, VERSIONS, if whole { REQUESTS } else { 0 }, show).await?;
    report.extend(served.figures());
    report.push(smoke::exposure(hosts).await?);

    report.extend(figures::idle(hosts).await?);
    report.extend(figures::lost_leaders(hosts, &mut acknowledged).await?);
    report.extend(elixir::play(hosts, show).await?);
    if whole {
        report.extend(noise::false_deaths(hosts).await?);
    }
    cells_after(hosts, cells, current, acknowledged, report, show).await
}

/// Plays these alone on fresh hosts.
pub async fn play_cells(
    hosts: &mut Hosts,
    samples: &Samples,
    cells: &[Cell],
    show: Show,
) -> anyhow::Result<Report> {
    hosts.form().await?;
    hosts.set_up_app().await?;
    hosts.install_app(samples, &VERSIONS).await?;
    let acknowledged = Acknowledged::new(hosts);
    cells_after(hosts, cells, VERSIONS[0], acknowledged, Report::default(), show).await
}

/// Plays them one after the other, from hosts that serve this version.
async fn cells_after(
    hosts: &mut Hosts,
    cells: &[Cell],
    mut current: &'static str,
    mut acknowledged: Acknowledged,
    mut report: Report,
    show: Show,
) -> anyhow::Result<Report> {
    let (mut run, mut wrong, mut skipped) = (0, 0, 0);
    for cell in cells {
        if let Some(why) = cell.fault.missing() {
            skipped += 1;
            show.say(&format!("  SKIPPED {cell}: {why}"));
            continue;
        }
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
                settle::heal(hosts).await.context("after a cell that went wrong")?;
                current =
                    settle::on_one_of(hosts, &VERSIONS).await.context("after a cell that went wrong")?;
            }
        }
    }
    let lost = acknowledged.lost(hosts).await?;
    report.extend(history::figures(&hosts.take_history(), show));
    ensure!(run + skipped == cells.len() as u64, "a cell was left out");
    report.note(format!("the last command that was not acknowledged: {:?}", acknowledged.last_refusal()));
    report.push(Figure::some("cells_run", run));
    report.push(Figure::counted("cells_skipped", skipped));
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
    settle::on(hosts, now).await.with_context(|| format!("it ended {phase}: {}", rollout.summary.reason))?;
    let record = load.stop().await?;
    ensure!(cell.may_end(&phase), "it ended {phase}: {}", rollout.summary.reason);
    let at_once = record.nodes_failing_at_once(WINDOW);
    ensure!(at_once <= cell.may_fail_at_once(), "{at_once} hosts' apps failed at the same time");
    acknowledged.one_more(hosts).await?;
    settle::lift(hosts).await?;
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
