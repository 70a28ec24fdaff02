//! The hosts of a scenario: what each boots, what it runs, and how its agent answers the newest order.

use crate::world::{World, app, node, version};
use relupd_core::driver::{Check, CheckResult, Condition, Method, Observation, Rung, Running};
use relupd_core::ids::{BootNonce, ReleaseVersion};
use relupd_core::state::app::{Assignment, Order};
use relupd_core::state::command::{Command, OrphanOutcome, Report};
use relupd_core::state::rollout::{Failure, Phase, Stage, Step, TriedRung, Turn};
use std::collections::BTreeMap;

/// One host.
pub struct Host {
    pub permanent: Option<ReleaseVersion>,
    pub running: Option<ReleaseVersion>,
    pub healthy: Option<bool>,
    pub reachable: bool,
    /// What becomes of an order, by its verb, where it is not simply obeyed.
    pub faults: BTreeMap<String, Fault>,
    /// It took itself back while nobody heard it.
    orphaned: bool,
    life: u32,
    /// The life that an order forward knows; another one is a failed verdict.
    judged: Option<u32>,
}

pub enum Fault {
    /// It answers with this failure.
    Fails(String),
    /// It never answers.
    Hangs,
    /// It says that it cannot fetch the release.
    CannotFetch,
}

impl Host {
    pub fn on(version: Option<ReleaseVersion>) -> Self {
        Self {
            permanent: version.clone(),
            running: version,
            healthy: Some(true),
            reachable: true,
            faults: BTreeMap::new(),
            orphaned: false,
            life: 1,
            judged: None,
        }
    }

    pub fn reboots(&mut self) {
        self.running = self.permanent.clone();
        self.life += 1;
    }

    pub fn takes_itself_back(&mut self) {
        self.running = self.permanent.clone();
        self.orphaned = true;
    }

    fn nonce(&self) -> BootNonce {
        BootNonce(format!("life {}", self.life))
    }

    pub fn observation(&self) -> Observation {
        let running = match &self.running {
            Some(version) => Running::Up { version: version.clone(), boot_nonce: self.nonce() },
            None => Running::Down,
        };
        let condition = match (&self.running, &self.permanent) {
            (None, None) => Condition::Absent,
            (None, Some(_)) => Condition::Stopped,
            (running, permanent) if running == permanent => Condition::Clean,
            (Some(_), _) => Condition::Trial,
        };
        Observation { permanent: self.permanent.clone(), running, condition }
    }

    /// What this host says next of its order, and what that does to it.
    fn answer(&mut self, assignment: &Assignment, step: &Step, ended: bool) -> Option<Report> {
        let (from, to) = (assignment.from.as_ref().map(|from| from.version.clone()), &assignment.to.version);
        let trial_lost = self.judged.is_some_and(|judged| judged != self.life);
        let fault = self.faults.get(assignment.order.verb());
        if matches!(fault, Some(Fault::Hangs)) {
            return None;
        }
        let failed = match fault {
            Some(Fault::Fails(reason)) => Some(reason.clone()),
            Some(Fault::Hangs | Fault::CannotFetch) | None => None,
        };
        match (assignment.order, step) {
            (Order::Prepare, Step::Preparing { cannot_fetch, .. })
                if matches!(fault, Some(Fault::CannotFetch)) =>
            {
                let reason = "no node that can be reached has it".to_owned();
                cannot_fetch.is_none().then_some(Report::CannotFetch { reason })
            }
            (Order::Prepare, Step::Preparing { cannot_fetch: Some(_), .. }) => Some(Report::Fetched),
            (Order::Prepare, Step::Preparing { .. }) => Some(match failed {
                None => Report::Prepared { method: assignment.method, checks: vec![] },
                Some(reason) => {
                    let result =
                        CheckResult::Failed { reason, remedy: "put it right, then plan again".to_owned() };
                    Report::PrepareFailed { checks: vec![Check { name: "placed".to_owned(), result }] }
                }
            }),
            _ if ended && !matches!(assignment.order, Order::Commit | Order::Revert) => None,
            (Order::Upgrade | Order::Drain, Step::Failed { .. }) => None,
            (Order::Upgrade | Order::Drain, _) if trial_lost => {
                let detail = format!("{} runs again, in another life", show(self.running.as_ref()));
                Some(Report::Failed { failure: Failure::VmDied { detail } })
            }
            (Order::Upgrade, Step::Upgrading { stage: Stage::Assigned, .. }) => {
                Some(Report::Stage { stage: Stage::Installing })
            }
            (Order::Upgrade, Step::Upgrading { stage: Stage::Installing, .. }) => {
                self.install(to, assignment.method);
                self.judged = Some(self.life);
                Some(Report::Stage { stage: Stage::Baking })
            }
            (Order::Upgrade, Step::Upgrading { stage: Stage::Baking, .. }) => Some(match failed {
                None => Report::Healthy { boot_nonce: self.nonce() },
                Some(reason) => health(reason),
            }),
            (Order::Drain, Step::Draining { .. }) => Some(match failed {
                None => Report::ReadyToCommit { boot_nonce: self.nonce() },
                Some(reason) => Report::Failed { failure: Failure::Commit { reason } },
            }),
            (Order::Commit, Step::Committing { turn, .. }) => {
                if self.running.as_ref() != Some(to) {
                    return self.in_turn(*turn, |host| {
                        host.install(to, Method::Restart);
                        None
                    });
                }
                if let Some(reason) = failed {
                    return Some(health(reason));
                }
                self.permanent = Some(to.clone());
                Some(Report::Committed)
            }
            (Order::Commit, Step::Committed) => failed.map(health),
            (Order::Revert, Step::Reverting { turn, .. }) => {
                if self.running == from && self.permanent == from {
                    return Some(Report::Reverted { by: None, tried: vec![] });
                }
                let rung = match (&from, assignment.method) {
                    (None, _) => Rung::Unplace,
                    (Some(_), Method::Hot) if self.running.as_ref() == Some(to) => Rung::RelupDown,
                    (Some(_), _) => Rung::Restart,
                };
                self.in_turn(*turn, |host| {
                    if let Some(reason) = failed {
                        return Some(Report::RevertFailed { tried: vec![TriedRung { rung, reason }] });
                    }
                    (host.running, host.permanent) = (from.clone(), from);
                    Some(Report::Reverted { by: Some(rung), tried: vec![] })
                })
            }
            _ => None,
        }
    }

