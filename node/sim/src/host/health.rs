//! Whether an app answers its health checks, and the monitor that asks them: rounds and lives as the
//! daemon's own monitor has them, judged by the real `Judge`. The monitor belongs to the daemon's
//! process and runs on its clock; the answers are the host's.

use super::Host;
use super::release::Vitality;
use super::world::World;
use relupd::clock::Monotonic;
use relupd::driver::Liveness;
use relupd::health::Health;
use relupd::health::verdict::{CheckFailure, Judge, Round, Verdict};
use relupd::spec::HealthPolicy;
use std::time::Duration;

impl Host {
    /// How long the answer to a round takes.
    pub fn probe_latency(&mut self) -> Duration {
        self.world.borrow_mut().delay(1, 80)
    }

    /// The answer to one round, as of now; nothing failed where it is empty.
    pub fn probe(&mut self, now: Duration) -> Vec<CheckFailure> {
        self.to(now);
        let mut world = self.world.borrow_mut();
        let failure = |reason: &str| CheckFailure { check: "http".to_owned(), reason: reason.to_owned() };
        let failures: Vec<_> = why_unhealthy(&mut world).map(failure).into_iter().collect();
        if let Some(vm) = world.vm_mut() {
            if failures.is_empty() {
                vm.rounds_passed += 1;
                vm.rounds_failed_in_a_row = 0;
            } else {
                vm.rounds_failed_in_a_row += 1;
            }
        }
        failures
    }
}

/// `None` where it answers as it should.
fn why_unhealthy(world: &mut World) -> Option<&'static str> {
    let Some(vm) = world.vm() else { return Some("connection refused") };
    if vm.unmigrated {
        return Some("500: function_clause");
    }
    let Some(code) = &vm.code else { return None };
    let age = world.now.saturating_sub(vm.since);
    match world.catalog.on(world.setup.host, code).vitality {
        Vitality::Good | Vitality::DiesAfter(_) => None,
        Vitality::Sick => Some("503"),
        Vitality::SickAfter(after) if age >= after => Some("503: out of memory"),
        Vitality::SickAfter(_) => None,
        Vitality::Flaps { per_mille } => world.random.chance(per_mille).then_some("timeout"),
    }
}

/// Asks round after round, as `relupd::health::Monitor` does.
#[derive(Debug)]
pub struct Monitor {
    policy: HealthPolicy,
    judge: Option<Judge>,
    health: Health,
    next: Option<Monotonic>,
    /// A round that was asked and not answered, with the life that was asked.
    asked: Option<Monotonic>,
    prompted: bool,
}

impl Monitor {
    pub fn new(policy: HealthPolicy) -> Self {
        Self { policy, judge: None, health: Health::UNKNOWN, next: None, asked: None, prompted: false }
    }

    pub fn health(&self) -> &Health {
        &self.health
    }

    /// When the next round is to be asked; `None` while one is being asked, or there is nobody to ask.
    pub fn next_round(&self) -> Option<Monotonic> {
        self.next
    }

    /// Takes in what the link says: a new life gets a new judge.
    pub fn lives(&mut self, now: Monotonic, liveness: &Liveness) {
        let same = matches!((liveness, &self.health.boot_nonce), (Liveness::Up { boot_nonce }, Some(judged)) if boot_nonce == judged);
        if same && self.judge.is_some() {
            return;
        }
        (self.judge, self.next, self.asked) = (None, None, None);
        self.health = match liveness {
            Liveness::Unknown => Health::UNKNOWN,
            Liveness::Down => {
                let reason = "the VM is not running".to_owned();
                let verdict = Verdict::Unhealthy { check: "vm".to_owned(), reason };
                Health { boot_nonce: None, judged_at: now, failing_since: None, verdict }
            }
            Liveness::Up { boot_nonce } => {
                let judge = Judge::new(&self.policy, boot_nonce.clone(), now);
                let health = judge.health().clone();
                self.judge = Some(judge);
                self.next = (!self.policy.checks.is_empty()).then_some(now);
                health
            }
        };
    }

    /// A round is asked now.
    pub fn ask(&mut self, now: Monotonic) {
        self.next = None;
        self.asked = Some(now);
    }

    /// Its answer came; an answer to nobody, or of an earlier life, is let go.
    pub fn answered(&mut self, now: Monotonic, failures: Vec<CheckFailure>) {
        let (Some(began), Some(judge)) = (self.asked.take(), &mut self.judge) else { return };
        judge.observe(&Round { began, failures });
        self.health = judge.health().clone();
        let prompted = std::mem::take(&mut self.prompted);
        self.next = Some(if prompted { now } else { (began + self.policy.interval).max(now) });
    }

    /// A round is wanted now, or right after the one that is being asked.
    pub fn prompt(&mut self, now: Monotonic) {
        if self.next.is_some() {
            self.next = Some(now);
        } else {
            self.prompted = true;
        }
    }
}
