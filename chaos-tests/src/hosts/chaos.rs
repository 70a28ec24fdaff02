//! Plays cells: a rollout under load, a fault, its healing, and then everything is held against what was
//! promised. One cell's end is the next one's beginning.

use super::acknowledged::Acknowledged;
use super::cells::{Cell, Moment};
use super::look::look;
use super::revoked::Revoked;
use super::tally::Tally;
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
use std::path::PathBuf;
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

/// What is played.
#[derive(Clone, Debug)]
pub struct Script {
    /// One after the other.
    pub cells: Vec<Cell>,
    /// Everything there is: then what is measured without a fault takes its time, too.
    pub is_whole: bool,
    /// Where it is kept how far it is.
    pub report: Option<PathBuf>,
    /// From where an earlier part of it stopped.
    pub goes_on: bool,
    /// Until about then. What is left is for another part.
    pub limit: Option<Duration>,
}

/// Plays a script on fresh hosts, after what is measured without a fault.
pub async fn play(
    hosts: &mut Hosts,
    samples: &Samples,
    script: Script,
    show: Show,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let tally = Tally::new(script.report.clone(), script.is_whole, &hosts.binaries().relupd)?;
    let mut acknowledged = Acknowledged::new(hosts);
    let joined = hosts.form().await?.as_secs_f64();
    report.push(Figure::at_most("package_install_to_joined_s", joined, "s", smoke::JOIN_BOUND_S));
    hosts.set_up_app().await?;
    hosts.install_app(samples, &VERSIONS).await?;
    let requests = if script.is_whole { REQUESTS } else { 0 };
    let (served, current) = hot::rolls(hosts, VERSIONS, requests, show).await?;
    report.extend(served.figures(requests.max(1)));
    report.push(smoke::exposure(hosts).await?);

    report.extend(figures::idle(hosts, figures::IDLE).await?);
    let cuts = if script.is_whole { figures::ALL_CUTS } else { figures::SOME_CUTS };
    report.extend(figures::lost_leaders(hosts, &mut acknowledged, cuts).await?);
    report.extend(elixir::play(hosts, show).await?);
    if script.is_whole {
        report.extend(noise::false_deaths(hosts).await?);
    }
    if let Some(path) = &script.report {
        report.clone().write_into(path)?;
    }
    let revoked = Revoked::make(hosts).await?;
    cells_after(hosts, Cells { script, tally, current, acknowledged, revoked, report }, show).await
}

/// What an idle daemon takes, alone: as [`play`] measures it, for as long as one likes to look at it.
pub async fn play_idle(
    hosts: &Hosts,
    samples: &Samples,
    how_long: Duration,
    show: Show,
) -> anyhow::Result<Report> {
    hosts.form().await?;
    hosts.set_up_app().await?;
    hosts.install_app(samples, &VERSIONS).await?;
    hot::rolls(hosts, VERSIONS, 0, show).await?;
    let mut report = Report::default();
    report.extend(figures::idle(hosts, how_long).await?);
    Ok(report)
}

/// Plays its cells alone on fresh hosts; those that are left, where it goes on.
pub async fn play_cells(
    hosts: &mut Hosts,
    samples: &Samples,
    script: Script,
    show: Show,
) -> anyhow::Result<Report> {
    let relupd = &hosts.binaries().relupd;
    let tally = match script.goes_on {
        true => Tally::go_on(script.report.clone(), relupd)?,
        false => Tally::new(script.report.clone(), script.is_whole, relupd)?,
    };
    hosts.form().await?;
    hosts.set_up_app().await?;
    hosts.install_app(samples, &VERSIONS).await?;
    let (acknowledged, revoked) = (Acknowledged::new(hosts), Revoked::make(hosts).await?);
    let (current, report) = (VERSIONS[0], Report::default());
    cells_after(hosts, Cells { script, tally, current, acknowledged, revoked, report }, show).await
}

/// What is to be played, on hosts that serve a version, after what was measured before.
struct Cells {
    script: Script,
    tally: Tally,
    current: &'static str,
    acknowledged: Acknowledged,
    revoked: Revoked,
    report: Report,
}

