//! One app's agent on one host: the daemon's own core, driven by events instead of tasks. What the worker
//! awaits is a state here.

mod answers;
mod begins;
mod turns;
mod words;

pub use words::name;

use super::calls::CallId;
use super::context::Context;
use crate::host::{Host, Monitor, OperationId};
use relupd::agent::core::{Core, Snapshot};
use relupd::agent::decide::Action;
use relupd::agent::ledger::LedgerEntry;
use relupd::agent::ledger_file;
use relupd::clock::Monotonic;
use relupd::driver::Liveness;
use relupd::health::Health;
use relupd::ids::{AppName, NodeId};
use relupd::spec::AppSpec;
use relupd::state::ClusterState;
use relupd::state::release::ReleaseId;
use std::sync::Arc;
use std::time::Duration;

pub struct Agent {
    app: AppName,
    core: Core,
    monitor: Monitor,
    /// When the read was asked for, in true time, that confirmed what is being done.
    read_asked: Option<Duration>,
    /// For how long there was no contact when it was decided.
    contact_age: Duration,
    /// When the answer to a round of health checks comes.
    probe_answers: Option<Monotonic>,
    doing: Doing,
    seen: Option<(Arc<ClusterState>, Liveness, Health)>,
}

/// What the worker is waiting for.
#[derive(Debug)]
enum Doing {
    /// For a push, or until then.
    Rest { until: Option<Monotonic> },
    /// For a linearizable read.
    Fence { action: Action, call: CallId, redecide: Monotonic },
    /// For the ledger to be on disk.
    Note { action: Action, entry: LedgerEntry, until: Monotonic },
    /// For an effect to end.
    Effect { action: Action, began: Monotonic, operation: OperationId, overruled: Option<Monotonic> },
    /// For something harmless to end, as long as it is still to be done.
    Attempt { action: Action, began: Monotonic, step: Step, redecide: Monotonic },
    /// For the ledger to be on disk, after the fact.
    Store { until: Monotonic },
}

/// What an attempt consists of.
#[derive(Debug)]
enum Step {
    Fetch { release: ReleaseId, until: Monotonic },
    Operation(OperationId),
    Call(CallId),
}

impl Agent {
    /// As the worker opens an app: the ledger is read first.
    pub fn open(me: NodeId, spec: &AppSpec, state: &ClusterState, context: &mut Context<'_>) -> Self {
        let now = context.now;
        let app = spec.name.clone();
        let instance = state.apps.get(&app).and_then(|app| app.instances.get(&me));
        let newest = instance.and_then(|instance| instance.assignment.as_ref()).map(|order| order.generation);
        let (entry, problem) = match context.ledgers.get(&app) {
            None => (LedgerEntry::default(), None),
            Some(bytes) => ledger_file::recover(bytes, newest),
        };
        if let Some(reason) = problem {
            context.log(|| format!("{app}: the ledger is unreadable: {reason}"));
            context.write_ledger(&app, &entry);
        }
        let liveness = context.host(&app).map_or(Liveness::Unknown, Host::liveness);
        let mut monitor = Monitor::new(spec.health.clone());
        monitor.lives(now, &liveness);
        Self {
            core: Core::new(me, spec.clone(), context.host_boot.clone(), entry, liveness, now),
            monitor,
            read_asked: None,
            contact_age: Duration::ZERO,
            probe_answers: None,
            doing: Doing::Rest { until: Some(now) },
            seen: None,
            app,
        }
    }

    /// Whether the spec has changed, so that the app must be opened anew.
    pub fn is_outdated(&self, state: &ClusterState) -> bool {
        matches!(self.doing, Doing::Rest { .. }) && self.core.spec_changed(state)
    }

    /// Nothing is waited for any more.
    pub fn close(&mut self, context: &mut Context<'_>) {
        let doing = std::mem::replace(&mut self.doing, Doing::Rest { until: None });
        match doing {
            Doing::Rest { .. } | Doing::Note { .. } | Doing::Store { .. } => {}
            Doing::Fence { call, .. } => context.calls.forget(call),
            Doing::Effect { operation, .. } => self.give_up(operation, context),
            Doing::Attempt { step, .. } => self.drop_step(&step, context),
        }
    }

