//! One app's worker: asks `decide`, does what it says, looks again. Whatever changes nothing on this
//! host is given up the moment the answer changes, so that the death of a VM never waits behind a
//! probe, a proposal or a fetch. Effects run to their end, fenced by a linearizable read and noted
//! in the ledger before.

use super::act::Hands;
use super::core::{Core, Move, PATIENCE, REDECIDE_EVERY, Snapshot};
use super::decide::Action;
use super::decline::decline;
use super::inspect::Looks;
use super::ledger_file::{LedgerError, LedgerFile};
use super::outcome::{Ended, Follow};
use super::{AgentContext, Opened, telemetry};
use crate::clock::{Monotonic, monotonic};
use crate::driver::Liveness;
use crate::health::Health;
use crate::ids::AppName;
use crate::state::ClusterState;
use crate::state::command::Report;
use crate::telemetry::Metrics;
use relupd_core::chain;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{Instrument, Span};

/// Before an app that cannot be opened, or whose ledger cannot be read, is tried again.
const REOPEN_AFTER: Duration = Duration::from_secs(2);

pub(super) struct Worker {
    context: Arc<dyn AgentContext>,
    app: AppName,
    core: Core,
    file: LedgerFile,
    hands: Hands,
    state: watch::Receiver<Arc<ClusterState>>,
    liveness: watch::Receiver<Liveness>,
    health: watch::Receiver<Health>,
    metrics: Metrics,
    span: Span,
}

impl Worker {
    /// Works until the app is no longer placed on this node.
    pub(super) async fn run(context: Arc<dyn AgentContext>, app: AppName) {
        let mut declined = None;
        loop {
            match Self::open(&context, &app) {
                Ok(Some(mut worker)) => {
                    if worker.work().await.is_none() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    let why = chain(&*error);
                    tracing::error!(%app, error = why, "the app is left alone");
                    decline(&*context, &app, why, &mut declined).await;
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
        let core = Core::new(context.node(), spec, context.host_boot(), entry, lives, monotonic());
        Ok(Some(Self {
            hands: Hands {
                context: Arc::clone(context),
                driver,
                node: context.node(),
                app: app.clone(),
                looks: Looks::default(),
            },
            context: Arc::clone(context),
            app: app.clone(),
            core,
            file,
            state,
            liveness,
            health,
            metrics: context.metrics(),
            span: telemetry::node_step(app, context.node(), None),
        }))
    }

    /// Works until the app is gone (`None`) or its spec has changed.
    async fn work(&mut self) -> Option<()> {
        loop {
            let snapshot = self.refresh();
            if self.core.spec_changed(&snapshot.state) {
                return Some(());
            }
            let action = self.core.next(&snapshot)?;
            let span = self.span.clone();
            let next = self.core.next_move(action, snapshot.now);
            self.take(next).instrument(span).await?;
        }
    }

    /// One move: waits, tries or acts, as it was decided.
    async fn take(&mut self, next: Move) -> Option<()> {
        let action = match next {
            Move::Rest { until } => {
                self.changed(until).await;
                return Some(());
            }
            Move::Act(action) => *action,
        };
        if action.needs_barrier() && !self.fence(&action).await? {
            Some(())
        } else if action.is_harmless() {
            self.attempt(action).await
        } else {
            self.effect(action).await;
            Some(())
        }
    }

    /// Takes in what was pushed since, and forgets what that makes void.
    fn refresh(&mut self) -> Snapshot {
        let now = monotonic();
        let snapshot = Snapshot {
            state: Arc::clone(&self.state.borrow_and_update()),
            health: self.health.borrow_and_update().clone(),
            liveness: self.liveness.borrow_and_update().clone(),
            contact_age: self.context.contact_age(now),
            now,
        };
        if self.core.refresh(&snapshot) {
            let order = self.core.order(&snapshot.state);
            self.span = telemetry::node_step(&self.app, self.context.node(), order);
            if let Some(order) = order {
                self.metrics.assigned(&self.app, order.order);
            }
        }
        snapshot
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
                    if self.core.next(&snapshot)? != action {
                        return Some(());
                    }
                }
            }
        };
        self.end(&action, ended, began).await;
        Some(())
    }

    /// Notes, then acts.
    async fn effect(&mut self, action: Action) {
        let earlier = self.core.ledger().clone();
        if let Err(error) = self.note(&action).await {
            tracing::error!(app = %self.app, error = chain(&error), "the ledger comes first: trying again");
            self.core.not_noted(&action, monotonic());
            return;
        }
        if !self.core.may_begin(&action, &self.state.borrow()) {
            tracing::info!(app = %self.app, ?action, "not begun: another order came while it was noted");
            if self.core.withdraw(&action, earlier) {
                self.store().await;
            }
            return;
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
        self.core.acted();
        match ended {
            Some(ended) => self.end(&action, ended, began).await,
            None => tracing::warn!(app = %self.app, ?action, "cut off by a newer order"),
        }
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
                    if self.core.next(&snapshot)? != *action {
                        return Some(false);
                    }
                }
            }
        };
        if let Err(error) = answer {
            tracing::debug!(app = %self.app, error = chain(&error), "no effect without a quorum");
            let until = self.core.fence_failed(monotonic());
            self.changed(until).await;
            return Some(false);
        }
        self.core.fence_held();
        let snapshot = self.refresh();
        Some(self.core.next(&snapshot)? == *action)
    }

    /// Writes down what is about to be done.
    async fn note(&mut self, action: &Action) -> Result<(), LedgerError> {
        if let Some(entry) = self.core.note(action) {
            self.file.store_async(entry.clone()).await?;
            self.core.noted(entry);
        }
        Ok(())
    }

    /// Counts and takes in what became of an action.
    async fn end(&mut self, action: &Action, ended: Ended, began: Monotonic) {
        let now = monotonic();
        telemetry::count(&self.metrics, &self.app, action, &ended, now.since(began));
        let Follow { store, prompt_health } = self.core.take_in(action, ended, began, now);
        if prompt_health {
            self.context.prompt_health(&self.app);
        }
        if store {
            self.store().await;
        }
    }

    async fn store(&self) {
        if let Err(error) = self.file.store_async(self.core.ledger().clone()).await {
            tracing::error!(app = %self.app, error = chain(&error), "the ledger lags behind");
        }
    }

    /// Returns once a newer order has been waiting for longer than is reasonable.
    async fn overruled(&self) {
        let mut state = self.state.clone();
        if state.wait_for(|state| self.core.is_overruled(state)).await.is_err() {
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
