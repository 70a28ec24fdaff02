//! The Erlang driver against real VMs of the sample app.

mod erlang_support;

use erlang_support::{Host, Load, transition, vsn};
use relupd::driver::{CheckResult, Condition, DriverError, Method, ReleaseDriver, Rung, Running};

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_upgrade_keeps_state_and_vm_and_survives_a_restart_once_committed() {
    let host = Host::running("0.1.0").await;
    let before = host.info();
    let count = host.bump();

    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.driver.install(&up).await.unwrap();
    host.driver.verify(&up).await.unwrap();

    let observed = host.driver.observe().await.unwrap();
    assert_eq!(observed.condition, Condition::Trial);
    assert_eq!(observed.permanent, Some(vsn("0.1.0")));
    assert_eq!(host.bump(), count + 1);
    let after = host.info();
    assert_eq!((&after["version"], &after["layout"]), (&"0.2.0".into(), &2.into()));
    assert_eq!((&after["boot"], &after["os_pid"]), (&before["boot"], &before["os_pid"]));
    assert_eq!(after["code_changes_up"], 1);
    assert_eq!(after["greeting"], "hello from 0.2.0");

    host.drained(&up).await;
    host.driver.commit(&up).await.unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert_eq!(observed.condition, Condition::Clean);
    assert_eq!(observed.permanent, Some(vsn("0.2.0")));
    assert_eq!(host.bump(), count + 2);

    host.driver.stop().await.unwrap();
    host.driver.start().await.unwrap();
    assert_eq!(host.info()["version"], "0.2.0");
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_may_be_repeated() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    for _ in 0..2 {
        host.driver.install(&up).await.unwrap();
        host.driver.verify(&up).await.unwrap();
        host.drained(&up).await;
    }
    for _ in 0..2 {
        host.driver.commit(&up).await.unwrap();
    }
    assert_eq!(host.info()["code_changes_up"], 1);
    for _ in 0..2 {
        host.driver.roll_back(&up, Rung::RelupDown).await.unwrap();
    }
    let info = host.info();
    assert_eq!((&info["version"], &info["code_changes_down"]), (&"0.1.0".into(), &1.into()));
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.permanent, observed.condition), (Some(vsn("0.1.0")), Condition::Clean));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_is_taken_back_hot() {
    let host = Host::running("0.1.0").await;
    let boot = host.info()["boot"].clone();
    let count = host.bump();
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.driver.install(&up).await.unwrap();
    host.driver.roll_back(&up, Rung::RelupDown).await.unwrap();
    let info = host.info();
    assert_eq!((&info["version"], &info["boot"], &info["layout"]), (&"0.1.0".into(), &boot, &1.into()));
    assert_eq!(host.bump(), count + 1);
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Clean);

    // And up again, and down by restart.
    let again = relupd::driver::Transition { operation: "test/again".to_owned(), ..up };
    host.driver.install(&again).await.unwrap();
    host.driver.roll_back(&again, Rung::Restart).await.unwrap();
    let info = host.info();
    assert_eq!(info["version"], "0.1.0");
    assert_ne!(info["boot"], boot);
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_code_change_ends_on_the_old_release_with_the_reason() {
    let host = Host::running("0.2.0").await;
    let boot = host.info()["boot"].clone();
    host.place("0.3.1").await;
    let up = transition("0.2.0", "0.3.1", Method::Hot);
    let error = host.driver.install(&up).await.unwrap_err();
    assert!(
        matches!(&error, DriverError::Failed { reason, .. } if reason.contains("cannot_migrate")),
        "{error}"
    );

    let observed = host.driver.observe().await.unwrap();
    assert!(
        matches!(&observed.running, Running::Up { version, .. } if version == &vsn("0.2.0")),
        "{observed:?}"
    );
    assert_eq!(observed.condition, Condition::Clean);
    assert_ne!(host.info()["boot"], boot);
    // The gentlest rung finds nothing left to do.
    host.driver.roll_back(&up, Rung::RelupDown).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_killed_on_trial_boots_the_old_version() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.driver.install(&up).await.unwrap();
    host.driver.stop().await.unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.running, observed.condition), (Running::Down, Condition::Stopped));
    host.driver.start().await.unwrap();
    assert_eq!(host.info()["version"], "0.1.0");
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_relup_is_refused_before_anything_changes() {
    let host = Host::running("0.2.0").await;
    let before = host.info();
    host.place("0.4.0").await;
    let error = host.driver.install(&transition("0.2.0", "0.4.0", Method::Hot)).await.unwrap_err();
    assert!(matches!(error, DriverError::Refused { .. }), "{error}");
    assert_eq!(host.info(), before);
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_a_trial_too() {
    let host = Host::running("0.2.0").await;
    host.place("0.4.0").await;
    let over = transition("0.2.0", "0.4.0", Method::Restart);
    host.driver.install(&over).await.unwrap();
    host.driver.verify(&over).await.unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.permanent, observed.condition), (Some(vsn("0.2.0")), Condition::Trial));
    assert_eq!(host.info()["version"], "0.4.0");

    host.driver.roll_back(&over, Rung::Restart).await.unwrap();
    assert_eq!(host.info()["version"], "0.2.0");

    host.driver.install(&over).await.unwrap();
    host.drained(&over).await;
    host.driver.commit(&over).await.unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.permanent, observed.condition), (Some(vsn("0.4.0")), Condition::Clean));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_installation_can_be_taken_away_whole() {
    let host = Host::new();
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Absent);
    host.place("0.1.0").await;
    let first = relupd::driver::Transition { from: None, ..transition("0.1.0", "0.1.0", Method::First) };
    host.driver.install(&first).await.unwrap();
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Trial);
    host.driver.roll_back(&first, Rung::Unplace).await.unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.running, observed.condition), (Running::Down, Condition::Absent));
    assert!(!host.root().join("lib/shop-0.1.0").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_comes_back_after_the_daemon_did() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.driver.install(&up).await.unwrap();
    let boot = host.info()["boot"].clone();
    let host = host.reopen();
    let mut liveness = host.driver.liveness();
    let up_again = liveness.wait_for(|liveness| matches!(liveness, relupd::driver::Liveness::Up { .. }));
    tokio::time::timeout(std::time::Duration::from_secs(60), up_again).await.unwrap().unwrap();
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Trial);
    // The operation has been done: asking again attaches to it.
    host.driver.install(&up).await.unwrap();
    host.driver.commit(&up).await.unwrap();
    let info = host.info();
    assert_eq!((&info["boot"], &info["code_changes_up"]), (&boot, &1.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_versions_change_hot() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let load = Load::start(host.port);
    for round in 0..3 {
        let up = relupd::driver::Transition {
            operation: format!("test/round-{round}"),
            ..transition("0.1.0", "0.2.0", Method::Hot)
        };
        host.driver.install(&up).await.unwrap();
        host.driver.verify(&up).await.unwrap();
        host.drained(&up).await;
        host.driver.commit(&up).await.unwrap();
        host.driver.roll_back(&up, Rung::RelupDown).await.unwrap();
    }
    let (answered, failures) = load.stop();
    assert!(failures.is_empty(), "{failures:?}");
    assert!(answered > 0, "no request was answered");
    let info = host.info();
    assert_eq!((&info["code_changes_up"], &info["code_changes_down"]), (&3.into(), &3.into()));
    assert_eq!(info["count"].as_u64(), Some(answered));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_library_is_never_replaced_by_another_of_its_name() {
    let host = Host::running("0.1.0").await;
    let staged = host.stage("0.2.0");
    let stdlib = std::fs::read_dir(staged.tree.join("lib")).unwrap().map(|entry| entry.unwrap().path());
    let stdlib = stdlib.into_iter().find(|path| path.to_string_lossy().contains("stdlib-")).unwrap();
    std::fs::write(stdlib.join("ebin/lists.beam"), "another").unwrap();
    let error = host.driver.place(&staged).await.unwrap_err();
    assert!(matches!(&error, DriverError::Refused { reason, .. } if reason.contains("stdlib-")), "{error}");
    assert!(!host.driver.is_placed(&staged.version, &staged.manifest).await.unwrap());
    host.driver.repair(Some(&vsn("0.1.0"))).await.unwrap();
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_way_down_is_hot_and_can_be_taken_back_hot() {
    let host = Host::running("0.1.0").await;
    let boot = host.info()["boot"].clone();
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.driver.install(&up).await.unwrap();
    host.driver.commit(&up).await.unwrap();

    let down = transition("0.2.0", "0.1.0", Method::Hot);
    let checks = host.driver.preflight(&down).await.unwrap();
    assert!(checks.iter().all(|check| check.result == CheckResult::Passed), "{checks:#?}");
    host.driver.install(&down).await.unwrap();
    host.driver.verify(&down).await.unwrap();
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Trial);
    assert_eq!(host.info()["layout"], 1);
    host.driver.roll_back(&down, Rung::RelupDown).await.unwrap();
    let info = host.info();
    assert_eq!((&info["version"], &info["boot"]), (&"0.2.0".into(), &boot));
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.condition, observed.permanent), (Condition::Clean, Some(vsn("0.2.0"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_without_its_applications_or_environment_is_not_verified() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.driver.install(&up).await.unwrap();
    host.driver.verify(&up).await.unwrap();
    for (what, expected) in [
        ("/relapse", "shop greeting has the value of the other version"),
        ("/forget", "shop greeting is not set"),
        ("/quit", "applications of the release do not run: shop"),
    ] {
        host.get(what).unwrap();
        let verified = host.driver.verify(&up);
        let mut error = verified.await;
        // The application stops a moment after it has answered.
        while what == "/quit" && !format!("{error:?}").contains("do not run") {
            error = host.driver.verify(&up).await;
        }
        let text = error.unwrap_err().to_string();
        assert!(text.contains(expected), "{what}: {text}");
    }
}
