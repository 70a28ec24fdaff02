//! One app's agent on one host: the daemon's own core, driven by events instead of tasks. What the worker
//! awaits is a state here.

use super::Effect;
use super::calls::{Answer, CallId, Caller};
use super::context::Context;
use crate::host::{self, Host, Monitor, Operation, OperationId, Reply};
use crate::promises;
use relupd::agent::core::{Core, Move, PATIENCE, REDECIDE_EVERY, Snapshot};
use relupd::agent::decide::Action;
use relupd::agent::ledger::LedgerEntry;
use relupd::agent::outcome::{Ended, Follow, PlaceError};
use relupd::agent::{ContextError, ledger_file};
use relupd::clock::Monotonic;
use relupd::driver::{Drained, Liveness};
use relupd::health::Health;
use relupd::ids::{AppName, NodeId};
use relupd::spec::AppSpec;
use relupd::state::ClusterState;
use relupd::state::command::{Command, Report};
use relupd::state::release::ReleaseId;
use relupd::state::rollout::Stage;
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

    /// The host has something to say.
    pub fn heard(&mut self, event: host::Event, context: &mut Context<'_>) {
        match event {
            host::Event::Liveness(liveness) => {
                self.probe_answers = None;
                self.monitor.lives(context.now, &liveness);
            }
            host::Event::Ended { id, reply } => self.ended(id, reply, context),
        }
    }

    fn ended(&mut self, id: OperationId, reply: Reply, context: &mut Context<'_>) {
        let waited_for = match &self.doing {
            Doing::Effect { operation, .. } => *operation == id,
            Doing::Attempt { step: Step::Operation(operation), .. } => *operation == id,
            Doing::Rest { .. }
            | Doing::Fence { .. }
            | Doing::Note { .. }
            | Doing::Attempt { .. }
            | Doing::Store { .. } => false,
        };
        if !waited_for {
            return;
        }
        match std::mem::replace(&mut self.doing, Doing::Rest { until: Some(context.now) }) {
            Doing::Effect { action, began, .. } => {
                self.core.acted();
                self.take_in(&action, ended_of(&action, reply), began, context);
            }
            Doing::Attempt { action, began, .. } => {
                self.take_in(&action, ended_of(&action, reply), began, context);
            }
            Doing::Rest { .. } | Doing::Fence { .. } | Doing::Note { .. } | Doing::Store { .. } => {}
        }
    }

    /// Consensus answered.
    pub fn answered(
        &mut self,
        id: CallId,
        answer: Answer,
        state: &Arc<ClusterState>,
        context: &mut Context<'_>,
    ) {
        let now = context.now;
        match std::mem::replace(&mut self.doing, Doing::Rest { until: Some(now) }) {
            Doing::Fence { action, call, .. } if call == id => match answer {
                Answer::Read { asked } => {
                    context.contact.proved(asked);
                    self.core.fence_held();
                    let snapshot = self.refresh(state, context);
                    if self.core.next(&snapshot).as_ref() == Some(&action) {
                        self.begin(action, state, context);
                    }
                }
                Answer::Command(_) | Answer::Changed | Answer::Failed => {
                    self.doing = Doing::Rest { until: self.core.fence_failed(now) };
                }
            },
            Doing::Attempt { action, began, step: Step::Call(call), .. } if call == id => {
                let answer = match answer {
                    Answer::Command(outcome) => Ok(outcome),
                    Answer::Changed | Answer::Read { .. } | Answer::Failed => {
                        Err(ContextError::NoQuorum { reason: "simulated".to_owned() })
                    }
                };
                self.take_in(&action, Ended::Answered(answer), began, context);
            }
            other => self.doing = other,
        }
    }

    /// Goes on as far as it can at this moment.
    pub fn step(&mut self, state: &Arc<ClusterState>, context: &mut Context<'_>) {
        self.watch_health(context);
        // Every turn either waits for something or has moved on; more than this is a worker that spins.
        for _ in 0..64 {
            if !self.turn(state, context) {
                return;
            }
        }
        context.log(|| format!("{}: the worker spins: {}", self.app, self.doing()));
        self.doing = Doing::Rest { until: Some(context.now + Duration::from_millis(1)) };
    }

    /// One turn; whether there may be another at this moment.
    fn turn(&mut self, state: &Arc<ClusterState>, context: &mut Context<'_>) -> bool {
        let now = context.now;
        let pushed = self.is_pushed(state);
        let reached = |until: Option<Monotonic>| until.is_some_and(|until| now >= until);
        match &mut self.doing {
            Doing::Rest { until } if pushed || reached(*until) => {
                let snapshot = self.refresh(state, context);
                let Some(action) = self.core.next(&snapshot) else {
                    self.doing = Doing::Rest { until: None };
                    return false;
                };
                match self.core.next_move(action, now) {
                    Move::Rest { until } => {
                        self.doing = Doing::Rest { until };
                        false
                    }
                    Move::Act(action) => {
                        let action = *action;
                        self.fence(action, state, context);
                        true
                    }
                }
            }
            Doing::Note { until, .. } if reached(Some(*until)) => {
                let Doing::Note { action, entry, .. } =
                    std::mem::replace(&mut self.doing, Doing::Rest { until: Some(now) })
                else {
                    return false;
                };
                if context.write_ledger(&self.app, &entry) {
                    self.core.noted(entry);
                    if self.core.may_begin(&action, state) {
                        self.effect(action, true, state, context);
                    }
                } else {
                    self.core.not_noted(&action, now);
                }
                true
            }
            Doing::Store { until } if reached(Some(*until)) => {
                let _written = context.write_ledger(&self.app, self.core.ledger());
                self.doing = Doing::Rest { until: Some(now) };
                true
            }
            Doing::Effect { operation, overruled, action, .. } => {
                if overruled.is_none() && self.core.is_overruled(state) {
                    *overruled = Some(now + PATIENCE);
                }
                if !reached(*overruled) {
                    return false;
                }
                let (operation, action) = (*operation, name(action));
                context.log(|| format!("{}: {action} is cut off by a newer order", self.app));
                self.give_up(operation, context);
                self.core.acted();
                self.doing = Doing::Rest { until: Some(now) };
                true
            }
            Doing::Fence { redecide, .. } | Doing::Attempt { redecide, .. } if pushed || now >= *redecide => {
                *redecide = now + REDECIDE_EVERY;
                self.think_again(state, context)
            }
            Doing::Attempt { step: Step::Fetch { release, until }, .. } if now >= *until => {
                let release = release.clone();
                self.fetched(release, context);
                true
            }
            Doing::Rest { .. }
            | Doing::Fence { .. }
            | Doing::Note { .. }
            | Doing::Attempt { .. }
            | Doing::Store { .. } => false,
        }
    }

    /// What is harmless is given up the moment that something else is to be done.
    fn think_again(&mut self, state: &Arc<ClusterState>, context: &mut Context<'_>) -> bool {
        let snapshot = self.refresh(state, context);
        let next = self.core.next(&snapshot);
        let same = match &self.doing {
            Doing::Fence { action, .. } | Doing::Attempt { action, .. } => next.as_ref() == Some(action),
            Doing::Rest { .. } | Doing::Note { .. } | Doing::Effect { .. } | Doing::Store { .. } => true,
        };
        if same {
            return false;
        }
        self.close(context);
        self.doing = Doing::Rest { until: Some(context.now) };
        true
    }

    fn fence(&mut self, action: Action, state: &Arc<ClusterState>, context: &mut Context<'_>) {
        self.read_asked = action.needs_barrier().then_some(context.at);
        if !action.needs_barrier() {
            self.begin(action, state, context);
            return;
        }
        let call = context.read(Caller::Agent(self.app.clone()));
        self.doing = Doing::Fence { action, call, redecide: context.now + REDECIDE_EVERY };
    }

    fn begin(&mut self, action: Action, state: &Arc<ClusterState>, context: &mut Context<'_>) {
        let now = context.now;
        self.contact_age = context.contact.age(now);
        context.count_action(&action);
        if action.is_harmless() {
            let step = self.attempt(&action, state, context);
            self.doing = Doing::Attempt { action, began: now, step, redecide: now + REDECIDE_EVERY };
        } else if let Some(entry) = self.core.note(&action) {
            let until = now + context.fsync();
            self.doing = Doing::Note { action, entry, until };
        } else {
            self.effect(action, false, state, context);
        }
    }

    fn attempt(&mut self, action: &Action, state: &Arc<ClusterState>, context: &mut Context<'_>) -> Step {
        let node = context.me;
        let app = self.app.clone();
        let operation = match action {
            Action::Observe => Operation::Observe,
            Action::Preflight { transition } => Operation::Preflight(transition.clone()),
            Action::Verify { transition, .. } => Operation::Verify(transition.clone()),
            Action::Drain { transition, purge } => Operation::Drain(transition.clone(), *purge),
            Action::Place { release } if context.fetched.contains(&release.manifest) => {
                Operation::Place { version: release.version.clone(), manifest: release.manifest }
            }
            Action::Place { release } => {
                let until = context.now + context.fetch_takes();
                return Step::Fetch { release: release.clone(), until };
            }
            Action::Report { generation, report } => {
                let said = self.said(report, state, context);
                context.effects.extend(said.map(|said| Effect::Says(Box::new(said))));
                let command = Command::Report { node, app, generation: *generation, report: report.clone() };
                return Step::Call(context.propose(Caller::Agent(self.app.clone()), command));
            }
            Action::ReportOrphan { rollout, outcome } => {
                let command =
                    Command::ReportOrphan { node, app, rollout: *rollout, outcome: outcome.clone() };
                return Step::Call(context.propose(Caller::Agent(self.app.clone()), command));
            }
            Action::Announce { observation, healthy, noted } => {
                let (observation, noted) = (observation.clone(), noted.clone());
                let command = Command::Observe { node, app, observation, healthy: *healthy, noted };
                return Step::Call(context.propose(Caller::Agent(self.app.clone()), command));
            }
            Action::Install { .. }
            | Action::Commit { .. }
            | Action::RollBack { .. }
            | Action::Repair { .. }
            | Action::Start
            | Action::Stop
            | Action::Wait { .. } => unreachable!("not an attempt: {action:?}"),
        };
        Step::Operation(self.operate(operation, context))
    }

    fn effect(
        &mut self,
        action: Action,
        noted_now: bool,
        state: &Arc<ClusterState>,
        context: &mut Context<'_>,
    ) {
        let operation = match &action {
            Action::Install { transition, trial } => {
                let report = Report::Stage { stage: Stage::Installing };
                let (node, app, generation) = (context.me, self.app.clone(), trial.generation);
                context.propose(Caller::Telling, Command::Report { node, app, generation, report });
                Operation::Install(transition.clone())
            }
            Action::Commit { transition } => Operation::Commit(transition.clone()),
            Action::RollBack { transition, rung, .. } => Operation::RollBack(transition.clone(), *rung),
            Action::Repair { decided, .. } => Operation::Repair(decided.clone()),
            Action::Start => Operation::Start,
            Action::Stop => Operation::Stop,
            Action::Observe
            | Action::Place { .. }
            | Action::Preflight { .. }
            | Action::Verify { .. }
            | Action::Drain { .. }
            | Action::Report { .. }
            | Action::ReportOrphan { .. }
            | Action::Announce { .. }
            | Action::Wait { .. } => unreachable!("not an effect: {action:?}"),
        };
        context.log(|| format!("{}: {}", self.app, name(&action)));
        let effect = self.effect_of(&action, noted_now, state, context);
        let operation = self.operate(operation, context);
        context.effects.extend(effect.map(|effect| Effect::Begins { operation, effect: Box::new(effect) }));
        self.doing = Doing::Effect { action, began: context.now, operation, overruled: None };
    }

    fn operate(&mut self, operation: Operation, context: &mut Context<'_>) -> OperationId {
        let at = context.at;
        let host = context.hosts.get_mut(&self.app).expect("an agent is opened only where there is a host");
        host.begin(at, operation)
    }

    /// The effect, for the promises.
    fn effect_of(
        &mut self,
        action: &Action,
        noted_now: bool,
        state: &Arc<ClusterState>,
        context: &Context<'_>,
    ) -> Option<promises::Effect> {
        let on_disk = context.ledgers.get(&self.app).map(|bytes| ledger_file::recover(bytes, None).0);
        Some(promises::Effect {
            node: context.me,
            app: self.app.clone(),
            action: action.clone(),
            applied: Arc::clone(state),
            read_asked_at: self.read_asked.take(),
            contact_age: self.contact_age,
            noted_now,
            on_disk,
            truth: context.host(&self.app)?.truth(),
        })
    }

    /// What is said of this node, for the promises.
    fn said(
        &self,
        report: &Report,
        state: &Arc<ClusterState>,
        context: &Context<'_>,
    ) -> Option<promises::Said> {
        Some(promises::Said {
            node: context.me,
            app: self.app.clone(),
            report: report.clone(),
            applied: Arc::clone(state),
            truth: context.host(&self.app)?.truth(),
            clock_error: context.clock.leapt(),
        })
    }

    fn fetched(&mut self, release: ReleaseId, context: &mut Context<'_>) {
        let Doing::Attempt { action, began, redecide, .. } =
            std::mem::replace(&mut self.doing, Doing::Rest { until: Some(context.now) })
        else {
            return;
        };
        if context.can_fetch() {
            context.fetched.insert(release.manifest);
            let operation = Operation::Place { version: release.version, manifest: release.manifest };
            let id = self.operate(operation, context);
            self.doing = Doing::Attempt { action, began, step: Step::Operation(id), redecide };
        } else {
            let error = ContextError::Fetch { release, reason: "no peer has it".to_owned() };
            self.take_in(&action, Ended::Placed(Err(PlaceError::Fetch(error))), began, context);
        }
    }

    fn take_in(&mut self, action: &Action, ended: Ended, began: Monotonic, context: &mut Context<'_>) {
        if let Ended::Observed(Ok(seen)) = &ended {
            context.coverage.saw(seen);
        }
        context.log(|| format!("{}: {} -> {}", self.app, name(action), brief(&ended)));
        let Follow { store, prompt_health } = self.core.take_in(action, ended, began, context.now);
        if prompt_health {
            self.monitor.prompt(context.now);
        }
        self.doing = if store {
            Doing::Store { until: context.now + context.fsync() }
        } else {
            Doing::Rest { until: Some(context.now) }
        };
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

fn ended_of(action: &Action, reply: Reply) -> Ended {
    match (action, reply) {
        (_, Reply::Observed(seen)) => Ended::Observed(seen),
        (_, Reply::Checked(checks)) => Ended::Checked(checks),
        (_, Reply::Drained(drained)) => Ended::Drained(drained),
        // How long processes are suspended is nothing that a simulator could tell.
        (Action::Verify { .. }, Reply::Done(proved)) => Ended::Proved(proved.map(|()| None)),
        (Action::Place { .. }, Reply::Done(placed)) => Ended::Placed(placed.map_err(PlaceError::Driver)),
        (_, Reply::Done(done)) => Ended::Done(done),
    }
}

fn brief(ended: &Ended) -> String {
    match ended {
        Ended::Observed(Ok(seen)) => format!("{:?} {:?}", seen.running, seen.condition),
        Ended::Answered(Ok(Ok(_))) => "ok".to_owned(),
        Ended::Answered(Ok(Err(rejection))) => format!("rejected: {rejection}"),
        Ended::Answered(Err(_)) => "no quorum".to_owned(),
        Ended::Checked(Ok(_))
        | Ended::Placed(Ok(()))
        | Ended::Done(Ok(()))
        | Ended::Proved(Ok(_))
        | Ended::Drained(Ok(Drained::Clear(_))) => "ok".to_owned(),
        Ended::Drained(Ok(Drained::Lingering(_))) => "lingering".to_owned(),
        Ended::Observed(Err(error)) | Ended::Checked(Err(error)) | Ended::Drained(Err(error)) => {
            error.to_string()
        }
        Ended::Done(Err(error)) | Ended::Proved(Err(error)) => error.to_string(),
        Ended::Placed(Err(error)) => error.to_string(),
    }
}

/// The word for an action, for logs and for the table of coverage.
pub fn name(action: &Action) -> &'static str {
    match action {
        Action::Observe => "observe",
        Action::Place { .. } => "place",
        Action::Preflight { .. } => "preflight",
        Action::Install { .. } => "install",
        Action::Verify { .. } => "verify",
        Action::Drain { .. } => "drain",
        Action::Commit { .. } => "commit",
        Action::RollBack { .. } => "roll back",
        Action::Repair { .. } => "repair",
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Report { .. } => "report",
        Action::ReportOrphan { .. } => "report orphan",
        Action::Announce { .. } => "announce",
        Action::Wait { .. } => "wait",
    }
}
