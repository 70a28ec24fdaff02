//! `relupctl rollout`.

use crate::clock;
use crate::commands::watch;
use crate::exit::Exit;
use crate::human;
use crate::output::{fields, table};
use crate::session::{Session, answer, present};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use relupd_proto::api::v1;
use std::collections::BTreeMap;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Carry out a plan, provided that nothing it rests on has changed
    Start {
        /// Its id, as `relupctl plan` has printed it
        plan: String,
        /// Stay and watch until it ends
        #[arg(long, short)]
        watch: bool,
    },
    /// Watch until it ends; the exit code says how
    Watch(Selector),
    /// What it waits for, with values
    Why(Selector),
    /// Give no further node the new version until resumed
    Pause(Selector),
    /// Go on
    Resume(Selector),
    /// Say that the canary is good
    Promote(Selector),
    /// End it, in whatever phase it is
    Abort {
        #[command(flatten)]
        selector: Selector,
        /// Leave every node where it is
        #[arg(long, conflicts_with = "revert")]
        hold: bool,
        /// Take touched nodes back (the default)
        #[arg(long)]
        revert: bool,
    },
    /// Rollouts, newest first
    List {
        /// Of this app only
        app: Option<String>,
    },
    /// One rollout, node by node
    Show(Selector),
}

#[derive(Debug, Args)]
pub(crate) struct Selector {
    /// Its id (r7) or its app [default: the one on its way]
    rollout: Option<String>,
}

