//! Keeps asking an app how it is, and publishes the verdict. The first round of a VM's life runs at
//! once; the checks of a round run side by side; nothing runs while there is no VM to ask.

use super::probe::{Question, QuestionError};
use super::verdict::{CheckFailure, Health, Judge, Round, Verdict};
use crate::clock::monotonic;
use crate::driver::Liveness;
use crate::ids::{AppName, BootNonce};
use crate::spec::HealthPolicy;
use crate::telemetry::Metrics;
use futures::future::join_all;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

pub use super::probe::Surroundings;

/// The verdict on one app of this host. The monitor's task ends when the last receiver is dropped.
#[derive(Clone, Debug)]
pub struct Monitor {
    health: watch::Receiver<Health>,
    prompt: Arc<Notify>,
}

impl Monitor {
    /// Begins to watch. `policy` holds no variables any more.
    pub fn start(
        app: AppName,
        policy: HealthPolicy,
        surroundings: &Surroundings,
        liveness: watch::Receiver<Liveness>,
        metrics: Metrics,
    ) -> Result<Self, QuestionError> {
        let questions =
            policy.checks.iter().map(|check| Question::new(check, surroundings)).collect::<Result<_, _>>()?;
        let (publish, health) = watch::channel(Health::UNKNOWN);
        let prompt = Arc::new(Notify::new());
        let watcher =
            Watcher { app, policy, questions, liveness, publish, prompt: Arc::clone(&prompt), metrics };
        tokio::spawn(watcher.run());
        Ok(Self { health, prompt })
    }

    /// The verdict, pushed.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// What asks for a round now instead of at the end of the interval, e.g. after an installation.
    #[must_use]
    pub fn prompt(&self) -> Prompt {
        Prompt(Arc::clone(&self.prompt))
    }
}

/// Asks a monitor for a round of checks. Does not keep it alive.
#[derive(Clone, Debug)]
pub struct Prompt(Arc<Notify>);

impl Prompt {
    /// Now, or right after the round that is being asked.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

struct Watcher {
    app: AppName,
    policy: HealthPolicy,
    questions: Vec<Question>,
    liveness: watch::Receiver<Liveness>,
    publish: watch::Sender<Health>,
    prompt: Arc<Notify>,
    metrics: Metrics,
}

impl Watcher {
    /// Until nobody wants to know any more, or the driver is gone.
    async fn run(mut self) {
        loop {
            let life = self.liveness.borrow_and_update().clone();
            match &life {
                Liveness::Unknown => self.say(&Health::UNKNOWN),
                Liveness::Down => self.say(&down()),
                Liveness::Up { boot_nonce } => {
                    if self.watch_life(boot_nonce).await.is_none() {
                        return;
                    }
                    continue;
                }
            }
            tokio::select! {
                changed = self.liveness.changed() => if changed.is_err() { return },
                () = self.publish.closed() => return,
            }
        }
    }

    /// Judges one life of the VM until it changes; `None` when there is nothing more to do at all.
    async fn watch_life(&mut self, boot_nonce: &BootNonce) -> Option<()> {
        let mut judge = Judge::new(&self.policy, boot_nonce.clone(), monotonic());
        self.say(judge.health());
        let mut liveness = self.liveness.clone();
        let ended =
            liveness.wait_for(|now| !matches!(now, Liveness::Up { boot_nonce: now } if now == boot_nonce));
        tokio::select! {
            ended = ended => ended.ok().map(drop),
            () = self.publish.closed() => None,
            () = self.rounds(&mut judge), if !self.questions.is_empty() => Some(()),
        }
    }

    async fn rounds(&self, judge: &mut Judge) {
        loop {
            let round = self.ask().await;
            judge.observe(&round);
            self.say(judge.health());
            let rest = self.policy.interval.saturating_sub(monotonic().since(round.began));
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = self.prompt.notified() => {}
            }
        }
    }

    async fn ask(&self) -> Round {
        let began = monotonic();
        let answers = join_all(self.questions.iter().map(Question::ask)).await;
        let failures: Vec<_> = self
            .questions
            .iter()
            .zip(answers)
            .filter_map(|(question, answer)| {
                Some(CheckFailure { check: question.name().to_owned(), reason: answer.err()? })
            })
            .collect();
        for CheckFailure { check, reason } in &failures {
            tracing::debug!(app = %self.app, check, reason, "health check failed");
            self.metrics.probe_failed(&self.app, check);
        }
        Round { began, failures }
    }

    fn say(&self, health: &Health) {
        let before = self.publish.borrow().flag();
        if before != health.flag() {
            match &health.verdict {
                Verdict::Unknown => {}
                Verdict::Healthy { .. } => tracing::info!(app = %self.app, "healthy"),
                Verdict::Unhealthy { check, reason } => {
                    tracing::warn!(app = %self.app, check, reason, "unhealthy");
                }
            }
        }
        self.publish.send_if_modified(|published| {
            let changed = published != health;
            health.clone_into(published);
            changed
        });
    }
}

/// Without a VM nobody has to be asked.
fn down() -> Health {
    Health {
        boot_nonce: None,
        judged_at: monotonic(),
        failing_since: None,
        verdict: Verdict::Unhealthy { check: "vm".to_owned(), reason: "the VM is not running".to_owned() },
    }
}

#[cfg(test)]
mod tests;
