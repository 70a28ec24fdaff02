//! One look of the leader at everything it looks after: all rollouts on their way, and nodes that lag.

use super::catch_up;
use super::plan::Draft;
use super::step::{Report, step};
use super::timers::Timers;
use super::view::View;
use super::waiting::Waiting;
use crate::ids::{NodeId, RolloutId};
use crate::state::ClusterState;
use crate::state::command::Decision;
use crate::state::rollout::Rollout;
use std::collections::BTreeMap;
use std::time::Duration;

/// While a rollout is on its way, deadlines and silence are looked at this often; every change of the
/// state is looked at at once.
const WHILE_ROLLING: Duration = Duration::from_millis(250);

/// With no rollout on its way only a node's return can make work, and nobody is in a hurry for it.
const WHILE_IDLE: Duration = Duration::from_secs(2);

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