impl Command {
    /// Whether it watches, and so keeps time itself.
    pub(crate) const fn is_watching(&self) -> bool {
        match self {
            Self::Watch(_) | Self::Start { watch: true, .. } => true,
            Self::Start { watch: false, .. }
            | Self::Why(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Promote(_)
            | Self::Abort { .. }
            | Self::List { .. }
            | Self::Show(_) => false,
        }
    }
}

pub(crate) async fn run(command: Command, session: Session) -> anyhow::Result<Exit> {
    let mut client = session.rollouts();
    match command {
        Command::Start { plan, watch } => {
            let request = v1::StartRolloutRequest { plan_id: plan };
            let started = present(answer(client.start_rollout(request).await)?.rollout)?;
            let id = summary(&started)?.id.clone();
            if watch {
                return watch::run(session, id).await;
            }
            session.format.print(&started, |_| format!("rollout {id} is started"))?;
            session.format.hint(&format!("watch it with `relupctl rollout watch {id}`"));
            return Ok(Exit::Done);
        }
        Command::Watch(Selector { rollout }) => {
            return watch::run(session, rollout.unwrap_or_default()).await;
        }
        Command::Why(Selector { rollout }) => {
            let request = v1::ExplainRolloutRequest { rollout: rollout.unwrap_or_default() };
            let explained = answer(client.explain_rollout(request).await)?;
            session.format.print(&explained, why_text)?;
        }
        Command::Pause(Selector { rollout }) => {
            let request = v1::PauseRolloutRequest { rollout: rollout.unwrap_or_default() };
            let paused = answer(client.pause_rollout(request).await)?.rollout;
            print_change(&session, paused, "is paused: nodes at work finish, no other begins")?;
        }
        Command::Resume(Selector { rollout }) => {
            let request = v1::ResumeRolloutRequest { rollout: rollout.unwrap_or_default() };
            let resumed = answer(client.resume_rollout(request).await)?.rollout;
            print_change(&session, resumed, "goes on")?;
        }
        Command::Promote(Selector { rollout }) => {
            let request = v1::PromoteRolloutRequest { rollout: rollout.unwrap_or_default() };
            let promoted = answer(client.promote_rollout(request).await)?.rollout;
            print_change(&session, promoted, "is promoted")?;
        }
        Command::Abort { selector: Selector { rollout }, hold, revert: _ } => {
            let mode = if hold { v1::AbortMode::Hold } else { v1::AbortMode::Revert };
            let request = v1::AbortRolloutRequest { rollout: rollout.unwrap_or_default(), mode: mode.into() };
            let aborted = answer(client.abort_rollout(request).await)?.rollout;
            let what = if hold {
                "is aborted; nodes stay where they are"
            } else {
                "is aborted; touched nodes go back"
            };
            print_change(&session, aborted, what)?;
        }
        Command::List { app } => {
            let request = v1::ListRolloutsRequest { app: app.unwrap_or_default() };
            let list = answer(client.list_rollouts(request).await)?;
            session.format.print(&list.rollouts, |all| rollouts_table(all, clock::now()))?;
        }
        Command::Show(Selector { rollout }) => {
            let request = v1::GetRolloutRequest { rollout: rollout.unwrap_or_default() };
            let found = present(answer(client.get_rollout(request).await)?.rollout)?;
            session.format.print(&found, |rollout| rollout_text(rollout, clock::now()))?;
        }
    }
    Ok(Exit::Done)
}

/// The part that every answer has.
pub(super) fn summary(rollout: &v1::Rollout) -> anyhow::Result<&v1::RolloutSummary> {
    present(rollout.summary.as_ref())
}

fn print_change(session: &Session, rollout: Option<v1::Rollout>, what: &str) -> anyhow::Result<()> {
    let rollout = present(rollout)?;
    let id = &summary(&rollout)?.id;
    session.format.print(&rollout, |_| format!("rollout {id} {what}"))
}

/// Rollouts, one a line.
pub(super) fn rollouts_table(rollouts: &[v1::RolloutSummary], now: Timestamp) -> String {
    if rollouts.is_empty() {
        return "no rollout yet: make a plan with `relupctl plan APP VERSION`".to_owned();
    }
    let mut table = table(&["rollout", "app", "to", "phase", "nodes", "started", "took", "by", "why"]);
    for rollout in rollouts {
        table.add_row([
            rollout.id.clone(),
            rollout.app.clone(),
            rollout.version.clone(),
            phase_text(rollout),
            format!("{}/{}", rollout.nodes_done, rollout.nodes_total),
            human::ago(rollout.started_at.as_ref(), now),
            human::took(rollout.started_at.as_ref(), rollout.ended_at.as_ref(), now),
            rollout.started_by.clone(),
            human::or_dash(&rollout.reason),
        ]);
    }
    table.trim_fmt()
}

/// The phase, and whether it is paused.
pub(super) fn phase_text(rollout: &v1::RolloutSummary) -> String {
    let phase = human::label(rollout.phase());
    if rollout.paused_by.is_empty() { phase } else { format!("{phase}, paused by {}", rollout.paused_by) }
}

/// One rollout, node by node.
pub(super) fn rollout_text(rollout: &v1::Rollout, now: Timestamp) -> String {
    let mut parts: Vec<String> =
        rollout.summary.iter().map(|summary| summary_text(summary, &rollout.plan_id, now)).collect();
    parts.push(progress_table(&rollout.nodes));
    parts.extend(measured_table(&rollout.nodes));
    let checks = rollout.nodes.iter().map(|node| (node.node_name.as_str(), node.checks.as_slice()));
    parts.extend(preflight_text(checks));
    if !rollout.remedies.is_empty() {
        parts.push(remedies_text(&rollout.remedies));
    }
    parts.join("\n\n")
}

fn summary_text(summary: &v1::RolloutSummary, plan: &str, now: Timestamp) -> String {
    let mut lines = vec![
        ("rollout", format!("{} (plan {plan})", summary.id)),
        ("app", format!("{} to {}", summary.app, summary.version)),
        ("phase", phase_text(summary)),
    ];
    if !summary.reason.is_empty() {
        lines.push(("why", summary.reason.clone()));
    }
    lines.push((
        "started",
        format!("{} by {}", human::clock_time(summary.started_at.as_ref()), summary.started_by),
    ));
    lines.push(("took", human::took(summary.started_at.as_ref(), summary.ended_at.as_ref(), now)));
    fields(&lines)
}

fn progress_table(nodes: &[v1::NodeProgress]) -> String {
    let mut table = table(&["node", "from", "to", "method", "step", "detail"]);
    for node in nodes {
        let name = if node.canary { format!("{} (canary)", node.node_name) } else { node.node_name.clone() };
        table.add_row([
            name,
            human::or_dash(&node.from),
            node.to.clone(),
            human::label(node.method()),
            human::label(node.step()),
            human::or_dash(&node.detail),
        ]);
    }
    table.trim_fmt()
}

/// What hot installations cost, on the nodes where that was measured.
fn measured_table(nodes: &[v1::NodeProgress]) -> Option<String> {
    let measured: Vec<(&str, &v1::Measured)> =
        nodes.iter().filter_map(|node| Some((node.node_name.as_str(), node.measured.as_ref()?))).collect();
    if measured.is_empty() {
        return None;
    }
    let head = ["node", "installed in", "suspended", "for up to", "code_change", "up to", "queue"];
    let mut table = table(&head);
    for (node, measured) in measured {
        table.add_row([
            node.to_owned(),
            human::micros(measured.took_us),
            processes(measured.suspended),
            human::micros(measured.longest_suspend_us),
            format!("{} in {}", measured.code_changes, human::micros(measured.code_change_us)),
            human::micros(measured.longest_code_change_us),
            measured.longest_queue.to_string(),
        ]);
    }
    Some(table.trim_fmt())
}

fn processes(count: u32) -> String {
    format!("{count} process{}", if count == 1 { "" } else { "es" })
}

/// What preflight found, node by node: how much of it holds, and what does not.
pub(super) fn preflight_text<'a>(nodes: impl Iterator<Item = (&'a str, &'a [v1::Check])>) -> Option<String> {
    let mut table = table(&["node", "preflight", "reason", "what to do"]);
    for (node, checks) in nodes.filter(|(_, checks)| !checks.is_empty()) {
        let with = |result| checks.iter().filter(move |check| check.result() == result);
        let (passed, unknown) = (with(v1::CheckResult::Passed), with(v1::CheckResult::Unknown));
        let holds = format!("{} of {} hold", passed.count(), checks.len());
        table.add_row([node.to_owned(), holds, String::new()]);
        let told = |check: &&v1::Check| {
            !matches!(check.result(), v1::CheckResult::Passed | v1::CheckResult::Unknown)
        };
        for check in checks.iter().filter(told) {
            let what = format!("{}: {}", check.name, human::label(check.result()));
            table.add_row([node.to_owned(), what, check.reason.clone(), human::or_dash(&check.remedy)]);
        }
        for (reason, keys) in by_reason(unknown) {
            table.add_row([node.to_owned(), format!("{}: unknown", keys.join(", ")), reason.to_owned()]);
        }
    }
    (!table.is_empty()).then(|| table.trim_fmt())
}

