//! Requests that take their time, processes that linger, and what an upgrade may cost.

use crate::support::{Play, assert_says, bakes_for_long, quick};
use chaos_tests::cluster::{APP, SpecConfig};
use chaos_tests::http::{self, Answer};
use chaos_tests::wait;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than a long request is at work.
const LONG: Duration = Duration::from_secs(240);

/// A long request on every node, each at work in the app's code until it is woken.
async fn at_work(play: &Play) -> Vec<JoinHandle<anyhow::Result<Answer>>> {
    let ask = |(_, app): (String, SocketAddr)| {
        tokio::spawn(async move { http::get_within(app, "/slow/long", LONG).await })
    };
    let asked = play.cluster.apps().into_iter().map(ask).collect();
    for (node, app) in play.cluster.apps() {
        let what = format!("{node} works at the long request");
        let works = wait::until(&what, PATIENCE, async || {
            let answer = http::get(app, "/slow").await?;
            Ok(answer.body.contains("\"at_work\":1").then_some(()))
        });
        works.await.unwrap();
    }
    asked
}

async fn wake(play: &Play) {
    for (_, app) in play.cluster.apps() {
        assert_eq!(http::get(app, "/wake/long").await.unwrap().status, 200);
    }
}

async fn answered_by(requests: Vec<JoinHandle<anyhow::Result<Answer>>>, version: &str) {
    for request in requests {
        let answer = request.await.unwrap().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_says(&answer.body, &[version]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_requests_outlive_up_commit_and_down() {
    let play = Play::installed(1, &["0.1.0", "0.2.0"]).await;
    let ctl = play.ctl();
    for (from, to) in [("0.1.0", "0.2.0"), ("0.2.0", "0.1.0")] {
        let requests = at_work(&play).await;
        let plan = ctl.plan(APP, to).await.unwrap();
        assert!(plan.steps.iter().all(|step| step.method == "hot"), "{plan:?}");
        let rollout = ctl.start(&plan).await.unwrap();
        let why = wait::until("`rollout why` names who is waited for", PATIENCE, async || {
            let why = ctl.run(&["rollout", "why", &rollout]).await?.stdout;
            Ok(why.contains("in shop_routes").then_some(why))
        });
        assert_says(&why.await.unwrap(), &["committing", "drains old code since"]);
        assert!(requests.iter().all(|request| !request.is_finished()));
        let shown = ctl.rollout(&rollout).await.unwrap();
        assert!(shown.nodes.iter().any(|node| node.detail.contains("still in old code")), "{shown:?}");

        wake(&play).await;
        let ended = ctl.watch_to_end(&rollout).await.unwrap();
        assert_eq!(ended.summary.phase, "completed", "{}", ended.summary.reason);
        answered_by(requests, from).await;
        for node in &ended.nodes {
            let measured = node.measured.as_ref().unwrap();
            assert_eq!((measured.suspended, measured.code_changes), (1, 1), "{measured:?}");
            assert!(measured.longest_suspend_us <= measured.took_us, "{measured:?}");
            assert!(node.checks.len() > 12 && node.checks.iter().all(|check| check.result == "passed"));
            assert_eq!(node.old_code, Vec::<String>::new());
        }
        play.healthy(0).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_request_outlives_a_trial_that_is_taken_back() {
    let play = Play::installed(1, &["0.1.0", "0.2.0"]).await;
    play.apply(&bakes_for_long()).await;
    let ctl = play.ctl();
    let requests = at_work(&play).await;
    let plan = ctl.plan(APP, "0.2.0").await.unwrap();
    let rollout = ctl.start(&plan).await.unwrap();
    let bakes = ctl.rollout_until(&rollout, "it bakes", |rollout| rollout.nodes[0].step == "baking");
    bakes.await.unwrap();
    ctl.run(&["rollout", "abort", &rollout]).await.unwrap();
    let turns = ctl.rollout_until(&rollout, "it turns back", |rollout| rollout.nodes[0].step == "reverting");
    turns.await.unwrap();
    assert!(requests.iter().all(|request| !request.is_finished()));
    wake(&play).await;
    let ended = ctl.watch_to_end(&rollout).await.unwrap();
    assert_eq!(ended.summary.phase, "reverted", "{}", ended.summary.reason);
    assert_says(&ended.nodes[0].detail, &["relup down"]);
    answered_by(requests, "0.1.0").await;
}

/// A rollout from 0.1.0 to 0.2.0 after this was asked of the app, which must not succeed; why not.
async fn refused(upgrade: &'static str, page: &str) -> String {
    let play = Play::installed_as(1, &["0.1.0", "0.2.0"], &SpecConfig { upgrade, ..quick() }).await;
    let (_, app) = play.cluster.apps().remove(0);
    assert_eq!(http::get(app, page).await.unwrap().status, 200);
    let ended = play.ctl().roll(APP, "0.2.0").await.unwrap();
    assert_eq!(ended.summary.phase, "reverted", "{}", ended.summary.reason);
    play.all_settled_on("0.1.0").await.unwrap();
    let shown = play.ctl().rollout(&ended.summary.id).await.unwrap();
    assert!(shown.nodes[0].checks.iter().any(|check| check.name == "P3"), "{shown:?}");
    ended.summary.reason
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lingers_in_old_code_ends_a_trial_where_the_policy_says_so() {
    let upgrade = "old_code = \"revert\"\nold_code_wait = \"2s\"";
    assert_says(&refused(upgrade, "/linger").await, &["old code after 2s", "shop_lingering", "shop_routes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lingers_in_old_code_is_killed_where_the_policy_says_so() {
    let upgrade = "old_code = \"kill\"\nold_code_wait = \"2s\"";
    let play = Play::installed_as(1, &["0.1.0", "0.2.0"], &SpecConfig { upgrade, ..quick() }).await;
    let (_, app) = play.cluster.apps().remove(0);
    http::get(app, "/linger").await.unwrap();
    let ended = play.ctl().roll(APP, "0.2.0").await.unwrap();
    assert_eq!(ended.summary.phase, "completed", "{}", ended.summary.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_suspended_a_process_for_too_long_is_taken_back() {
    let reason = refused("max_suspend = \"50ms\"", "/drowsy/200").await;
    assert_says(&reason, &["verification failed", "suspended for ", "max_suspend is 50ms"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_say_how_long_processes_were_suspended_is_not_committed_under_max_suspend() {
    assert_says(&refused("max_suspend = \"1s\"", "/trace").await, &["max_suspend is 1s", "not be measured"]);
}
