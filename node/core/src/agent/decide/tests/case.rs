//! One situation, built up from the usual one.

use crate::agent::decide::{Action, Input, decide};
use crate::agent::ledger::{LedgerEntry, Trial, TrialProgress};
use crate::agent::memory::Memory;
use crate::clock::Monotonic;
use crate::driver::{Condition, Liveness, Method, Observation, Running};
use crate::health::{Health, Verdict};
use crate::ids::{Generation, PlanId, RolloutId};
use crate::samples::{app, life, node, release, spec, version};
use crate::state::app::{App, Assignment, Instance, Order};
use crate::state::command::Report;
use crate::state::plan::{Plan, PlanStep, Purpose};
use crate::state::rollout::{Elapsed, NodeProgress, Notes, Phase, Rollout, Stage, Step, Turn};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

pub(in crate::agent) const ROLLOUT: RolloutId = RolloutId(1);
pub(in crate::agent) const GENERATION: Generation = Generation(5);
pub(in crate::agent) const BAKE: Duration = Duration::from_secs(10);

/// Node 2 of three, on its way from 0.1.0 to 0.2.0, at second 100 of its daemon.
pub(in crate::agent) struct Case {
    pub(in crate::agent) app: App,
    pub(in crate::agent) instance: Instance,
    pub(in crate::agent) rollout: Rollout,
    pub(in crate::agent) ledger: LedgerEntry,
    pub(in crate::agent) memory: Memory,
    pub(in crate::agent) observation: Option<Observation>,
    pub(in crate::agent) observed_at: Monotonic,
    pub(in crate::agent) liveness: Liveness,
    pub(in crate::agent) health: Health,
    pub(in crate::agent) contact_age: Duration,
    pub(in crate::agent) now: Monotonic,
}

pub(in crate::agent) fn at(seconds: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_secs(seconds))
}

/// `running` and `permanent`, with the condition that follows from them.
pub(in crate::agent) fn seen(running: Option<(&str, &str)>, permanent: Option<&str>) -> Observation {
    let condition = match (running, permanent) {
        (Some((running, _)), Some(permanent)) if running == permanent => Condition::Clean,
        (Some(_), _) => Condition::Trial,
        (None, Some(_)) => Condition::Stopped,
        (None, None) => Condition::Absent,
    };
    let running = match running {
        Some((running, nonce)) => Running::Up { version: version(running), boot_nonce: life(nonce) },
        None => Running::Down,
    };
    Observation { permanent: permanent.map(version), running, condition }
}

pub(in crate::agent) fn torn(mut seen: Observation) -> Observation {
    seen.condition = Condition::HalfEnvironment { detail: "env of 0.2.0".to_owned() };
    seen
}

impl Case {
    /// Nothing ordered; 0.1.0 runs in life `a`, permanent, healthy, and everybody knows.
    pub(in crate::agent) fn idle() -> Self {
        let mut spec = spec();
        spec.upgrade.bake = BAKE;
        let steps = (1..=3).map(|number| PlanStep {
            node: node(number),
            from: Some(release("0.1.0")),
            method: Method::Hot,
            because: String::new(),
            way_back: vec![],
            canary: false,
        });
        let plan = Plan {
            id: PlanId(1),
            app: app(),
            basis: 1,
            to: release("0.2.0"),
            steps: steps.collect(),
            purpose: Purpose::Roll,
            made_by: String::new(),
            made_at: Timestamp::UNIX_EPOCH,
        };
        let progress = NodeProgress {
            position: 1,
            method: Method::Hot,
            touched: None,
            had_its_turn: false,
            orphaned: false,
            step: Step::Planned,
            checks: vec![],
            notes: Notes::default(),
        };
        let rollout = Rollout {
            id: ROLLOUT,
            plan: plan.into(),
            spec: spec.clone(),
            previous: None,
            revision: 1,
            phase: Phase::Rolling,
            paused: None,
            promoted: false,
            nodes: BTreeMap::from([(node(2), progress.into())]),
            elapsed: Elapsed::default(),
            started_by: String::new(),
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
        };
        let observation = seen(Some(("0.1.0", "a")), Some("0.1.0"));
        let instance = Instance {
            settled: Some(release("0.1.0")),
            observed: Some(observation.clone()),
            healthy: Some(true),
            ..Instance::default()
        };
        Self {
            app: App {
                spec,
                basis: 1,
                current: None,
                running: true,
                rollout: Some(ROLLOUT),
                instances: BTreeMap::new(),
            },
            instance,
            rollout,
            ledger: LedgerEntry::default(),
            memory: Memory::new(at(50)),
            observation: Some(observation),
            observed_at: at(100),
            liveness: Liveness::Up { boot_nonce: life("a") },
            health: Health {
                boot_nonce: Some(life("a")),
                judged_at: at(99),
                failing_since: None,
                verdict: healthy(60),
            },
            contact_age: Duration::ZERO,
            now: at(100),
        }
    }

