//! One app's worker: asks `decide`, does what it says, looks again. Whatever changes nothing on this
//! host is given up the moment the answer changes, so that the death of a VM never waits behind a
//! probe, a proposal or a fetch. Effects run to their end, fenced by a linearizable read and noted
//! in the ledger before.

use super::act::{Ended, Hands};
use super::backoff::{Backoff, Kind};
use super::decide::{Action, Input, decide};
use super::ledger::{LedgerEntry, TrialProgress};
use super::ledger_file::{LedgerError, LedgerFile};
use super::memory::Memory;
use super::{AgentContext, Opened, telemetry};
use crate::clock::{Monotonic, monotonic};
use crate::driver::{Liveness, Observation};
use crate::health::Health;
use crate::ids::{AppName, Generation};
use crate::spec::AppSpec;
use crate::state::ClusterState;
use crate::state::command::Report;
use crate::telemetry::Metrics;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{Instrument, Span};

/// What was seen longer ago than this is looked at again, so that drift is found without an order.
const OBSERVE_EVERY: Duration = Duration::from_secs(30);

/// While something is tried for long, the decision is taken again this often: time alone may change it.
const REDECIDE_EVERY: Duration = Duration::from_secs(1);

/// An app that has been up for so long may be started again at once when it falls.
const STAYS_UP: Duration = Duration::from_secs(30);

/// A newer order leaves an effect under way so much time to end before it is cut off.
const PATIENCE: Duration = Duration::from_secs(30);

/// Before an app that cannot be opened, or whose ledger cannot be read, is tried again.
const REOPEN_AFTER: Duration = Duration::from_secs(2);

pub(super) struct Worker {
    pub(super) context: Arc<dyn AgentContext>,
    pub(super) app: AppName,
    pub(super) file: LedgerFile,
    pub(super) entry: LedgerEntry,
    pub(super) memory: Memory,
    pub(super) backoff: Backoff,
    pub(super) observation: Option<(Observation, Monotonic)>,
    pub(super) hands: Hands,
    spec: AppSpec,
    host_boot: String,
    state: watch::Receiver<Arc<ClusterState>>,
    liveness: watch::Receiver<Liveness>,
    health: watch::Receiver<Health>,
    lives: Liveness,
    lives_since: Monotonic,
    generation: Option<Generation>,
    metrics: Metrics,
    span: Span,
}

/// What a decision rests on, as of one moment.
struct Snapshot {
    state: Arc<ClusterState>,
    health: Health,
    now: Monotonic,
}

