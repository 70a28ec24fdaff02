//! Does what was drawn.

use super::schedule::{Act, Order, Seen};
use super::{Made, Walk};
use crate::cluster::APP;
use crate::ctl::{Ctl, Plan, Rollout};
use crate::hosts::look::ask;
use crate::load::Excuse;
use anyhow::{Context as _, ensure};
use relupd::clock::monotonic;

impl Walk<'_> {
    pub(super) async fn act(&mut self, act: Act, to: &str) -> anyhow::Result<()> {
        match act {
            Act::Strike(fault, _) if fault.missing().is_some() => Ok(()),
            Act::Strike(fault, whom) => {
                let hosts: Vec<String> = self.hosts.all().iter().map(|host| host.name().to_owned()).collect();
                let order = self.plans.last().map(|made| made.plan.order()).unwrap_or_default();
                let order: Vec<String> = order.into_iter().map(str::to_owned).collect();
                let leader = self.leader().await.unwrap_or_default();
                let struck: Vec<usize> = self.struck.iter().map(|(index, _)| *index).collect();
                let seen = Seen { hosts: &hosts, order: &order, leader: &leader, struck: &struck };
                let Some(index) = whom.find(&seen) else { return Ok(()) };
                self.struck.push((index, fault));
                if fault.ends_the_app() {
                    let node = hosts[index].clone();
                    self.excuses.push(Excuse { node, struck: monotonic(), healed: None });
                }
                fault.strike(self.hosts, index, to).await
            }
            Act::Heal => self.heal_oldest().await,
            Act::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Act::Order(order, at) => match self.hosts.ctl(at) {
                Ok(ctl) => self.order(order, &ctl, to).await,
                // A host that is off takes no orders.
                Err(_) => Ok(()),
            },
        }
    }

    pub(super) async fn heal_oldest(&mut self) -> anyhow::Result<()> {
        if self.struck.is_empty() {
            return Ok(());
        }
        let (index, fault) = self.struck.remove(0);
        fault.heal(self.hosts, index).await?;
        let name = self.hosts.all()[index].name();
        for excuse in self.excuses.iter_mut().filter(|excuse| excuse.node == name) {
            excuse.healed = excuse.healed.or_else(|| Some(monotonic()));
        }
        Ok(())
    }

    /// Asks whoever does not suffer.
    async fn leader(&self) -> Option<String> {
        let status = self.unharmed()?.status().await.ok()?;
        status.leader().ok().map(str::to_owned)
    }

    pub(super) fn unharmed(&self) -> Option<Ctl> {
        let suffers = |index| self.struck.iter().any(|(struck, _)| *struck == index);
        let index = (0..self.hosts.all().len()).find(|index| !suffers(*index))?;
        self.hosts.ctl(index).ok()
    }

    async fn order(&mut self, order: Order, ctl: &Ctl, to: &str) -> anyhow::Result<()> {
        match order {
            Order::Plan => {
                if let Some(plan) = ask::<Plan>(ctl, &["plan", APP, to]).await? {
                    self.plans.push(Made { plan, after: self.rollouts.len() });
                }
            }
            Order::Start => {
                let Some(made) = self.plans.last() else { return Ok(()) };
                let id = made.plan.id.clone();
                let started = ask::<Rollout>(ctl, &["rollout", "start", &id]).await?;
                self.newest = started.map(|rollout| rollout.summary.id).or(self.newest.take());
            }
            Order::StartStale => {
                let old = self.plans.first().filter(|made| made.after < self.rollouts.len());
                let Some(id) = old.map(|made| made.plan.id.clone()) else { return Ok(()) };
                let started = ask::<Rollout>(ctl, &["rollout", "start", &id]).await?;
                ensure!(started.is_none(), "plan {id} was started again, after other rollouts");
            }
            Order::Pause => self.order_newest(ctl, &["pause"]).await.map(drop)?,
            Order::Resume => self.order_newest(ctl, &["resume"]).await.map(drop)?,
            Order::Promote => self.order_newest(ctl, &["promote"]).await.map(drop)?,
            Order::Hold => {
                // What is not acknowledged may happen all the same.
                self.may_be_held = true;
                let aborted = self.order_newest(ctl, &["abort", "--hold"]).await?;
                self.aborted.extend(aborted);
            }
            Order::Revert => {
                let aborted = self.order_newest(ctl, &["abort", "--revert"]).await?;
                self.aborted.extend(aborted);
            }
            Order::Lift => {
                let Some(all) = ask::<Vec<serde_json::Value>>(ctl, &["quarantine", "list"]).await? else {
                    return Ok(());
                };
                for quarantine in all {
                    let digest = quarantine["digest"].as_str().context("a quarantine names a digest")?;
                    ask::<serde_json::Value>(ctl, &["quarantine", "lift", digest]).await?;
                }
            }
        }
        Ok(())
    }
}

impl Walk<'_> {
    /// Orders something of the newest rollout that is known; its id, where that was acknowledged. It is named, so that it
    /// is known what an order without an answer was about.
    async fn order_newest(&self, ctl: &Ctl, what: &[&str]) -> anyhow::Result<Option<String>> {
        let Some(id) = &self.newest else { return Ok(None) };
        let done = ask::<Rollout>(ctl, &[&["rollout"], what, &[id]].concat()).await?;
        Ok(done.map(|rollout| rollout.summary.id))
    }
}
