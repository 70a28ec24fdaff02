//! The leader's loop: gather the state, who has been silent and what has taken how long; ask
//! `Round::of`; propose what it answers. It keeps nothing that another leader would miss.

use crate::clock::monotonic;
use crate::daemon::cluster::Cluster;
use crate::ids::NodeId;
use crate::rollout::plan::Draft;
use crate::rollout::round::{Round, Waits};
use crate::rollout::timers::Timers;
use crate::state::command::{Actor, Applied, Command, Decision};
use crate::state::rollout::Rollout;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{Instrument, Span};

/// A decision is void because the rollout has moved; by then the new state is here.
pub const AFTER_REJECTION: Duration = Duration::from_millis(20);

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