impl Worker {
    /// Works until the app is no longer placed on this node.
    pub(super) async fn run(context: Arc<dyn AgentContext>, app: AppName) {
        loop {
            match Self::open(&context, &app) {
                Ok(Some(mut worker)) => {
                    if worker.work().await.is_none() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%app, error = chain(&*error), "the app is left alone");
                    tokio::time::sleep(REOPEN_AFTER).await;
                }
            }
        }
    }

    fn open(
        context: &Arc<dyn AgentContext>,
        app: &AppName,
    ) -> Result<Option<Self>, Box<dyn std::error::Error + Send + Sync>> {
        let state = context.state();
        let found = state.borrow().apps.get(app).map(|app| {
            let instance = app.instances.get(&context.node());
            let newest = instance.and_then(|instance| instance.assignment.as_ref());
            (app.spec.clone(), newest.map(|assignment| assignment.generation))
        });
        let Some((spec, newest)) = found else { return Ok(None) };
        let Opened { driver, health } = context.open(&spec)?;
        let file = LedgerFile::new(&context.state_directory(), app);
        let (entry, problem) = file.load(newest)?;
        if let Some(problem) = problem {
            tracing::error!(%app, error = %problem, "observing before anything is decided");
        }
        let mut liveness = driver.liveness();
        let lives = liveness.borrow_and_update().clone();
        let now = monotonic();
        Ok(Some(Self {
            hands: Hands { context: Arc::clone(context), driver, node: context.node(), app: app.clone() },
            context: Arc::clone(context),
            app: app.clone(),
            file,
            entry,
            memory: Memory::new(now),
            backoff: Backoff::default(),
            observation: None,
            spec,
            host_boot: context.host_boot(),
            state,
            liveness,
            health,
            lives,
            lives_since: now,
            generation: None,
            metrics: context.metrics(),
            span: telemetry::node_step(app, context.node(), None),
        }))
    }

    /// Works until the app is gone (`None`) or its spec has changed.
    async fn work(&mut self) -> Option<()> {
        loop {
            let snapshot = self.refresh();
            if self.spec_changed(&snapshot.state) {
                return Some(());
            }
            let action = self.next(&snapshot)?;
            let span = self.span.clone();
            self.take(action, snapshot.now).instrument(span).await?;
        }
    }

    /// One turn: waits, tries or acts, as it was decided.
    async fn take(&mut self, action: Action, now: Monotonic) -> Option<()> {
        if let Action::Wait { until, .. } = &action {
            self.settle(*until).await;
            Some(())
        } else if let Some(until) = self.backoff.blocked(Kind::of(&action), now) {
            self.changed(Some(until)).await;
            Some(())
        } else if action.is_harmless() {
            if action.needs_barrier() && !self.fence(&action).await? {
                return Some(());
            }
            self.attempt(action).await
        } else {
            self.effect(action).await
        }
    }

    /// A rollout keeps the spec that it began with; a changed one takes hold between rollouts.
    fn spec_changed(&self, state: &ClusterState) -> bool {
        state.apps.get(&self.app).is_some_and(|app| app.rollout.is_none() && app.spec != self.spec)
    }

    /// Takes in what was pushed since, and forgets what that makes void.
    fn refresh(&mut self) -> Snapshot {
        let now = monotonic();
        let state = Arc::clone(&self.state.borrow_and_update());
        let health = self.health.borrow_and_update().clone();
        let lives = self.liveness.borrow_and_update().clone();
        if lives != self.lives {
            self.lives = lives;
            self.lives_since = now;
            self.observation = None;
        }
        if self.observation.as_ref().is_some_and(|(_, at)| now.since(*at) >= OBSERVE_EVERY) {
            self.observation = None;
        }
        let instance = state.apps.get(&self.app).and_then(|app| app.instances.get(&self.context.node()));
        let order = instance.and_then(|instance| instance.assignment.as_ref());
        let generation = order.map(|order| order.generation);
        if generation != self.generation {
            self.generation = generation;
            self.backoff.clear();
            self.span = telemetry::node_step(&self.app, self.context.node(), order);
            if let Some(order) = order {
                self.metrics.assigned(&self.app, order.order);
            }
        }
        self.memory.turn_to(generation);
        let applied = |(seen, healthy): &mut (Observation, Option<bool>)| {
            instance.is_some_and(|now| now.observed.as_ref() == Some(seen) && now.healthy == *healthy)
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
        Snapshot { state, health, now }
    }

    /// What to do now; `None` where the app is no longer placed here.
    fn next(&self, snapshot: &Snapshot) -> Option<Action> {
        let app = snapshot.state.apps.get(&self.app)?;
        let instance = app.instances.get(&self.context.node())?;
        let rollout =
            instance.assignment.as_ref().and_then(|order| snapshot.state.rollout(order.rollout).ok());
        Some(decide(&Input {
            node: self.context.node(),
            app,
            instance,
            rollout,
            ledger: &self.entry,
            memory: &self.memory,
            observation: self.observation.as_ref().map(|(seen, _)| seen),
            liveness: &self.lives,
            health: &snapshot.health,
            contact_age: self.context.contact_age(snapshot.now),
            host_boot: &self.host_boot,
            now: snapshot.now,
        }))
    }

    /// Waits for a change, for `until`, or until it is time to look again.
    async fn settle(&mut self, until: Option<Monotonic>) {
        let look = self.observation.as_ref().map(|(_, at)| *at + OBSERVE_EVERY);
        self.changed(until.into_iter().chain(look).min()).await;
    }

    /// Waits until something was pushed, or until then.
    async fn changed(&mut self, until: Option<Monotonic>) {
        tokio::select! {
            () = pushed(&mut self.state) => {}
            () = pushed(&mut self.liveness) => {}
            () = pushed(&mut self.health) => {}
            () = reach(until) => {}
        }
    }

    /// Does what changes nothing, for as long as it is still what is to be done.
    async fn attempt(&mut self, action: Action) -> Option<()> {
        tracing::debug!(app = %self.app, ?action, "attempt");
        if let Action::Report { generation, report: Report::Failed { failure } } = &action {
            tracing::warn!(app = %self.app, %generation, %failure, "the verdict on this node is: failed");
        }
        let hands = self.hands.clone();
        let began = monotonic();
        let mut future = pin!(hands.attempt(&action));
        let ended = loop {
            let tick = monotonic() + REDECIDE_EVERY;
            tokio::select! {
                biased;
                ended = &mut future => break ended,
                () = self.changed(Some(tick)) => {
                    let snapshot = self.refresh();
                    if self.next(&snapshot)? != action {
                        return Some(());
                    }
                }
            }
        };
        self.end(&action, ended, began).await;
        Some(())
    }

    /// Fences, notes, then acts.
    async fn effect(&mut self, action: Action) -> Option<()> {
        if action.needs_barrier() && !self.fence(&action).await? {
            return Some(());
        }
        if let Err(error) = self.note(&action).await {
            tracing::error!(app = %self.app, error = chain(&error), "the ledger comes first: trying again");
            self.backoff.failed(Kind::of(&action), monotonic());
            return Some(());
        }
        tracing::info!(app = %self.app, ?action, "acting");
        let began = monotonic();
        let hands = self.hands.clone();
        let ended = {
            let mut future = pin!(hands.act(&action));
            tokio::select! {
                biased;
                ended = &mut future => Some(ended),
                () = self.overruled() => None,
            }
        };
        self.observation = None;
        match ended {
            Some(ended) => self.end(&action, ended, began).await,
            None => tracing::warn!(app = %self.app, ?action, "cut off by a newer order"),
        }
        Some(())
    }

    /// Whether a linearizable read confirms that this is still what is to be done.
    async fn fence(&mut self, action: &Action) -> Option<bool> {
        let context = Arc::clone(&self.context);
        let mut barrier = pin!(context.read_barrier());
        let answer = loop {
            let tick = monotonic() + REDECIDE_EVERY;
            tokio::select! {
                biased;
                answer = &mut barrier => break answer,
                () = self.changed(Some(tick)) => {
                    let snapshot = self.refresh();
                    if self.next(&snapshot)? != *action {
                        return Some(false);
                    }
                }
            }
        };
        if let Err(error) = answer {
            tracing::debug!(app = %self.app, error = chain(&error), "no effect without a quorum");
            self.backoff.failed(Kind::Cluster, monotonic());
            let until = self.backoff.blocked(Kind::Cluster, monotonic());
            self.changed(until).await;
            return Some(false);
        }
        self.backoff.succeeded(Kind::Cluster);
        let snapshot = self.refresh();
        Some(self.next(&snapshot)? == *action)
    }

    /// Writes down what is about to be done.
    async fn note(&mut self, action: &Action) -> Result<(), LedgerError> {
        let entry = self.entry.before(action);
        if entry != self.entry {
            self.file.store_async(entry.clone()).await?;
            self.entry = entry;
        }
        Ok(())
    }

    /// Counts and takes in what became of an action.
    async fn end(&mut self, action: &Action, ended: Ended, began: Monotonic) {
        telemetry::count(&self.metrics, &self.app, action, &ended, monotonic().since(began));
        self.take_in(action, ended, began).await;
    }

    /// Writes down what became of it. Where that fails it is remembered all the same: the next
    /// effect's note brings it to disk, and a crash until then is an interrupted effect.
    pub(super) async fn remember(&mut self, entry: LedgerEntry) {
        self.entry = entry;
        if let Err(error) = self.file.store_async(self.entry.clone()).await {
            tracing::error!(app = %self.app, error = chain(&error), "the ledger lags behind");
        }
    }

    /// Returns once a newer order has been waiting for longer than is reasonable.
    async fn overruled(&mut self) {
        let mut state = self.state.clone();
        let node = self.context.node();
        let newer = |state: &Arc<ClusterState>| {
            let instance = state.apps.get(&self.app).and_then(|app| app.instances.get(&node));
            let newest = instance.and_then(|instance| Some(instance.assignment.as_ref()?.generation));
            newest > self.generation
        };
        if state.wait_for(newer).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(PATIENCE).await;
    }
}

/// Waits for a push; for ever, where nobody is left to push.
async fn pushed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn reach(until: Option<Monotonic>) {
    match until {
        Some(until) => tokio::time::sleep(until.since(monotonic())).await,
        None => std::future::pending().await,
    }
}

/// An error with its sources, for the log and for reports.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
