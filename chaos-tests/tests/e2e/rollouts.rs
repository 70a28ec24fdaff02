//! The demo's scenes, as tests.

use crate::support::{Play, bakes_for_a_while};
use chaos_tests::report::{Figure, Report};
use chaos_tests::scenes::{code_change_crashes, falls_ill, form, hot, leader_dies};

#[track_caller]
fn assert_observed(figures: Vec<Figure>) {
    let mut report = Report::default();
    report.extend(figures);
    assert!(report.observed(), "{}", report.table());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_rollout_fails_no_request_loses_no_count_and_restarts_no_vm() {
    let play = Play::installed(3, &["0.1.0", "0.2.0"]).await;
    assert_observed(hot::play(&play).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_falls_ill_goes_back_hot_and_never_comes_to_the_third_node() {
    let play = Play::installed(3, &["0.2.0", "0.3.0"]).await;
    assert_observed(falls_ill::play(&play).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_change_that_crashes_leaves_every_node_on_the_old_release() {
    let play = Play::installed(3, &["0.2.0", "0.3.1"]).await;
    assert_observed(code_change_crashes::play(&play).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_may_die_in_the_middle_of_a_rollout() {
    let mut play = Play::installed(3, &["0.2.0", "0.1.0"]).await;
    play.apply(&bakes_for_a_while()).await;
    assert_observed(leader_dies::play(&mut play).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_daemons_become_three_voters_and_a_token_is_good_once() {
    let mut play = Play::prepared(3).await;
    form::play(&mut play).await.unwrap();
}
