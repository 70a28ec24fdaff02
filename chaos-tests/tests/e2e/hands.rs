//! What an operator may do to a rollout on its way.

use crate::support::{Play, bakes_for_a_while, bakes_for_long, quick};
use anyhow::ensure;
use chaos_tests::cluster::{APP, SpecConfig};
use chaos_tests::ctl::{Ctl, Rollout};
use chaos_tests::wait;
use chaos_tests::witness::Testimony;
use std::time::Duration;

/// Until whoever leads has written down what it decides next, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn step_is(node: usize, step: &'static str) -> impl Fn(&Rollout) -> bool {
    move |rollout| rollout.nodes[node].step == step
}

async fn until_why_says(ctl: &Ctl, id: &str, word: &str) {
    let what = format!("`rollout why` says {word}");
    let said = wait::until(&what, PATIENCE, async || {
        let why = ctl.run(&["rollout", "why", id]).await?.stdout;
        ensure!(why.contains(word), "{why}");
        Ok(Some(()))
    });
    said.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_waits_for_promotion_pauses_goes_on_and_is_aborted_back() {
    let play = Play::formed(3).await;
    // The first release waits for its promotion, too.
    for version in ["0.1.0", "0.2.0"] {
        let archive = play.samples.archive(version);
        play.ctl().run(&["release", "push", &archive.to_string_lossy()]).await.unwrap();
    }
    play.apply(&SpecConfig { promote: "manual", ..quick() }).await;
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

    play.apply(&SpecConfig { promote: "manual", ..bakes_for_a_while() }).await;
    let before = Testimony::take_all(&play.cluster.apps()).await.unwrap();
    let plan = ctl.plan(APP, "0.2.0").await.unwrap();
    let id = ctl.start(&plan).await.unwrap();
    ctl.rollout_until(&id, "the canary is healthy", step_is(0, "healthy")).await.unwrap();
    until_why_says(&ctl, &id, "promote").await;
    ctl.run(&["rollout", "pause", &id]).await.unwrap();
    ctl.run(&["rollout", "promote", &id]).await.unwrap();
    until_why_says(&ctl, &id, "resume").await;
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
    play.apply(&bakes_for_long()).await;
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
