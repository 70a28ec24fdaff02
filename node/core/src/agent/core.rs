//! One app's agent without hands: what it knows, what it does next, and what it makes of what came of
//! it. It reads no clock, waits for nothing and touches nothing; `worker.rs` drives it on a host.

#[cfg(test)]
mod tests;

use super::backoff::{Backoff, Kind};
use super::decide::{Action, Authority, Input, decide, tell};
use super::ledger::{LedgerEntry, TrialProgress};
use super::memory::{Announcement, Memory};
use crate::clock::Monotonic;
use crate::driver::{Liveness, Observation};
use crate::health::Health;
use crate::ids::{AppName, Generation, NodeId};
use crate::spec::AppSpec;
use crate::state::ClusterState;
use crate::state::app::{Assignment, Instance};
use crate::state::command::Noted;
use crate::state::rollout::{Phase, Turn};
use std::sync::Arc;
use std::time::Duration;

/// What was seen longer ago than this is looked at again, so that drift is found without an order.
pub const OBSERVE_EVERY: Duration = Duration::from_secs(30);

/// While something is tried for long, the decision is taken again this often: time alone may change it.
pub const REDECIDE_EVERY: Duration = Duration::from_secs(1);

/// An app that has been up for so long may be started again at once when it falls.
const STAYS_UP: Duration = Duration::from_secs(30);

/// A newer order leaves an effect under way so much time to end before it is cut off.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What one app's agent knows.
#[derive(Debug)]
pub struct Core {
    pub(super) app: AppName,
    pub(super) entry: LedgerEntry,
    pub(super) memory: Memory,
    pub(super) backoff: Backoff,
    pub(super) observation: Option<(Observation, Monotonic)>,
    node: NodeId,
    spec: AppSpec,
    host_boot: String,
    lives: Liveness,
    pub(super) lives_since: Monotonic,
    generation: Option<Generation>,
    /// When that order came. It is carried out by what is seen from then on.
    ordered_at: Monotonic,
    /// Whether this node has its turn under that order.
    in_turn: bool,
}

/// What was pushed, as of one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The state, as applied here.
    pub state: Arc<ClusterState>,
    /// What the health checks say.
    pub health: Health,
    /// Whether the VM lives.
    pub liveness: Liveness,
    /// How long ago this node last heard from a leader that had proved its quorum.
    pub contact_age: Duration,
    /// The moment.
    pub now: Monotonic,
}

/// How the next action is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing until something is pushed, or until then.
    Rest {
        /// Until when at the latest.
        until: Option<Monotonic>,
    },
    /// This. What is harmless is given up the moment that something else is to be done; an effect is
    /// noted in the ledger before, and runs to its end.
    Act(Box<Action>),
}

impl Core {
    /// That of an agent which starts now, with what its ledger says.
    #[must_use]
    pub fn new(
        node: NodeId,
        spec: AppSpec,
        host_boot: String,
        entry: LedgerEntry,
        lives: Liveness,
        now: Monotonic,
    ) -> Self {
        Self {
            app: spec.name.clone(),
            entry,
            memory: Memory::new(now),
            backoff: Backoff::default(),
            observation: None,
            node,
            spec,
            host_boot,
            lives,
            lives_since: now,
            generation: None,
            ordered_at: now,
            in_turn: false,
        }
    }

    /// The ledger, as it is or is about to be written.
    #[must_use]
    pub const fn ledger(&self) -> &LedgerEntry {
        &self.entry
    }

    /// A rollout keeps the spec that it began with; a changed one takes hold between rollouts.
    #[must_use]
    pub fn spec_changed(&self, state: &ClusterState) -> bool {
        state.apps.get(&self.app).is_some_and(|app| app.rollout.is_none() && app.spec != self.spec)
    }

