//! The leader's daemon is killed in the middle of a rollout.

use super::{Stage, ended_as};
use crate::ctl::Rollout;
use crate::report::Figure;
use crate::wait;
use anyhow::ensure;
use std::time::Duration;

/// Long enough for an election on a busy machine.
const ELECTION: Duration = Duration::from_secs(60);

/// Rolls the hot way down from 0.2.0 to 0.1.0 and kills the leader while a node is at work.
pub async fn play(stage: &mut Stage) -> anyhow::Result<Vec<Figure>> {
    let show = stage.show;
    let before = stage.testimonies().await?;
    let load = stage.load("leader-dies")?;
    let old = stage.cluster.ctl(0).status().await?.leader()?.to_owned();
    let leader = stage.cluster.index_of(&old)?;
    let survivor = (leader + 1) % stage.cluster.members().len();
    let plan = stage.plan(survivor, "0.1.0").await?;
    let (at, ctl) = stage.at(survivor);
    let at = at.to_owned();
    let id = ctl.start(&plan).await?;
    show.prompt(&at, &["rollout", "start", &plan.id]);
    let second_bakes = |rollout: &Rollout| rollout.nodes.get(1).is_some_and(|second| second.step == "baking");
    ctl.rollout_until(&id, "the second node bakes", second_bakes).await?;

    let at_work = plan.order()[1].to_owned();
    show.say(&format!("{old} leads the cluster, {at_work} bakes: kill -9 of the daemon on {old}"));
    stage.cluster.kill_daemon(leader)?;
    let new = wait::until("another node leads", ELECTION, async || {
        let status = ctl.status().await?;
        Ok(status.leader().ok().filter(|name| *name != old).map(str::to_owned))
    })
    .await?;
    show.say(&format!("{new} leads now"));
    // Where the killed daemon is the one at work, nobody else can judge that node.
    if at_work != old {
        ctl.rollout_until(&id, "the second node is done", |rollout| !second_bakes(rollout)).await?;
        show.witnessed(&format!("the rollout goes on without {old}"));
    }
    show.say(&format!("the daemon on {old} is started again"));
    stage.cluster.start_daemon(leader).await?;
    let code = show.follow(&at, &ctl, &["rollout", "watch", &id, "--timeout", "150s"]).await?;
    let rollout = ctl.rollout(&id).await?;
    let record = load.stop().await?;
    ended_as(&rollout, "completed")?;
    ensure!(code == 0, "the watch of a completed rollout exits with {code}");
    stage.cluster.settled().await?;
    show.run(&at, &ctl, &["cluster", "status"]).await?;

    let after = stage.testimonies().await?;
    let completed = after.iter().all(|testimony| testimony.info.version == "0.1.0");
    let mut twice = 0;
    for (before, after) in before.iter().zip(&after) {
        ensure!(before.is_same_life(after), "a VM was restarted");
        let (up, down) = after.code_changes_since(before);
        ensure!(down >= 1, "state was never migrated down");
        twice += up + down - 1;
    }
    stage.all_settled_on("0.1.0").await?;
    show.witnessed("the app: 0.1.0 answers on every node, code_change ran once on each, same boot nonces");
    stage.judge_load(&record)?;
    Ok(vec![
        Figure::exactly("leader_kill_rollout_completed", u64::from(completed), 1),
        Figure::exactly("steps_run_twice", twice, 0),
    ])
}
