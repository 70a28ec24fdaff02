//! What a plan knows before anything is started.

use crate::support::{Play, assert_says, quick};
use chaos_tests::cluster::{APP, SpecConfig};
use chaos_tests::ctl::{Ctl, Plan};
use chaos_tests::http;
use chaos_tests::wait;
use chaos_tests::witness::Testimony;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

fn root(play: &Play, node: &str) -> PathBuf {
    play.cluster.directory().join(node).join("opt/shop")
}

/// A plan for which these nodes and their apps have answered in time, however busy the machine is.
async fn plan(ctl: &Ctl, version: &str, nodes: Range<usize>) -> Plan {
    let answered = async || {
        let plan = ctl.plan(APP, version).await?;
        let passed =
            |node: usize, key| plan.steps[node].told(key).is_some_and(|check| check.result == "passed");
        // By the release's description, and by the living VM.
        let known = |node: usize| ["P2", "P9"].iter().all(|key| passed(node, key));
        Ok(nodes.clone().all(known).then_some(plan))
    };
    wait::until("nodes answer in time", Duration::from_secs(120), answered).await.unwrap()
}

/// What a node says to a check.
fn told<'p>(plan: &'p Plan, node: usize, key: &str) -> (&'p str, &'p str) {
    let check = plan.steps[node].told(key).unwrap_or_else(|| panic!("no {key} in {plan:?}"));
    (&check.result, &check.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_what_is_wrong_with_a_node_before_anything_is_touched() {
    let mut play = Play::installed(3, &["0.1.0", "0.2.0"]).await;
    let ctl = play.ctl();
    let apps = play.cluster.apps();
    let before = Testimony::take_all(&apps).await.unwrap();
    let names: Vec<String> = apps.iter().map(|(node, _)| node.clone()).collect();
    let libraries = root(&play, &names[1]).join("lib");
    fs::set_permissions(&libraries, fs::Permissions::from_mode(0o777)).unwrap();
    play.cluster.kill_daemon(2).unwrap();

    let plan = plan(&ctl, "0.2.0", 0..2).await;
    assert_eq!(plan.order(), names);
    assert_eq!(told(&plan, 0, "P8").0, "passed");
    let (result, reason) = told(&plan, 1, "P8");
    assert_eq!(result, "failed");
    assert_says(reason, &[&libraries.to_string_lossy(), "can be written by others"]);
    assert_says(&plan.steps[1].told("P8").unwrap().remedy, &["chmod go-w"]);
    for node in [0, 1] {
        // What rests on the release's description and on the living VM.
        for holds in ["P2", "P3b", "P6", "P9", "P11", "P12", "P13"] {
            assert_eq!(told(&plan, node, holds).0, "passed", "{plan:?}");
        }
        // What rests on its code, which nobody has fetched yet, is neither good nor bad.
        for unknown in ["P1", "P3", "P4", "P7", "P10", "P14"] {
            let (result, reason) = told(&plan, node, unknown);
            assert_eq!(result, "unknown", "{plan:?}");
            assert_says(reason, &["not known until prepared"]);
        }
    }
    let silent = plan.steps[2].preflight.as_ref().unwrap();
    assert!(silent.checks.is_empty(), "{plan:?}");
    assert_says(&silent.no_answer, &["did not answer"]);

    let text = ctl.run(&["plan", APP, "0.2.0"]).await.unwrap().stdout;
    assert_says(
        &text,
        &["P8 owner, permissions and space: failed", "chmod go-w", "P10: unknown", "did not answer"],
    );

    // Nothing of it was brought to any node, and nothing runs otherwise than before.
    assert_eq!(Testimony::take_all(&apps).await.unwrap(), before);
    for node in &names {
        assert!(!root(&play, node).join("releases/0.2.0").exists(), "{node}");
    }
    play.cluster.start_daemon(2).await.unwrap();
    fs::set_permissions(&libraries, fs::Permissions::from_mode(0o755)).unwrap();
    let ended = ctl.roll(APP, "0.2.0").await.unwrap();
    assert_eq!(ended.summary.phase, "completed", "{}", ended.summary.reason);
    let back = self::plan(&ctl, "0.1.0", 0..3).await;
    for step in &back.steps {
        let told = &step.preflight.as_ref().unwrap().checks;
        assert!(told.len() > 12 && told.iter().all(|check| check.result == "passed"), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_be_killed_by_a_hot_upgrade_is_named_before_the_release_is_fetched() {
    let upgrade = "method = \"hot\"";
    let play = Play::installed_as(1, &["0.1.0", "0.2.0"], &SpecConfig { upgrade, ..quick() }).await;
    let (ctl, (node, app)) = (play.ctl(), play.cluster.apps().remove(0));
    let sound = plan(&ctl, "0.2.0", 0..1).await;
    assert_eq!(told(&sound, 0, "P12").0, "passed");
    for page in ["/linger", "/reload"] {
        http::get(app, page).await.unwrap();
    }
    let named = async || {
        let plan = plan(&ctl, "0.2.0", 0..1).await;
        let (result, reason) = told(&plan, 0, "P12");
        assert_eq!(result, "not_hot");
        assert_says(reason, &["shop_lingering", "shop_routes"]);
        plan.steps[0].told("P10").unwrap().result.clone()
    };
    assert_eq!(named().await, "unknown");
    assert!(!root(&play, &node).join("releases/0.2.0").exists());
    let said = ctl.run(&["plan", APP, "0.2.0"]).await.unwrap().stdout;
    assert_says(&said, &["what the nodes say to it now", "P12 no process runs old code: not hot"]);

    // The rollout finds the same, and has placed the release by then: now everything is known.
    let ended = ctl.roll(APP, "0.2.0").await.unwrap();
    assert_eq!(ended.summary.phase, "refused", "{}", ended.summary.reason);
    assert_ne!(named().await, "unknown");
}
