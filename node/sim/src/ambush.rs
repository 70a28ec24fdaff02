//! Deeds that wait for a moment: what a rollout is in for a few milliseconds only is seldom hit by a deed whose
//! time was drawn before anything ran.

use crate::genesis::node_id;
use crate::host::Accident;
use crate::random::Random;
use crate::schedule::{Deed, Order};
use crate::world::{Event, World};
use relupd::ids::NodeId;
use relupd::state::ClusterState;
use relupd::state::rollout::{AbortMode, Phase, Stage, Step};
use std::time::Duration;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A plan lies there and can be started.
    Planned,
    Preparing,
    Halted,
    /// The commit is decided.
    Decided,
    /// A node is ...
    Fetching,
    PrepareFailed,
    Prepared,
    Assigned,
    Installing,
    Baking,
    Healthy,
    Failed,
    Draining,
    Ready,
    Committing,
    Committed,
    Reverting,
    Reverted,
    RevertFailed,
}

const MOMENTS: [Moment; 19] = [
    Moment::Planned,
    Moment::Preparing,
    Moment::Halted,
    Moment::Decided,
    Moment::Fetching,
    Moment::PrepareFailed,
    Moment::Prepared,
    Moment::Assigned,
    Moment::Installing,
    Moment::Baking,
    Moment::Healthy,
    Moment::Failed,
    Moment::Draining,
    Moment::Ready,
    Moment::Committing,
    Moment::Committed,
    Moment::Reverting,
    Moment::Reverted,
    Moment::RevertFailed,
];

/// A deed, and when it is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Ambush {
    pub moment: Moment,
    pub after: Duration,
    /// To the node that is in the moment, where that is one node's.
    pub deed: Deed,
}

impl Ambush {
    /// `other` is what is done as often as not.
    pub fn draw(random: &mut Random, host: usize, app: &relupd::ids::AppName, other: Deed) -> Self {
        let moment = random.pick(&MOMENTS).copied().expect("there are moments");
        if moment == Moment::Planned {
            // The plan is started 20 ms after it was made: both orders may be applied together.
            let after = Duration::from_micros(random.between(17_000, 21_000));
            return Self { moment, after, deed: Deed::Order(Order::Remove { host }) };
        }
        let seconds = |random: &mut Random, low, high| Duration::from_secs(random.between(low, high));
        let accident = |accident| Deed::Accident { host, app: app.clone(), accident };
        let deed = match random.below(16) {
            0 | 1 => Deed::Order(Order::Remove { host }),
            2 | 3 => Deed::PowerCut { host, down: seconds(random, 1, 40) },
            4 => Deed::Partition { side: vec![host], lasts: seconds(random, 20, 150) },
            5 => Deed::KillDaemon { host, down: seconds(random, 0, 30) },
            6 => accident(Accident::VmKilled),
            7 => accident(Accident::BookTorn),
            8 => Deed::NoFetch { host, lasts: seconds(random, 5, 60) },
            9 => Deed::Order(Order::Abort { app: app.clone(), mode: AbortMode::Revert }),
            10 => Deed::Stall { host, lasts: seconds(random, 1, 20) },
            _ => other,
        };
        Self { moment, after: Duration::from_micros(random.below(60_000)), deed }
    }

    /// The deed, where it is time, at the node that it is then about.
    fn springs(&self, state: &ClusterState, hosts: usize) -> Option<Deed> {
        let found = self.moment.find(state)?;
        let place = found.and_then(|node| (0..hosts).find(|place| node_id(*place) == node));
        Some(place.map_or_else(|| self.deed.clone(), |place| self.deed.clone().at(place)))
    }
}

impl Moment {
    /// Whether it is now, and which node is in it, where it is one node's.
    fn find(self, state: &ClusterState) -> Option<Option<NodeId>> {
        if self == Self::Planned {
            let startable = |app: &relupd::state::app::App| {
                let fresh =
                    state.plans.values().any(|plan| plan.app == *app.name() && plan.basis == app.basis);
                app.rollout.is_none() && fresh
            };
            return state.apps.values().any(startable).then_some(None);
        }
        let led = || state.rollouts.values().filter(|rollout| rollout.needs_leader());
        let phase = |is: fn(&Phase) -> bool| led().any(|rollout| is(&rollout.phase)).then_some(None);
        match self {
            Self::Planned => None,
            Self::Preparing => phase(|phase| matches!(phase, Phase::Preparing)),
            Self::Halted => phase(|phase| matches!(phase, Phase::Halted { .. })),
            Self::Decided => phase(|phase| matches!(phase, Phase::Committing { decided: true })),
            of_a_node => led()
                .flat_map(|rollout| rollout.in_order())
                .find(|(_, progress)| of_a_node.is(&progress.step))
                .map(|(node, _)| Some(node)),
        }
    }

    const fn is(self, step: &Step) -> bool {
        match step {
            Step::Preparing { .. } => matches!(self, Self::Fetching),
            Step::PrepareFailed { .. } => matches!(self, Self::PrepareFailed),
            Step::Prepared { .. } => matches!(self, Self::Prepared),
            Step::Upgrading { stage: Stage::Assigned, .. } => matches!(self, Self::Assigned),
            Step::Upgrading { stage: Stage::Installing, .. } => matches!(self, Self::Installing),
            Step::Upgrading { stage: Stage::Baking, .. } => matches!(self, Self::Baking),
            Step::Healthy { .. } => matches!(self, Self::Healthy),
            Step::Failed { .. } => matches!(self, Self::Failed),
            Step::Draining { .. } => matches!(self, Self::Draining),
            Step::ReadyToCommit { .. } => matches!(self, Self::Ready),
            Step::Committing { .. } => matches!(self, Self::Committing),
            Step::Committed => matches!(self, Self::Committed),
            Step::Reverting { .. } => matches!(self, Self::Reverting),
            Step::Reverted { .. } => matches!(self, Self::Reverted),
            Step::RevertFailed { .. } => matches!(self, Self::RevertFailed),
            Step::Planned | Step::Skipped { .. } => false,
        }
    }
}

impl World {
    /// Something was applied: whatever waited for it is done soon.
    pub fn spring_ambushes(&mut self) {
        if self.ambushes.is_empty() {
            return;
        }
        let (state, hosts) = (self.newest_state(), self.nodes.len());
        for ambush in std::mem::take(&mut self.ambushes) {
            match ambush.springs(&state, hosts) {
                Some(deed) => self.after(ambush.after, Event::Ambush(Box::new(deed))),
                None => self.ambushes.push(ambush),
            }
        }
    }
}