    /// What it is bringing to its ledger just now.
    pub fn is_writing(&self) -> Option<&LedgerEntry> {
        match &self.doing {
            Doing::Note { entry, .. } => Some(entry),
            Doing::Store { .. } => Some(self.core.ledger()),
            Doing::Rest { .. } | Doing::Fence { .. } | Doing::Effect { .. } | Doing::Attempt { .. } => None,
        }
    }

    /// Whether it is about to change something on its host.
    pub fn is_at_work(&self) -> bool {
        match &self.doing {
            Doing::Note { .. } | Doing::Effect { .. } => true,
            Doing::Rest { .. } | Doing::Fence { .. } | Doing::Attempt { .. } | Doing::Store { .. } => false,
        }
    }

    /// For logs: what it is about.
    pub fn doing(&self) -> String {
        match &self.doing {
            Doing::Rest { .. } => "rests".to_owned(),
            Doing::Fence { action, .. } => format!("asks for leave to {}", name(action)),
            Doing::Note { action, .. } => format!("notes before {}", name(action)),
            Doing::Effect { action, .. } => format!("does {}", name(action)),
            Doing::Attempt { action, .. } => format!("tries {}", name(action)),
            Doing::Store { .. } => "writes its ledger".to_owned(),
        }
    }

    fn refresh(&mut self, state: &Arc<ClusterState>, context: &mut Context<'_>) -> Snapshot {
        let snapshot = Snapshot {
            state: Arc::clone(state),
            health: self.monitor.health().clone(),
            liveness: context.host(&self.app).map_or(Liveness::Unknown, Host::liveness),
            contact_age: context.contact.age(context.now),
            now: context.now,
        };
        self.core.refresh(&snapshot);
        self.seen = Some((Arc::clone(state), snapshot.liveness.clone(), snapshot.health.clone()));
        snapshot
    }

    fn is_pushed(&self, state: &Arc<ClusterState>) -> bool {
        match &self.seen {
            None => true,
            // What the host says reaches `heard` first, and so the monitor.
            Some((seen, _, health)) => !Arc::ptr_eq(seen, state) || health != self.monitor.health(),
        }
    }

    fn watch_health(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        if self.probe_answers.is_some_and(|at| now >= at) {
            self.probe_answers = None;
            let at = context.at;
            let failures = context.hosts.get_mut(&self.app).map(|host| host.probe(at)).unwrap_or_default();
            self.monitor.answered(now, failures);
        }
        if self.monitor.next_round().is_some_and(|at| now >= at) {
            self.monitor.ask(now);
            let latency = context.hosts.get_mut(&self.app).map(Host::probe_latency).unwrap_or_default();
            self.probe_answers = Some(now + latency);
        }
    }

    fn give_up(&self, operation: OperationId, context: &mut Context<'_>) {
        let at = context.at;
        if let Some(host) = context.hosts.get_mut(&self.app) {
            host.give_up(at, operation);
        }
    }

    fn drop_step(&self, step: &Step, context: &mut Context<'_>) {
        match step {
            Step::Fetch { .. } => {}
            Step::Operation(operation) => self.give_up(*operation, context),
            Step::Call(call) => context.calls.forget(*call),
        }
    }

    /// When it goes on by itself.
    pub fn next_due(&self) -> Option<Monotonic> {
        let doing = match &self.doing {
            Doing::Rest { until } => *until,
            Doing::Fence { redecide, .. } => Some(*redecide),
            Doing::Note { until, .. } | Doing::Store { until } => Some(*until),
            Doing::Effect { overruled, .. } => *overruled,
            Doing::Attempt { step: Step::Fetch { until, .. }, redecide, .. } => Some(*until.min(redecide)),
            Doing::Attempt { redecide, .. } => Some(*redecide),
        };
        [doing, self.probe_answers, self.monitor.next_round()].into_iter().flatten().min()
    }
}
