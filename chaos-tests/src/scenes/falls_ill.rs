//! A release that falls ill on the second node it comes to.

use super::{Stage, ended_as, in_order};
use crate::cluster::APP;
use crate::report::Figure;
use anyhow::{Context as _, ensure};
use std::fs;

/// Rolls 0.3.0 out over 0.2.0.
pub async fn play(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let show = stage.show;
    let before = stage.testimonies().await?;
    let load = stage.load("falls-ill")?;
    let plan = stage.plan(0, "0.3.0").await?;
    let order = in_order(stage, &plan)?;
    let [first, second, third] = order[..] else { anyhow::bail!("three nodes, not {}", order.len()) };
    let name = |index: usize| stage.cluster.members()[index].name();
    // Only code of 0.3.0 looks for this file.
    fs::write(stage.cluster.sick_file(second), "")?;
    show.say(&format!("0.3.0 will answer 500 to health checks on {}, and nowhere else", name(second)));
    let (rollout, code) = stage.carry_out(0, &plan).await?;
    let record = load.stop().await?;
    fs::remove_file(stage.cluster.sick_file(second))?;
    ended_as(&rollout, "reverted")?;
    ensure!(code == 3, "the watch of a reverted rollout exits with {code}");
    let (at, ctl) = stage.at(0);
    show.run(at, &ctl, &["quarantine", "list"]).await?;
    show.refused(at, &ctl, &["plan", APP, "0.3.0"]).await?;
    ensure!(!ctl.status().await?.quarantines.is_empty(), "0.3.0 is not quarantined");

    let after = stage.testimonies().await?;
    let mut hot = 0;
    for index in [first, second] {
        let (before, after) = (&before[index], &after[index]);
        ensure!(after.info.version == "0.2.0", "{} answers on {}", after.info.version, name(index));
        let back = before.is_same_life(after) && after.code_changes_since(before) == (1, 1);
        hot += u64::from(back);
    }
    let versions = record.versions(name(third));
    let untouched = before[third].is_same_life(&after[third])
        && after[third].code_changes_since(&before[third]) == (0, 0)
        && versions == ["0.2.0"];
    let halted = untouched && record.versions(name(second)) == ["0.2.0", "0.3.0"];
    let back = |index| record.last_of(name(index), "0.3.0").context("0.3.0 answered there");
    ensure!(back(second)? < back(first)?, "{} went back before {}", name(first), name(second));
    stage.all_settled_on("0.2.0").await?;
    show.witnessed(&format!("the app: {hot} VMs went to 0.3.0 and back to 0.2.0 without a restart"));
    show.witnessed(&format!("load client: {} was back before {}", name(second), name(first)));
    show.witnessed(&format!("load client: only {} ever answered on {}", versions.join(", "), name(third)));
    stage.judge_load(&record)?;
    Ok(vec![
        Figure::exactly("bad_release_halted", u64::from(halted), 1),
        Figure::exactly("nodes_reverted_hot", hot, 2),
        Figure::exactly("untouched_nodes_touched", u64::from(!untouched), 0),
    ])
}