/// Plays them one after the other.
async fn cells_after(hosts: &mut Hosts, cells: Cells, show: Show) -> anyhow::Result<Report> {
    let Cells { script, mut tally, mut current, mut acknowledged, revoked, mut report } = cells;
    let Script { cells, report: path, limit, .. } = script;
    let histories = path.as_ref().and_then(|path| path.parent()).map(|parent| parent.join("history.jsonl"));
    let began = monotonic();
    for cell in cells.into_iter().filter(|cell| !tally.has(*cell)).collect::<Vec<_>>() {
        if limit.is_some_and(|limit| monotonic().since(began) >= limit) {
            show.say("  the time is over; --go-on goes on from here");
            break;
        }
        if let Some(why) = cell.fault.missing() {
            tally.skipped();
            show.say(&format!("  SKIPPED {cell}: {why}"));
            continue;
        }
        let begin = monotonic();
        let went = match one(hosts, cell, current, &mut acknowledged).await {
            Ok(ended) => kept(hosts, &acknowledged, &revoked).await.map(|()| ended),
            Err(error) => Err(error),
        };
        match went {
            Ok(Ended { version, phase, was_late }) => {
                let (seconds, late) = (monotonic().since(begin).as_secs_f64(), [", late", ""]);
                let late = late[usize::from(!was_late)];
                show.witnessed(&format!("{cell}: {phase}, in {seconds:.0} s{late}"));
                current = version;
                tally.went(cell, phase, was_late)?;
            }
            Err(error) => {
                show.say(&format!("  ✗ {cell}: {error:#}"));
                show.block(&hosts.testament().await);
                tally.went_wrong(format!("{cell}: {error:#}"))?;
                settle::heal(hosts).await.context("after a cell that went wrong")?;
                current =
                    settle::on_one_of(hosts, &VERSIONS).await.context("after a cell that went wrong")?;
            }
        }
    }
    let lost = acknowledged.lost(hosts).await?;
    let calls = hosts.take_history();
    let mut part = Report::default();
    part.extend(history::figures(&calls, "", show));
    if let Some(path) = histories {
        history::write(&calls, &path)?;
    }
    part.note(format!("the last command that was not acknowledged: {:?}", acknowledged.last_refusal()));
    part.push(Figure::some("acknowledged_commands", acknowledged.count()));
    part.push(Figure::exactly("acknowledged_commands_lost", lost.len() as u64, 0));
    report.append(tally.ends(part)?);
    Ok(report)
}

/// How a cell ended.
struct Ended {
    /// The version that every host runs after it.
    version: &'static str,
    /// The phase that the rollout ended in.
    phase: String,
    /// Whether the moment had passed when the fault struck.
    was_late: bool,
}

async fn one(
    hosts: &mut Hosts,
    cell: Cell,
    from: &'static str,
    acknowledged: &mut Acknowledged,
) -> anyhow::Result<Ended> {
    let to = if from == VERSIONS[0] { VERSIONS[1] } else { VERSIONS[0] };
    let status = hosts.settled().await?;
    let leader = status.leader()?;
    let ctl = hosts.ctl(0)?;
    let plan = ctl.plan(APP, to).await?;
    let victim = cell.role.of(&plan.order(), leader).context("a host with that role")?;
    let victim = hosts.index_of(victim)?;
    let before = apps(hosts).await?;

    let load = Load::start(&hosts.apps(), &hosts.directory().join("load.log"))?;
    let id = ctl.start(&plan).await?;
    let was_late = !until(hosts, cell.moment, &id, &plan).await?;
    cell.fault.strike(hosts, victim, to).await?;
    let begin = monotonic();
    let other = (victim + 1) % hosts.all().len();
    while monotonic().since(begin) < HOLD {
        acknowledged.one_more(hosts).await?;
        look(&hosts.ctl(other)?).await?;
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
    let spared = |index: &usize| *index != victim || !cell.fault.ends_the_app();
    let after = apps(hosts).await?;
    for index in (0..hosts.all().len()).filter(spared) {
        let name = hosts.all()[index].name();
        let is_touched = rollout.nodes.iter().any(|node| node.node_name == name && node.touched);
        ensure!(
            is_touched || before[index] == after[index],
            "S7: {name} was not touched, and its VM is another"
        );
    }
    acknowledged.one_more(hosts).await?;
    settle::lift(hosts).await?;
    Ok(Ended { version: now, phase, was_late })
}

/// What must be so after every cell, whatever it was about.
async fn kept(hosts: &Hosts, acknowledged: &Acknowledged, revoked: &Revoked) -> anyhow::Result<()> {
    let lost = acknowledged.lost(hosts).await?;
    ensure!(lost.is_empty(), "acknowledged and lost: {}", lost.join(", "));
    revoked.stays_out(hosts).await?;
    settle::agreed(hosts).await
}

/// Which VM serves on each host.
async fn apps(hosts: &Hosts) -> anyhow::Result<Vec<(String, u64)>> {
    let mut apps = Vec::new();
    for index in 0..hosts.all().len() {
        let (info, start_time) = hosts.testimony(index).await?;
        apps.push((info.boot, start_time));
    }
    Ok(apps)
}

/// Waits for the moment, asking a host that is there; whether it is not over yet.
async fn until(hosts: &Hosts, moment: Moment, id: &str, plan: &Plan) -> anyhow::Result<bool> {
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
        let rollout = ctl.rollout(id).await?;
        Ok(moment.has_come(&rollout).then(|| moment.is_now(&rollout)))
    })
    .await
}
