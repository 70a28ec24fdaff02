//! The end of a leg: faults are healed, rollouts end by themselves, and every host is on the version that
//! follows from how they have ended.

use super::schedule::Leg;
use super::{VERSIONS, Walk};
use crate::cluster::APP;
use crate::ctl::{Rollout, Summary};
use crate::hosts::{install, settle};
use anyhow::{Context as _, ensure};

impl Walk<'_> {
    /// Brings a leg to its end; how its rollouts have ended.
    pub(super) async fn end(&mut self, leg: &Leg, to: &str) -> anyhow::Result<String> {
        self.hosts.settled().await?;
        let ctl = self.hosts.ctl(0)?;
        self.let_rollouts_end(leg.promote_by_hand).await?;
        if let Some(index) = leg.sick {
            self.hosts.all()[index].run(&["rm", "-f", &install::sick_file()]).await?;
        }
        let mut listed = self.listed().await?;
        let known =
            std::mem::replace(&mut self.rollouts, listed.iter().map(|rollout| rollout.id.clone()).collect());
        listed.retain(|rollout| !known.contains(&rollout.id));
        listed.reverse();
        let mut now = self.current;
        let mut is_held = false;
        for summary in &listed {
            self.ended_as_designed(summary, leg, to)?;
            is_held |= summary.phase == "held";
            if summary.phase == "completed" {
                now = VERSIONS
                    .into_iter()
                    .find(|version| *version == summary.version)
                    .with_context(|| format!("{} went to {}", summary.id, summary.version))?;
            }
            if summary.phase == "held" {
                self.repair(&ctl.rollout(&summary.id).await?).await?;
            }
        }
        let ended: Vec<String> =
            listed.iter().map(|rollout| format!("{} {}", rollout.id, rollout.phase)).collect();
        let ended = if ended.is_empty() { "no rollout".to_owned() } else { ended.join(", ") };
        // Where it was held, the cluster may or may not have decided.
        let wanted: &[&'static str] = if is_held { &VERSIONS } else { &[now] };
        self.current =
            settle::on_one_of(self.hosts, wanted).await.with_context(|| format!("it ended {ended}"))?;
        settle::lift(self.hosts).await?;
        Ok(ended)
    }

    /// What waits for an operator is not waited for any longer.
    async fn let_rollouts_end(&self, promote: bool) -> anyhow::Result<()> {
        let ctl = self.hosts.ctl(0)?;
        for rollout in self.listed().await?.iter().filter(|rollout| !rollout.is_over()) {
            // It may end meanwhile.
            if !rollout.paused_by.is_empty() {
                ctl.try_run(&["rollout", "resume", &rollout.id]).await?;
            }
            if promote {
                ctl.try_run(&["rollout", "promote", &rollout.id]).await?;
            }
            ctl.watch_to_end(&rollout.id).await?;
        }
        Ok(())
    }

    /// Whole again, whatever was left by a leg that went wrong.
    pub(super) async fn recover(&mut self) -> anyhow::Result<()> {
        while !self.struck.is_empty() {
            if let Err(error) = self.heal_oldest().await {
                eprintln!("{error:#}");
            }
        }
        settle::heal(self.hosts).await?;
        self.let_rollouts_end(true).await?;
        let rollouts = self.listed().await?;
        if let Some(last) = rollouts.first() {
            self.repair(&self.hosts.ctl(0)?.rollout(&last.id).await?).await?;
        }
        self.rollouts = rollouts.into_iter().map(|rollout| rollout.id).collect();
        self.current = settle::on_one_of(self.hosts, &VERSIONS).await?;
        Ok(())
    }

    /// All rollouts that the cluster knows, the newest first.
    pub(super) async fn listed(&self) -> anyhow::Result<Vec<Summary>> {
        self.hosts.ctl(0)?.json(&["rollout", "list", APP]).await
    }

    fn ended_as_designed(&self, rollout: &Summary, leg: &Leg, to: &str) -> anyhow::Result<()> {
        let Summary { id, phase, reason, .. } = rollout;
        let is_aborted = self.aborted.contains(id);
        let may_complete = !is_aborted && (leg.sick.is_none() || to != VERSIONS[2]);
        let may_be = match phase.as_str() {
            "completed" => may_complete,
            "refused" | "reverted" => true,
            "held" => self.may_be_held,
            _ => false,
        };
        ensure!(may_be, "{id} ended {phase} ({reason}); aborted as acknowledged: {is_aborted}");
        Ok(())
    }

    /// As the operator does who finds nodes on a trial.
    async fn repair(&self, rollout: &Rollout) -> anyhow::Result<()> {
        let ctl = self.hosts.ctl(0)?;
        for node in rollout.nodes.iter().filter(|node| node.touched) {
            ctl.run(&["node", "repair", &node.node_name, "--app", APP]).await?;
        }
        Ok(())
    }
}
