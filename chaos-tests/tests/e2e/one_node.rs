//! A cluster of one is a cluster.

use crate::support::Play;
use chaos_tests::cluster::APP;
use chaos_tests::wait;
use chaos_tests::witness::Testimony;
use std::fs;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_one_installs_upgrades_hot_restarts_and_goes_back() {
    let play = Play::installed(1, &["0.1.0", "0.2.0", "0.3.0", "0.4.0"]).await;
    let (_, app) = play.cluster.apps().remove(0);
    let first = Testimony::take(app).await.unwrap();

    let up = play.ctl().roll(APP, "0.2.0").await.unwrap();
    assert_eq!(up.summary.phase, "completed", "{}", up.summary.reason);
    let hot = Testimony::take(app).await.unwrap();
    assert!(hot.is_same_life(&first));
    assert_eq!((hot.info.version.as_str(), hot.code_changes_since(&first)), ("0.2.0", (1, 0)));

    play.healthy(0).await.unwrap();
    fs::write(play.cluster.sick_file(0), "").unwrap();
    let sick = play.ctl().roll(APP, "0.3.0").await.unwrap();
    assert_eq!(sick.summary.phase, "reverted", "{}", sick.summary.reason);
    let back = Testimony::take(app).await.unwrap();
    assert!(back.is_same_life(&first));
    assert_eq!((back.info.version.as_str(), back.code_changes_since(&first)), ("0.2.0", (2, 1)));

    // 0.4.0 has no relup.
    play.healthy(0).await.unwrap();
    let restart = play.ctl().roll(APP, "0.4.0").await.unwrap();
    assert_eq!(restart.summary.phase, "completed", "{}", restart.summary.reason);
    let anew = Testimony::take(app).await.unwrap();
    assert!(!anew.is_same_life(&first));
    assert_eq!(anew.info.version, "0.4.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_or_stopping_a_daemon_never_stops_its_app() {
    let mut play = Play::installed(1, &["0.1.0", "0.2.0"]).await;
    let (_, app) = play.cluster.apps().remove(0);
    let before = Testimony::take(app).await.unwrap();
    play.cluster.kill_daemon(0).unwrap();
    assert!(Testimony::take(app).await.unwrap().is_same_life(&before));
    play.cluster.start_daemon(0).await.unwrap();
    play.cluster.stop_daemon(0).await.unwrap();
    assert!(Testimony::take(app).await.unwrap().is_same_life(&before));
    play.cluster.start_daemon(0).await.unwrap();
    play.healthy(0).await.unwrap();
    assert!(Testimony::take(app).await.unwrap().is_same_life(&before));

    // The link is back, too: the same VM is upgraded.
    let up = play.ctl().roll(APP, "0.2.0").await.unwrap();
    assert_eq!(up.summary.phase, "completed", "{}", up.summary.reason);
    let after = Testimony::take(app).await.unwrap();
    assert!(after.is_same_life(&before));
    assert_eq!(after.info.version, "0.2.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_stops_and_starts_on_an_operators_word() {
    let play = Play::installed(1, &["0.1.0"]).await;
    let (_, app) = play.cluster.apps().remove(0);
    let before = Testimony::take(app).await.unwrap();
    play.ctl().run(&["app", "stop", APP]).await.unwrap();
    wait::until("the app is gone", Duration::from_secs(30), async || {
        Ok((!before.process.is_alive()).then_some(()))
    })
    .await
    .unwrap();
    play.ctl().run(&["app", "start", APP]).await.unwrap();
    Testimony::of_version(app, "0.1.0", Duration::from_secs(30)).await.unwrap();
}
