//! A release whose `code_change` crashes: OTP restarts the VM, which comes back on what is permanent.

use super::{Stage, ended_as, in_order};
use crate::report::Figure;
use anyhow::ensure;

/// Rolls 0.3.1 out over 0.2.0.
pub async fn play(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let show = stage.show;
    let before = stage.testimonies().await?;
    let load = stage.load("code-change-crashes")?;
    let plan = stage.plan(2, "0.3.1").await?;
    let order = in_order(stage, &plan)?;
    let (rollout, code) = stage.carry_out(2, &plan).await?;
    let record = load.stop().await?;
    ended_as(&rollout, "reverted")?;
    ensure!(code == 3, "the watch of a reverted rollout exits with {code}");
    ensure!(!rollout.summary.reason.is_empty(), "the rollout does not say why");
    let (at, ctl) = stage.at(2);
    show.run(at, &ctl, &["rollout", "why", &rollout.summary.id]).await?;

    let after = stage.testimonies().await?;
    for testimony in &after {
        ensure!(testimony.info.version == "0.2.0", "{} answers", testimony.info.version);
    }
    let crashed = order[0];
    let recovered = before[crashed].info.boot != after[crashed].info.boot;
    for &index in &order[1..] {
        let name = stage.cluster.members()[index].name();
        ensure!(before[index].is_same_life(&after[index]), "the VM on {name} was restarted");
        let failed = record.failures().iter().filter(|(node, _)| *node == name).count();
        ensure!(failed == 0, "{failed} requests failed on {name}, where nothing happened");
    }
    stage.all_settled_on("0.2.0").await?;
    let name = stage.cluster.members()[crashed].name();
    show.witnessed(&format!("the app: on {name} it lives anew (another boot nonce), with 0.2.0"));
    show.witnessed("the app, /proc: the other VMs live on; no request failed there");
    Ok(vec![Figure::exactly("code_change_crash_recovered", u64::from(recovered), 1)])
}
