//! The leader's loop: gather the state, who has been silent and what has taken how long; ask
//! `rollout::step`; propose what it answers. It keeps nothing that another leader would miss.

use crate::clock::monotonic;
use crate::daemon::cluster::Cluster;
use crate::ids::{NodeId, RolloutId};
use crate::rollout::plan::Draft;
use crate::rollout::step::{Report, step};
use crate::rollout::timers::Timers;
use crate::rollout::view::View;
use crate::rollout::{catch_up, waiting::Waiting};
use crate::state::ClusterState;
use crate::state::command::{Actor, Applied, Command, Decision};
use crate::state::rollout::Rollout;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{Instrument, Span};

/// While a rollout is on its way, deadlines and silence are looked at this often; every change of the
/// state is looked at at once.
const WHILE_ROLLING: Duration = Duration::from_millis(250);

/// With no rollout on its way only a node's return can make work, and nobody is in a hurry for it.
const WHILE_IDLE: Duration = Duration::from_secs(2);

/// A decision is void because the rollout has moved; by then the new state is here.
pub const AFTER_REJECTION: Duration = Duration::from_millis(20);

/// What each rollout on its way waits for, as the leader sees it; empty on every other node.
pub type Waits = BTreeMap<RolloutId, Vec<Waiting>>;

/// One look at everything that the leader looks after.
#[derive(Debug)]
#[must_use]
pub struct Round<'a> {
    /// To be proposed together, for each rollout that needs its leader, with the revision that it has here.
    pub decisions: Vec<(&'a Rollout, Vec<Decision>)>,
    /// What each of them waits for.
    pub waits: Waits,
    /// A node that is to be brought up to date.
    pub catch_up: Option<Draft>,
    /// No rollout is on its way.
    pub idle: bool,
}

impl<'a> Round<'a> {
    /// What is to be done now. Changes nothing.
    pub fn of(state: &'a ClusterState, silence: &BTreeMap<NodeId, Duration>, timers: &Timers) -> Self {
        let mut round = Self {
            decisions: Vec::new(),
            waits: Waits::new(),
            catch_up: catch_up::next(state, silence),
            idle: true,
        };
        for rollout in state.rollouts.values().filter(|rollout| rollout.needs_leader()) {
            round.idle &= rollout.phase.is_terminal();
            if let Some(report) = look(state, rollout, silence, timers) {
                round.waits.insert(rollout.id, report.waiting);
                round.decisions.push((rollout, report.decisions));
            }
        }
        round
    }

    /// Until when nothing is looked at again by itself.
    #[must_use]
    pub const fn pause(&self) -> Duration {
        if self.idle { WHILE_IDLE } else { WHILE_ROLLING }
    }
}

fn look(
    state: &ClusterState,
    rollout: &Rollout,
    silence: &BTreeMap<NodeId, Duration>,
    timers: &Timers,
) -> Option<Report> {
    let watch = timers.of(rollout.id)?;
    let view = View::new(state, rollout, silence, watch.elapsed, &watch.stalled).ok()?;
    let mut report = step(&view);
    if let Some(elapsed) = watch.worth_recording(rollout) {
        report.decisions.insert(0, Decision::RecordElapsed { elapsed });
    }
    Some(report)
}

/// Runs until the cluster's handle is gone. Works only while this node leads.
pub async fn run(cluster: Cluster, waits: watch::Sender<Waits>) {
    let mut leadership = cluster.leadership();
    loop {
        if leadership.wait_for(|leadership| leadership.is_self).await.is_err() {
            return;
        }
        lead(&cluster, &waits).await;
        waits.send_replace(Waits::new());
    }
}

async fn lead(cluster: &Cluster, waits: &watch::Sender<Waits>) {
    let (mut states, mut leadership) = (cluster.states(), cluster.leadership());
    let mut timers = Timers::default();
    tracing::info!("this node leads");
    while leadership.borrow_and_update().is_self {
        let state = states.borrow_and_update().clone();
        let now = monotonic();
        let silence = cluster.silence(&state, now);
        timers.advance(&state, now);
        let round = Round::of(&state, &silence, &timers);
        let pause = round.pause();
        for (rollout, decisions) in round.decisions {
            let span = rollout_span(rollout, cluster.me());
            decide(cluster, rollout, decisions).instrument(span).await;
        }
        waits.send_if_modified(|old| {
            if *old == round.waits {
                false
            } else {
                *old = round.waits;
                true
            }
        });
        if let Some(draft) = round.catch_up {
            catch_up(cluster, draft).await;
        }
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            changed = leadership.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Every line of the log that is about a rollout says of which, as of which revision, and who leads.
fn rollout_span(rollout: &Rollout, leader: NodeId) -> Span {
    let revision = rollout.revision;
    tracing::info_span!("rollout", rollout = %rollout.id, app = %rollout.spec.name, node = %leader, revision)
}

async fn decide(cluster: &Cluster, rollout: &Rollout, decisions: Vec<Decision>) {
    if decisions.is_empty() {
        return;
    }
    tracing::debug!(rollout = %rollout.id, ?decisions, "deciding");
    let said = format!("{decisions:?}");
    let command = Command::Decide { rollout: rollout.id, revision: rollout.revision, decisions };
    match cluster.propose(Actor::Reconciler(cluster.me()), command).await {
        Ok(Ok(_)) => tracing::debug!(rollout = %rollout.id, decisions = said, "decided"),
        // Somebody was quicker; the new state is looked at next.
        Ok(Err(rejection)) => {
            tracing::debug!(rollout = %rollout.id, %rejection, "decision void");
            // A rejected entry moves the log, too: without a pause the same one would follow at once.
            tokio::time::sleep(AFTER_REJECTION).await;
        }
        Err(error) => tracing::warn!(rollout = %rollout.id, %error, "no decision"),
    }
}

async fn catch_up(cluster: &Cluster, draft: Draft) {
    let actor = || Actor::Reconciler(cluster.me());
    let app = draft.app.clone();
    let started = match cluster.propose(actor(), draft.into_command()).await {
        Ok(Ok(Applied::Plan(plan))) => cluster.propose(actor(), Command::StartRollout { plan }).await,
        other => other,
    };
    match started {
        Ok(Ok(_)) => tracing::info!(%app, "catching a node up"),
        Ok(Err(rejection)) => tracing::debug!(%app, %rejection, "no catch-up"),
        Err(error) => tracing::warn!(%app, %error, "no catch-up"),
    }
}