/// Checks that say nothing for the same reason are told in one line.
fn by_reason<'a>(checks: impl Iterator<Item = &'a v1::Check>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for check in checks {
        let key = check.name.split(' ').next().unwrap_or(&check.name);
        let keys = reasons.entry(&check.reason).or_default();
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    reasons
}

fn remedies_text(remedies: &[v1::Remedy]) -> String {
    let line = |remedy: &v1::Remedy| {
        let at = if remedy.node_name.is_empty() { String::new() } else { format!("{}: ", remedy.node_name) };
        format!("- {at}{}\n  {}", remedy.reason, remedy.remedy)
    };
    let lines: Vec<String> = remedies.iter().map(line).collect();
    format!("what to do:\n{}", lines.join("\n"))
}

fn why_text(explained: &v1::ExplainRolloutResponse) -> String {
    let head = explained.rollout.as_ref().and_then(|rollout| rollout.summary.as_ref());
    let mut lines: Vec<String> =
        head.iter().map(|summary| format!("rollout {} is {}", summary.id, phase_text(summary))).collect();
    lines.extend(
        head.iter().filter(|summary| !summary.reason.is_empty()).map(|summary| summary.reason.clone()),
    );
    if explained.waiting_for.is_empty() {
        lines.push("it waits for nothing".to_owned());
    } else {
        lines.push("it waits for:".to_owned());
        lines.extend(explained.waiting_for.iter().map(|condition| format!("- {}", condition.text)));
    }
    let remedies = explained.rollout.as_ref().map(|rollout| rollout.remedies.as_slice()).unwrap_or_default();
    if !remedies.is_empty() {
        lines.push(remedies_text(remedies));
    }
    lines.join("\n")
}