    /// The newest order to this node.
    #[must_use]
    pub fn order<'a>(&self, state: &'a ClusterState) -> Option<&'a Assignment> {
        self.instance(state)?.assignment.as_ref()
    }

    fn instance<'a>(&self, state: &'a ClusterState) -> Option<&'a Instance> {
        state.apps.get(&self.app)?.instances.get(&self.node).map(Arc::as_ref)
    }

    /// Takes in what was pushed, and forgets what that makes void. Says whether there is another order.
    pub fn refresh(&mut self, snapshot: &Snapshot) -> bool {
        let now = snapshot.now;
        if snapshot.liveness != self.lives {
            self.lives = snapshot.liveness.clone();
            self.lives_since = now;
            self.observation = None;
        }
        let instance = self.instance(&snapshot.state);
        let generation =
            instance.and_then(|instance| instance.assignment.as_ref()).map(|order| order.generation);
        let turned = generation != self.generation;
        if turned {
            self.generation = generation;
            self.ordered_at = now;
            self.backoff.clear();
        }
        let (ordered_at, stale) = (self.ordered_at, |at: Monotonic| now.since(at) >= OBSERVE_EVERY);
        self.observation.take_if(|(_, at)| *at < ordered_at || stale(*at));
        self.in_turn = self.turn_of(&snapshot.state) == Some(Turn::Given);
        self.memory.turn_to(generation);
        let noted = |told: &Noted| {
            let rollout = snapshot.state.rollout(told.rollout).ok();
            let progress = rollout.and_then(|rollout| rollout.nodes.get(&self.node));
            progress.is_none_or(|progress| progress.notes == told.notes)
        };
        let applied = |told: &mut Announcement| {
            let seen = |now: &Instance| {
                now.observed.as_ref() == Some(&told.observation) && now.healthy == told.healthy
            };
            instance.is_some_and(seen) && told.noted.as_deref().is_none_or(noted)
        };
        self.memory.announced.take_if(applied);
        if let Liveness::Up { boot_nonce } = &self.lives {
            let verified = self.entry.trial.as_ref().map(|trial| &trial.progress);
            let judged =
                matches!(verified, Some(TrialProgress::Verified { boot_nonce: life }) if life == boot_nonce);
            self.memory.life_seen |= judged;
            self.memory.seen_up = true;
            if now.since(self.lives_since) >= STAYS_UP {
                self.memory.start_failures = 0;
                self.backoff.succeeded(Kind::Start);
            }
        }
        turned
    }

    /// What to do now; `None` where the app is no longer placed here.
    #[must_use]
    pub fn next(&self, snapshot: &Snapshot) -> Option<Action> {
        let app = snapshot.state.apps.get(&self.app)?;
        let instance = app.instances.get(&self.node)?;
        let rollout =
            instance.assignment.as_ref().and_then(|order| snapshot.state.rollout(order.rollout).ok());
        let input = Input {
            node: self.node,
            app,
            instance,
            rollout,
            ledger: &self.entry,
            memory: &self.memory,
            observation: self.observation.as_ref().map(|(seen, _)| seen),
            observed_at: self.observation.as_ref().map(|(_, at)| *at),
            liveness: &self.lives,
            health: &snapshot.health,
            contact_age: snapshot.contact_age,
            host_boot: &self.host_boot,
            now: snapshot.now,
        };
        let action = decide(&input);
        let kind = Kind::of(&action);
        // What has to wait leaves time to tell what was seen: that an app does not come up, or that it cannot be
        // told what runs. Nothing waits for the telling: who is alone would look and start no more.
        let waits = kind != Kind::Cluster && self.backoff.blocked(kind, snapshot.now).is_some();
        Some(if waits { tell(&input).unwrap_or(action) } else { action })
    }

    /// How this action is to be carried out now.
    #[must_use]
    pub fn next_move(&mut self, action: Action, now: Monotonic) -> Move {
        if let Action::Wait { until, .. } = action {
            let look = self.observation.as_ref().map(|(_, at)| *at + OBSERVE_EVERY);
            Move::Rest { until: until.into_iter().chain(look).min() }
        } else if let Some(until) = self.backoff.blocked(Kind::of(&action), now) {
            if action.claims_to_be_there() {
                // Until it is said, anything may happen to what it rests on.
                self.observation = None;
            }
            Move::Rest { until: Some(until) }
        } else {
            Move::Act(Box::new(action))
        }
    }

    /// No leader proved its quorum. Says until when nothing is asked again.
    pub fn fence_failed(&mut self, now: Monotonic) -> Option<Monotonic> {
        self.backoff.failed(Kind::Cluster, now);
        self.backoff.blocked(Kind::Cluster, now)
    }

    /// A leader proved its quorum.
    pub fn fence_held(&mut self) {
        self.backoff.succeeded(Kind::Cluster);
    }

    /// What must be in the ledger, on disk, before this effect; `None` where it is.
    #[must_use]
    pub fn note(&self, action: &Action) -> Option<LedgerEntry> {
        Some(self.entry.before(action)).filter(|entry| *entry != self.entry)
    }

    /// The note is on disk.
    pub fn noted(&mut self, entry: LedgerEntry) {
        self.entry = entry;
    }

    /// The note could not be written: the effect is not begun.
    pub fn not_noted(&mut self, action: &Action, now: Monotonic) {
        self.backoff.failed(Kind::of(action), now);
    }

    /// An effect was had, or cut off: nothing that was seen before holds any more.
    pub fn acted(&mut self) {
        self.observation = None;
        self.memory.blind = 0;
    }

    /// Whether what is being carried out is not to go on: a newer order waits here, or the turn that it was
    /// begun in was taken away.
    #[must_use]
    pub fn is_overruled(&self, state: &ClusterState) -> bool {
        let order = self.order(state);
        order.map(|order| order.generation) > self.generation
            || (self.in_turn && matches!(self.turn_of(state), Some(Turn::NotAsked | Turn::Asked)))
    }

    /// Whether an effect that was noted may begin: the order and the turn that it was decided under are still
    /// the newest here, after the time that the note took (S4).
    ///
    /// An orphan has nobody to ask; but an order that came while it noted its way back, or the decision, says
    /// that it is none.
    #[must_use]
    pub fn may_begin(&self, action: &Action, state: &ClusterState) -> bool {
        let same = self.order(state).map(|order| order.generation) == self.generation;
        match action {
            Action::RollBack { by: Authority::Orphan(rollout), .. } => {
                let undecided = |phase: &Phase| {
                    !phase.is_terminal() && !matches!(phase, Phase::Committing { decided: true })
                };
                same && state.rollout(*rollout).is_ok_and(|rollout| undecided(&rollout.phase))
            }
            action => !action.needs_barrier() || (same && !self.is_overruled(state)),
        }
    }

    /// It may not: what was noted of it is withdrawn, where the note alone would have it done later. `earlier` is the
    /// ledger from before. Whether it has to be stored.
    #[must_use]
    pub fn withdraw(&mut self, action: &Action, earlier: LedgerEntry) -> bool {
        let lasts = matches!(action, Action::RollBack { by: Authority::Orphan(_), .. });
        if lasts {
            self.entry = earlier;
        }
        lasts
    }

    fn turn_of(&self, state: &ClusterState) -> Option<Turn> {
        let rollout = state.rollout(self.order(state)?.rollout).ok()?;
        rollout.nodes.get(&self.node)?.step.turn()
    }
}
