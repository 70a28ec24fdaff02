//! What must hold at every moment, as far as it can be asked then.

use super::Walk;
use super::act::ask;
use crate::cluster::APP;
use crate::ctl::{Rollout, Summary};
use crate::hosts::install::MAX_IN_FLIGHT;
use anyhow::ensure;

/// A node that is down by our doing, or has no verdict.
const AT_WORK: [&str; 3] = ["assigned", "installing", "baking"];

impl Walk<'_> {
    /// S1 and S2, where somebody answers.
    pub(super) async fn look(&mut self) -> anyhow::Result<()> {
        let Some(ctl) = self.unharmed() else { return Ok(()) };
        let Some(list) = ask::<Vec<Summary>>(&ctl, &["rollout", "list", APP]).await? else { return Ok(()) };
        let on_their_way: Vec<&str> =
            list.iter().filter(|rollout| !rollout.is_over()).map(|rollout| rollout.id.as_str()).collect();
        ensure!(on_their_way.len() <= 1, "S1: {} are on their way", on_their_way.join(", "));
        self.newest = list.first().map(|rollout| rollout.id.clone());
        for id in on_their_way {
            let Some(rollout) = ask::<Rollout>(&ctl, &["rollout", "show", id]).await? else { return Ok(()) };
            let at_work: Vec<&str> = rollout
                .nodes
                .iter()
                .filter(|node| AT_WORK.contains(&node.step.as_str()))
                .map(|node| node.node_name.as_str())
                .collect();
            ensure!(at_work.len() <= MAX_IN_FLIGHT, "S2: {} are at work in {id}", at_work.join(", "));
        }
        Ok(())
    }
}
