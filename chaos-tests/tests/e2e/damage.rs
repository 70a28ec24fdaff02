//! Files of a release that somebody or some disk has harmed.

use crate::support::{Play, assert_says, bakes_for_long};
use chaos_tests::cluster::APP;
use chaos_tests::ctl::Rollout;
use chaos_tests::wait;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A restart, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn placed(play: &Play, file: &str) -> PathBuf {
    play.cluster.members()[0].state_dir().with_file_name("opt").join(APP).join(file)
}

async fn rolled(play: &Play, version: &str) -> (Rollout, String) {
    let ctl = play.ctl();
    let rollout = ctl.roll(APP, version).await.unwrap();
    let text = ctl.run(&["rollout", "show", &rollout.summary.id]).await.unwrap().stdout;
    (rollout, text)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_of_a_placed_release_is_put_back_and_what_is_other_is_named_before_anything_runs_of_it()
 {
    let play = Play::installed(1, &["0.1.0", "0.2.0"]).await;
    assert_eq!(rolled(&play, "0.2.0").await.0.summary.phase, "completed");

    let (missing, other) = (
        placed(&play, "lib/shop-0.1.0/ebin/shop_sup.beam"),
        placed(&play, "lib/shop-0.2.0/ebin/shop_sup.beam"),
    );
    let sound = fs::read(&other).unwrap();
    fs::remove_file(&missing).unwrap();
    let (rollout, text) = rolled(&play, "0.1.0").await;
    assert_eq!(rollout.summary.phase, "completed", "{text}");
    assert!(missing.exists());

    // Where it would go, and where it would go back to.
    for (harmed, version, remedy) in [(&other, "0.2.0", "delete"), (&missing, "0.1.0", "restore")] {
        let sound = fs::read(harmed).unwrap();
        fs::write(harmed, "harmed").unwrap();
        let (rollout, text) = rolled(&play, "0.2.0").await;
        assert_eq!(rollout.summary.phase, "refused", "{text}");
        assert_says(&text, &[&format!("lib/shop-{version}"), remedy]);
        fs::write(harmed, sound).unwrap();
    }
    assert_eq!(fs::read(&other).unwrap(), sound);
    // Of what runs, too: the way back boots by it.
    fs::remove_file(&missing).unwrap();
    let (rollout, text) = rolled(&play, "0.2.0").await;
    assert_eq!(rollout.summary.phase, "completed", "{text}");
    assert!(missing.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_finds_no_way_back_is_named_with_the_command_to_run() {
    let play = Play::installed(1, &["0.2.0", "0.3.0"]).await;
    play.apply(&bakes_for_long()).await;
    let ctl = play.ctl();
    let plan = ctl.plan(APP, "0.3.0").await.unwrap();
    let id = ctl.start(&plan).await.unwrap();
    ctl.rollout_until(&id, "the node bakes", |rollout| rollout.nodes[0].step == "baking").await.unwrap();

    // Neither the relup that leads back is there any more, nor what the old version boots by.
    fs::write(placed(&play, "releases/0.3.0/relup"), "no relup").unwrap();
    let boot = placed(&play, "releases/0.2.0/start.boot");
    let sound = fs::read(&boot).unwrap();
    fs::remove_file(&boot).unwrap();
    fs::write(play.cluster.sick_file(0), "").unwrap();
    let watched = ctl.try_run(&["rollout", "watch", &id]).await.unwrap();
    assert_eq!(watched.code, 4, "{}{}", watched.stdout, watched.stderr);
    let text = ctl.run(&["rollout", "show", &id]).await.unwrap().stdout;
    assert_says(
        &text,
        &["needs operator", "relup down failed", "restart back failed", "relupctl node repair n1 --app shop"],
    );

    fs::remove_file(play.cluster.sick_file(0)).unwrap();
    fs::write(&boot, sound).unwrap();
    ctl.run(&["node", "repair", "n1", "--app", APP]).await.unwrap();
    wait::until("the node is well on 0.2.0", PATIENCE, async || {
        let status = ctl.status().await?;
        let instance = status.instance("n1", APP)?;
        let is_well = instance.running == "0.2.0" && instance.permanent == "0.2.0";
        Ok((is_well && instance.health == "healthy" && instance.condition == "clean").then_some(()))
    })
    .await
    .unwrap();
}