    pub(in crate::agent) fn ordered(order: Order) -> Self {
        let mut case = Self::idle();
        case.instance.assignment = Some(Assignment {
            generation: GENERATION,
            rollout: ROLLOUT,
            order,
            from: Some(release("0.1.0")),
            to: release("0.2.0"),
            method: Method::Hot,
            position: 1,
        });
        case.memory.turn_to(Some(GENERATION));
        let step = match order {
            Order::Prepare => Step::Preparing { generation: GENERATION, cannot_fetch: None },
            Order::Upgrade => Step::Upgrading { generation: GENERATION, stage: Stage::Assigned },
            Order::Drain => Step::Draining { generation: GENERATION, boot_nonce: life("a") },
            Order::Commit => Step::Committing { generation: GENERATION, turn: Turn::Given },
            Order::Revert => Step::Reverting { generation: GENERATION, turn: Turn::Given, tried: vec![] },
        };
        case.rollout.phase = match order {
            Order::Prepare => Phase::Preparing,
            Order::Upgrade => Phase::Rolling,
            Order::Drain => Phase::Committing { decided: false },
            Order::Commit => Phase::Committing { decided: true },
            Order::Revert => {
                Phase::Reverting { reason: crate::state::rollout::HaltReason::Orphaned { node: node(1) } }
            }
        };
        case.at(step)
    }

    /// A first installation instead: nothing is there.
    pub(in crate::agent) fn first(mut self) -> Self {
        let assignment = self.instance.assignment.as_mut().unwrap();
        (assignment.from, assignment.method) = (None, Method::First);
        self.liveness = Liveness::Down;
        self.sees(seen(None, None))
    }

    pub(in crate::agent) fn by(mut self, method: Method) -> Self {
        self.instance.assignment.as_mut().unwrap().method = method;
        self
    }

    pub(in crate::agent) fn at(mut self, step: Step) -> Self {
        std::sync::Arc::make_mut(self.rollout.nodes.get_mut(&node(2)).unwrap()).step = step;
        self
    }

    /// The cluster knows that it bakes.
    pub(in crate::agent) fn baking(self) -> Self {
        self.at(Step::Upgrading { generation: GENERATION, stage: Stage::Baking })
    }

    /// The cluster knows this of it.
    pub(in crate::agent) fn note(&mut self, notes: Notes) {
        std::sync::Arc::make_mut(self.rollout.nodes.get_mut(&node(2)).unwrap()).notes = notes;
    }

    pub(in crate::agent) fn in_phase(mut self, phase: Phase) -> Self {
        self.rollout.phase = phase;
        self
    }

    /// Seen now, and known to everybody.
    pub(in crate::agent) fn sees(mut self, seen: Observation) -> Self {
        self.instance.observed = Some(seen.clone());
        self.observation = Some(seen);
        self
    }

    pub(in crate::agent) fn blind(mut self) -> Self {
        self.observation = None;
        self
    }

    pub(in crate::agent) fn lives(mut self, liveness: Liveness) -> Self {
        self.liveness = liveness;
        self
    }

    pub(in crate::agent) fn trial(mut self, progress: TrialProgress) -> Self {
        self.ledger.trial = Some(Trial {
            rollout: ROLLOUT,
            generation: GENERATION,
            attempt: 1,
            falls: 0,
            method: self.instance.assignment.as_ref().map_or(Method::Hot, |order| order.method),
            life_before: Some(life("a")),
            host_boot: "boot".to_owned(),
            progress,
            measured: None,
        });
        self
    }

    /// The trial of 0.2.0 runs in life `a`, verified, healthy since second 60, judged since 50.
    pub(in crate::agent) fn verified(self) -> Self {
        let mut case = self
            .trial(TrialProgress::Verified { boot_nonce: life("a") })
            .sees(seen(Some(("0.2.0", "a")), Some("0.1.0")));
        case.memory.life_seen = true;
        case
    }

    pub(in crate::agent) fn feels(mut self, verdict: Verdict) -> Self {
        self.health.verdict = verdict;
        self.instance.healthy = self.health.flag();
        self
    }

    pub(in crate::agent) fn said(mut self, report: Report) -> Self {
        self.memory.answered = Some(report);
        self
    }

    pub(in crate::agent) fn input(&self) -> Input<'_> {
        Input {
            node: node(2),
            app: &self.app,
            instance: &self.instance,
            rollout: Some(&self.rollout),
            ledger: &self.ledger,
            memory: &self.memory,
            observation: self.observation.as_ref(),
            observed_at: self.observation.as_ref().map(|_| self.observed_at),
            liveness: &self.liveness,
            health: &self.health,
            contact_age: self.contact_age,
            host_boot: "boot",
            now: self.now,
        }
    }

    pub(in crate::agent) fn decide(&self) -> Action {
        decide(&self.input())
    }

    /// The action's name, with what matters most of it.
    pub(in crate::agent) fn name(&self) -> String {
        name(&self.decide())
    }
}

pub(in crate::agent) fn healthy(since: u64) -> Verdict {
    Verdict::Healthy { since: at(since) }
}

pub(in crate::agent) fn unhealthy() -> Verdict {
    Verdict::Unhealthy { check: "http".to_owned(), reason: "500".to_owned() }
}

pub(in crate::agent) fn name(action: &Action) -> String {
    let report = |report: &Report| match report {
        Report::Failed { failure } => {
            let kind = format!("{failure:?}");
            format!("failed {}", kind.split_whitespace().next().unwrap())
        }
        Report::Stage { stage } => format!("stage {stage:?}"),
        other => format!("{other:?}").split_whitespace().next().unwrap().to_owned(),
    };
    match action {
        Action::Install { trial, .. } => format!("install {} {}", trial.method, trial.attempt),
        Action::RollBack { rung, .. } => format!("roll back by {rung}"),
        Action::Report { report: said, .. } => report(said),
        Action::Wait { reason, .. } => format!("wait for {reason:?}"),
        other => format!("{other:?}").split_whitespace().next().unwrap().to_lowercase(),
    }
}