    fn in_turn(&mut self, turn: Turn, act: impl FnOnce(&mut Self) -> Option<Report>) -> Option<Report> {
        match turn {
            Turn::NotAsked => Some(Report::AskTurn),
            Turn::Asked => None,
            Turn::Given => act(self),
        }
    }

    fn install(&mut self, version: &ReleaseVersion, method: Method) {
        self.running = Some(version.clone());
        if method != Method::Hot {
            self.life += 1;
        }
    }
}

fn health(reason: String) -> Report {
    Report::Failed { failure: Failure::Health { check: "http".to_owned(), reason } }
}

pub fn show(version: Option<&ReleaseVersion>) -> String {
    version.map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

/// One answer of every host that can be heard, then what each sees. False where nobody had anything to say.
pub fn answer_all(world: &mut World, hosts: &mut BTreeMap<u64, Host>) -> bool {
    let mut moved = false;
    for (number, host) in hosts.iter_mut().filter(|(_, host)| host.reachable) {
        moved |= answer(world, *number, host);
    }
    for (number, host) in hosts.iter().filter(|(_, host)| host.reachable) {
        moved |= observe(world, *number, host);
    }
    moved
}

fn answer(world: &mut World, number: u64, host: &mut Host) -> bool {
    let node = node(number);
    let Some(instance) = world.state.apps[&app()].instances.get(&node) else { return false };
    let Some(assignment) = instance.assignment.clone() else {
        host.judged = None;
        return false;
    };
    let rollout = &world.state.rollouts[&assignment.rollout];
    let decided = matches!(rollout.phase, Phase::Committing { decided: true });
    let ended = rollout.phase.is_terminal();
    let step = rollout.nodes[&node].step.clone();
    if assignment.order == Order::Prepare {
        host.judged = None;
    }
    if std::mem::take(&mut host.orphaned) && !decided && !ended {
        let outcome = OrphanOutcome::Back { version: host.permanent.clone() };
        let told = Command::ReportOrphan { node, app: app(), rollout: assignment.rollout, outcome };
        world.apply(told).unwrap();
        return true;
    }
    let before = (host.running.clone(), host.permanent.clone());
    let report = host.answer(&assignment, &step, ended);
    let moved = before != (host.running.clone(), host.permanent.clone());
    let Some(report) = report else { return moved };
    let generation = assignment.generation;
    world.apply(Command::Report { node, app: app(), generation, report }).unwrap();
    true
}

/// Tells what is seen, where no order is at work that changes it.
fn observe(world: &mut World, number: u64, host: &Host) -> bool {
    let node = node(number);
    let Some(instance) = world.state.apps[&app()].instances.get(&node) else { return false };
    let healthy = if host.running.is_some() { host.healthy } else { None };
    let seen = host.observation();
    if instance.observed.as_ref() == Some(&seen) && instance.healthy == healthy {
        return false;
    }
    world.apply(Command::Observe { node, app: app(), observation: seen, healthy, noted: None }).unwrap();
    true
}

pub fn parse(text: &str) -> Option<ReleaseVersion> {
    (text != "nothing").then(|| version(text))
}
