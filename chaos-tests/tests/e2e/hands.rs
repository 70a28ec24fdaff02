//! What an operator may do to a rollout on its way.

use crate::support::{Play, quick};
use chaos_tests::cluster::{APP, SpecConfig};
use chaos_tests::ctl::Rollout;
use chaos_tests::witness::Testimony;

fn step_is(node: usize, step: &'static str) -> impl Fn(&Rollout) -> bool {
    move |rollout| rollout.nodes[node].step == step
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_waits_for_promotion_pauses_goes_on_and_is_aborted_back() {
    let spec = SpecConfig { promote: "manual", ..quick() };
    let play = Play::formed(3).await;
    // The first release waits for its promotion, too.
    for version in ["0.1.0", "0.2.0"] {
        let archive = play.samples.archive(version);
        play.ctl().run(&["release", "push", &archive.to_string_lossy()]).await.unwrap();
    }
    let path = play.cluster.write_spec(&spec).unwrap();
    play.ctl().run(&["app", "apply", &path.to_string_lossy()]).await.unwrap();
    let ctl = play.ctl();
    let plan = ctl.plan(APP, "0.1.0").await.unwrap();
    let id = ctl.start(&plan).await.unwrap();
    ctl.rollout_until(&id, "the canary is healthy", step_is(0, "healthy")).await.unwrap();
    ctl.run(&["rollout", "promote", &id]).await.unwrap();
    let first = ctl.watch_to_end(&id).await.unwrap();
    assert_eq!(first.summary.phase, "completed", "{}", first.summary.reason);
    for index in [0, 1, 2] {
        play.healthy(index).await.unwrap();
    }

    let before = Testimony::take_all(&play.cluster.apps()).await.unwrap();
    let plan = ctl.plan(APP, "0.2.0").await.unwrap();
    let id = ctl.start(&plan).await.unwrap();
    ctl.rollout_until(&id, "the canary is healthy", step_is(0, "healthy")).await.unwrap();
    let why = ctl.run(&["rollout", "why", &id]).await.unwrap().stdout;
    assert!(why.contains("promote"), "{why}");
    ctl.run(&["rollout", "pause", &id]).await.unwrap();
    ctl.run(&["rollout", "promote", &id]).await.unwrap();
    let why = ctl.run(&["rollout", "why", &id]).await.unwrap().stdout;
    assert!(why.contains("resume"), "{why}");
    ctl.run(&["rollout", "resume", &id]).await.unwrap();
    ctl.rollout_until(&id, "the second node bakes", step_is(1, "baking")).await.unwrap();
    ctl.run(&["rollout", "abort", &id, "--revert"]).await.unwrap();
    let ended = ctl.watch_to_end(&id).await.unwrap();
    assert_eq!(ended.summary.phase, "reverted", "{}", ended.summary.reason);
    let after = Testimony::take_all(&play.cluster.apps()).await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert!(before.is_same_life(after));
        assert_eq!(after.info.version, "0.1.0");
    }
    assert_eq!(after[2].code_changes_since(&before[2]), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_rollout_that_is_held_names_who_is_elsewhere_and_blocks_nothing() {
    let play = Play::installed(1, &["0.1.0", "0.2.0"]).await;
    let ctl = play.ctl();
    let plan = ctl.plan(APP, "0.2.0").await.unwrap();
    let id = ctl.start(&plan).await.unwrap();
    ctl.rollout_until(&id, "the node bakes", step_is(0, "baking")).await.unwrap();
    ctl.run(&["rollout", "abort", &id, "--hold"]).await.unwrap();
    let held = ctl.watch_to_end(&id).await.unwrap();
    assert_eq!(held.summary.phase, "held", "{}", held.summary.reason);
    let shown = ctl.run(&["rollout", "show", &id]).await.unwrap().stdout;
    assert!(shown.contains("n1"), "{shown}");
}
