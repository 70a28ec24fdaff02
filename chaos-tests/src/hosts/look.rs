//! What must hold at every moment, as far as it can be asked then.

use super::install::MAX_IN_FLIGHT;
use crate::cluster::APP;
use crate::ctl::{Ctl, Rollout, Summary};
use anyhow::{Context as _, ensure};
use serde::de::DeserializeOwned;

/// A command that has no quorum ends after so long; what becomes of it is not known then.
const PATIENCE: &str = "3s";

/// A node that is down by our doing, or has no verdict.
const AT_WORK: [&str; 3] = ["assigned", "installing", "baking"];

/// S1 and S2, where somebody answers; the newest rollout.
pub(super) async fn look(ctl: &Ctl) -> anyhow::Result<Option<Summary>> {
    let Some(mut list) = ask::<Vec<Summary>>(ctl, &["rollout", "list", APP]).await? else { return Ok(None) };
    let on_their_way: Vec<&str> =
        list.iter().filter(|rollout| !rollout.is_over()).map(|rollout| rollout.id.as_str()).collect();
    ensure!(on_their_way.len() <= 1, "S1: {} are on their way", on_their_way.join(", "));
    for id in on_their_way {
        let Some(rollout) = ask::<Rollout>(ctl, &["rollout", "show", id]).await? else { continue };
        let at_work: Vec<&str> = rollout
            .nodes
            .iter()
            .filter(|node| AT_WORK.contains(&node.step.as_str()))
            .map(|node| node.node_name.as_str())
            .collect();
        ensure!(at_work.len() <= MAX_IN_FLIGHT, "S2: {} are at work in {id}", at_work.join(", "));
    }
    Ok((!list.is_empty()).then(|| list.swap_remove(0)))
}

/// The answer, where it was granted. A refusal is an answer, too, and so is silence while faults last.
pub(super) async fn ask<T: DeserializeOwned>(ctl: &Ctl, arguments: &[&str]) -> anyhow::Result<Option<T>> {
    let ended = ctl.try_run(&[&["--timeout", PATIENCE, "--output", "json"], arguments].concat()).await?;
    match ended.code {
        0 => serde_json::from_str(&ended.stdout)
            .map(Some)
            .with_context(|| format!("{} printed: {}", arguments.join(" "), ended.stdout)),
        1 => Ok(None),
        code => anyhow::bail!("{} exits with {code}: {}", arguments.join(" "), ended.stderr),
    }
}
