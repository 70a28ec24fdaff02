//! How the node ended: by every witness and by relupd's own word.

use super::{PEACE, Stand};
use crate::cluster::APP;
use crate::crash::cell::Verdict;
use crate::crash::evidence::{Expected, disagreements};
use crate::crash::transition::Transition;
use crate::ctl::{Ctl, Rollout};
use crate::wait;
use anyhow::{bail, ensure};
use relupd::clock::monotonic;
use std::time::Duration;

impl Stand {
    /// Waits until the rollout has ended and the node is where that says, and judges.
    pub(super) async fn settle(&mut self, transition: &Transition, id: &str, patience: Duration) -> Verdict {
        let (ctl, began) = (self.ctl(), monotonic());
        loop {
            // A service manager would start it again, too.
            let look = match self.cluster.ensure_daemon(0) {
                Ok(()) => self.look(transition, &ctl, id).await,
                Err(error) => Err(error),
            };
            match look {
                Ok(Some(verdict)) => return verdict,
                Ok(None) => {}
                Err(error) if monotonic().since(began) > patience => {
                    return Verdict::Wrong { why: format!("{error:#}") };
                }
                Err(_) => {}
            }
            if monotonic().since(began) > patience {
                return Verdict::Wrong { why: format!("rollout {id} does not end within {patience:?}") };
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn look(&self, transition: &Transition, ctl: &Ctl, id: &str) -> anyhow::Result<Option<Verdict>> {
        let rollout = ctl.rollout(id).await?;
        let on = match rollout.summary.phase.as_str() {
            "completed" => Some(transition.to),
            "refused" | "reverted" => transition.from,
            "needs_operator" => return self.needs_operator(ctl, &rollout).await.map(Some),
            "held" => bail!("the rollout is held, which nobody asked for"),
            _ => return Ok(None),
        };
        let wrong = self.wrong(on, transition.from.filter(|_| transition.method == "hot")).await;
        ensure!(wrong.is_empty(), "{}, but {}", rollout.summary.phase, wrong.join("; "));
        let phase = rollout.summary.phase;
        Ok(Some(Verdict::Ok { on: on.map(str::to_owned), phase }))
    }

    async fn needs_operator(&self, ctl: &Ctl, rollout: &Rollout) -> anyhow::Result<Verdict> {
        let shown = ctl.try_run(&["rollout", "show", &rollout.summary.id]).await?.stdout;
        let complete = !rollout.summary.reason.is_empty() && shown.contains("relupctl ");
        Ok(if complete {
            Verdict::NeedsOperator { shown }
        } else {
            Verdict::Wrong { why: format!("it needs an operator and does not say which command: {shown}") }
        })
    }

    /// What does not fit this version, by every witness and by relupd's own word.
    pub(super) async fn wrong(&self, version: Option<&str>, booted: Option<&str>) -> Vec<String> {
        let member = &self.cluster.members()[0];
        let root = self.roots().join(APP);
        let trial = self.run_directory().join(APP).join("trial");
        let code = version.and_then(|version| self.sound.get(version));
        let mut wrong = disagreements(&root, &trial, self.app(), Expected { version, code, booted }).await;
        let Some(version) = version else { return wrong };
        let told = self.ctl().status().await;
        match told.and_then(|status| status.instance(member.name(), APP).cloned()) {
            Ok(instance) => {
                let told = [&instance.permanent, &instance.running, &instance.health];
                if told != [version, version, "healthy"] {
                    wrong.push(format!("relupd says {instance:?}"));
                }
            }
            Err(error) => wrong.push(format!("{error:#}")),
        }
        wrong
    }

    /// Daemon and VM are killed and come back by themselves, on the same version.
    pub(super) async fn survives_a_cold_start(
        &mut self,
        transition: &Transition,
        on: Option<String>,
        phase: String,
    ) -> anyhow::Result<Verdict> {
        let version = on.as_deref();
        self.end_everything().await?;
        self.boot_host()?;
        self.cluster.start_daemon(0).await?;
        let what = format!("{} after a cold start", transition.name);
        let settled = wait::until(&what, PEACE, async || {
            let wrong = self.wrong(version, None).await;
            ensure!(wrong.is_empty(), "{}", wrong.join("; "));
            Ok(Some(()))
        });
        Ok(match settled.await {
            Ok(()) => Verdict::Ok { on, phase },
            Err(error) => Verdict::Wrong { why: format!("{error:#}") },
        })
    }
}

pub(super) fn is_over(rollout: &Rollout) -> bool {
    ["completed", "refused", "reverted", "held", "needs_operator"].contains(&rollout.summary.phase.as_str())
}
