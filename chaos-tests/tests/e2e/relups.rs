//! Relups that the cluster makes for releases that were built without.

use crate::support::{Play, assert_says};
use chaos_tests::cluster::APP;
use chaos_tests::witness::Testimony;
use serde_json::Value;
use std::fs;

const APPUP: &str = "{\"0.4.0\", [{\"0.2.0\", [{load_module, shop_routes}]}], [{<<\"0\\\\.2\\\\..*\">>, [{load_module, shop_routes}]}]}.\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_relup_made_by_the_cluster_upgrades_hot_both_ways() {
    let play = Play::installed(1, &["0.2.0", "0.4.0"]).await;
    let ctl = play.ctl();
    let (_, app) = play.cluster.apps().remove(0);
    let before = Testimony::take(app).await.unwrap();
    let without: Value = ctl.json(&["release", "show", "0.4.0"]).await.unwrap();
    assert_eq!(without["up"], Value::Array(vec![]), "{without}");
    let make = ["release", "relup", "--from", "0.2.0", "--to", "0.4.0"];

    // Without an appup there is a template to start from, and nothing has changed.
    let missing = ctl.try_run(&make).await.unwrap();
    assert_ne!(missing.code, 0, "{missing:?}");
    assert_says(
        &format!("{}{}", missing.stdout, missing.stderr),
        &["shop", "no appup", "load_module, shop_routes"],
    );
    assert_eq!(ctl.json::<Value>(&["release", "show", "0.4.0"]).await.unwrap(), without);

    let appup = play.path().join("shop.appup");
    fs::write(&appup, APPUP).unwrap();
    ctl.run(&[&make[..], &["--appup", &appup.to_string_lossy()]].concat()).await.unwrap();
    let made: Value = ctl.json(&["release", "show", "0.4.0"]).await.unwrap();
    for direction in ["up", "down"] {
        assert_eq!(made[direction][0]["version"], "0.2.0", "{made}");
        assert_eq!(made[direction][0]["restarts_emulator"], false, "{made}");
    }
    let (old, new) = (&without["release"], &made["release"]);
    assert_ne!(old["manifest"], new["manifest"]);
    assert_eq!(new["pushed_manifest"], old["manifest"]);
    assert_eq!(new["relup_made_for"][0], "0.2.0");
    let text = ctl.run(&["release", "show", "0.4.0"]).await.unwrap().stdout;
    assert_says(&text, &["up from 0.2.0: hot", "made by the cluster for 0.2.0"]);

    for version in ["0.4.0", "0.2.0"] {
        let plan = ctl.plan(APP, version).await.unwrap();
        assert_eq!(plan.steps[0].method, "hot", "{plan:?}");
        let rolled = ctl.roll(APP, version).await.unwrap();
        assert_eq!(rolled.summary.phase, "completed", "{}", rolled.summary.reason);
        let after = Testimony::take(app).await.unwrap();
        assert!(after.is_same_life(&before));
        assert_eq!(after.info.version, version);
        play.healthy(0).await.unwrap();
    }
}
