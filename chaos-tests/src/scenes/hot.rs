//! A hot upgrade under load: nobody outside may notice.

use super::{Stage, ended_as};
use crate::report::Figure;
use anyhow::ensure;

/// The bound of the longest silence.
const OUTAGE_BOUND_MS: f64 = 100.0;

/// Rolls 0.2.0 out over 0.1.0.
pub async fn play(stage: &Stage) -> anyhow::Result<Vec<Figure>> {
    let show = stage.show;
    let before = stage.testimonies().await?;
    let load = stage.load("hot")?;
    let plan = stage.plan(1, "0.2.0").await?;
    ensure!(plan.steps.iter().all(|step| step.method == "hot"), "not every node is upgraded hot");
    let (rollout, code) = stage.carry_out(1, &plan).await?;
    let record = load.stop().await?;
    ended_as(&rollout, "completed")?;
    ensure!(code == 0, "the watch of a completed rollout exits with {code}");

    let after = stage.testimonies().await?;
    let restarts = before.iter().zip(&after).filter(|(before, after)| !before.is_same_life(after)).count();
    for (before, after) in before.iter().zip(&after) {
        ensure!(after.info.version == "0.2.0", "{} answers", after.info.version);
        let changes = after.code_changes_since(before);
        ensure!(changes == (1, 0), "state was migrated {changes:?} times (up, down) and not once");
        ensure!((before.info.layout, after.info.layout) == (1, 2), "the state has not the new layout");
    }
    stage.all_settled_on("0.2.0").await?;
    show.witnessed("the app: 0.2.0 answers on every node, code_change ran once on each, same boot nonces");
    show.witnessed("/proc: every VM is the process that it was before");
    show.witnessed(&format!(
        "load client: {} requests, {} failed, {} counts lost",
        record.requests(),
        record.failures().len(),
        record.counters_lost()
    ));
    for (node, why) in record.failures().iter().take(3) {
        show.block(&format!("failed on {node}: {why}"));
    }
    Ok(vec![
        Figure::some("hot_upgrade_requests", record.requests()),
        Figure::exactly("hot_upgrade_failed_requests", record.failures().len() as u64, 0),
        Figure::exactly("counters_lost", record.counters_lost(), 0),
        Figure::exactly("vm_restarts_in_hot_upgrade", restarts as u64, 0),
        Figure::at_most_ms(
            "hot_upgrade_outage_ms",
            record.longest_gap().as_secs_f64() * 1000.0,
            OUTAGE_BOUND_MS,
        ),
    ])
}
