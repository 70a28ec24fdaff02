//! The Erlang driver against real VMs of the sample app.

mod erlang_support;

use erlang_support::{Host, Load, transition, vsn};
use relupd::driver::{CheckResult, Condition, DriverError, Method, ReleaseDriver, Rung, Running};
use relupd::service::{Service as _, ServiceState};
use std::time::Duration;

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
async fn a_trial_that_was_left_standing_is_ended_by_a_repair() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    host.driver.install(&transition("0.1.0", "0.2.0", Method::Hot)).await.unwrap();
    let decided = "0.1.0".parse().unwrap();
    for _ in 0..2 {
        host.driver.repair(Some(&decided)).await.unwrap();
    }
    assert_eq!(host.info()["version"], "0.1.0");
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
async fn torn_pointers_are_seen_and_written_again() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    for (file, content) in [
        ("../run/shop/trial", "13.1.5 0.2.0\n"),
        ("releases/start_erl.data", ""),
        ("releases/start_erl.data", "13.1.5 0.2.0"),
        ("releases/RELEASES", ""),
        ("bin/shop", "REL_VSN=\"0.2.0\"\n"),
    ] {
        let path = host.root().join(file);
        let sound = std::fs::read(&path).ok();
        std::fs::write(&path, content).unwrap();
        let condition = host.driver.observe().await.unwrap().condition;
        assert!(matches!(condition, Condition::TornPointers { .. }), "{file}: {condition:?}");
        host.driver.repair(Some(&vsn("0.1.0"))).await.unwrap();
        assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Clean, "{file}");
        assert_eq!(std::fs::read(&path).ok(), sound, "{file}");
    }
    // What a first commit writes last.
    let script = host.root().join("bin/shop");
    std::fs::remove_file(&script).unwrap();
    let condition = host.driver.observe().await.unwrap().condition;
    assert!(matches!(condition, Condition::TornPointers { .. }), "{condition:?}");
    host.driver.repair(Some(&vsn("0.1.0"))).await.unwrap();
    assert_eq!(host.driver.observe().await.unwrap().condition, Condition::Clean);
    assert!(script.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_book_is_rebuilt_from_the_placed_releases_under_the_running_vm() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let boot = host.info()["boot"].clone();
    let files = ["releases/RELEASES", "releases/start_erl.data"].map(|file| host.root().join(file));
    let sound = files.each_ref().map(|file| std::fs::read(file).unwrap());
    for lost in [true, false] {
        for file in &files {
            if lost { std::fs::remove_file(file).unwrap() } else { std::fs::write(file, "").unwrap() }
        }
        host.driver.repair(Some(&vsn("0.1.0"))).await.unwrap();
        let observed = host.driver.observe().await.unwrap();
        assert_eq!((observed.permanent, observed.condition), (Some(vsn("0.1.0")), Condition::Clean));
        assert_eq!(files.each_ref().map(|file| std::fs::read(file).unwrap()), sound);
    }
    assert_eq!(host.info()["boot"], boot);
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
    tokio::time::timeout(std::time::Duration::from_secs(10), up_again).await.unwrap().unwrap();
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
    assert!(answered > 100, "only {answered} requests were answered");
    let info = host.info();
    assert_eq!((&info["code_changes_up"], &info["code_changes_down"]), (&3.into(), &3.into()));
    assert_eq!(info["count"].as_u64(), Some(answered));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_install_that_fails_before_its_point_of_no_return_is_found_and_cured() {
    let host = Host::running("0.1.0").await;
    let boot = host.info()["boot"].clone();
    host.place("0.2.0").await;
    // The handler's own check runs what comes before the point of no return, too: this instruction
    // works once, for the check, and fails in the install, which has changed the environment by then.
    let relup = host.root().join("releases/0.2.0/relup");
    let sound = std::fs::read_to_string(&relup).unwrap();
    let failing = "{apply,{ets,new,[works_once,[named_table]]}},\n    point_of_no_return";
    std::fs::write(&relup, sound.replace("point_of_no_return", failing)).unwrap();
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    let error = host.driver.install(&up).await.unwrap_err();
    let observed = host.driver.observe().await.unwrap();
    assert!(matches!(error, DriverError::Failed { .. }), "{error}");
    assert!(matches!(observed.condition, Condition::HalfEnvironment { .. }), "{observed:?}");
    assert_eq!(host.info()["version"], "0.1.0");
    host.driver.roll_back(&up, Rung::Restart).await.unwrap();
    assert_ne!(host.info()["boot"], boot);
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.condition, observed.permanent), (Condition::Clean, Some(vsn("0.1.0"))));
    assert_eq!(host.info()["greeting"], "hello from 0.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn mixed_code_is_found_and_cured_by_a_restart() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    // A relup that forgets a module leaves its old code behind, and says ok.
    let relup = host.root().join("releases/0.2.0/relup");
    let sound = std::fs::read_to_string(&relup).unwrap();
    let forgetful = sound.replace("{load,{shop_routes,brutal_purge,brutal_purge}},", "");
    std::fs::write(&relup, forgetful).unwrap();
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    assert!(host.driver.install(&up).await.is_err());
    let observed = host.driver.observe().await.unwrap();
    assert!(matches!(observed.condition, Condition::MixedCode { .. }), "{observed:?}");
    assert!(matches!(observed.running, Running::Unknown { .. }), "{observed:?}");
    assert!(host.driver.commit(&up).await.is_err());
    host.driver.repair(Some(&vsn("0.1.0"))).await.unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.condition, observed.permanent), (Condition::Clean, Some(vsn("0.1.0"))));
    assert_eq!(host.info()["version"], "0.1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_believes_another_version_is_told_the_truth_under_the_running_vm() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    // The handler reads its book when it starts: here that of a host on which 0.2.0 is permanent.
    let book = host.root().join("releases/RELEASES");
    let sound = std::fs::read_to_string(&book).unwrap();
    let lie = sound.replace("permanent}", "old}").replace("unpacked}", "permanent}");
    assert_eq!(lie.matches("permanent}").count(), 1, "{sound}");
    host.driver.stop().await.unwrap();
    std::fs::write(&book, lie).unwrap();
    host.driver.start().await.unwrap();
    std::fs::write(&book, &sound).unwrap();
    let boot = host.info()["boot"].clone();
    let observed = host.driver.observe().await.unwrap();
    assert!(matches!(observed.condition, Condition::HandlerLies { .. }), "{observed:?}");

    host.driver.repair(Some(&vsn("0.1.0"))).await.unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert_eq!((observed.permanent, observed.condition), (Some(vsn("0.1.0")), Condition::Clean));
    assert_eq!((host.info()["version"].as_str(), &host.info()["boot"]), (Some("0.1.0"), &boot));
    assert_eq!(std::fs::read_to_string(&book).unwrap(), sound);
}

#[tokio::test(flavor = "multi_thread")]
async fn debris_of_an_interrupted_placing_is_named_and_replaced() {
    let host = Host::running("0.1.0").await;
    let torn = host.root().join("lib/shop-0.2.0/ebin");
    std::fs::create_dir_all(&torn).unwrap();
    std::fs::write(torn.join("shop_counter.beam"), "").unwrap();
    let observed = host.driver.observe().await.unwrap();
    assert!(matches!(&observed.condition, Condition::Debris { detail } if detail.contains("shop-0.2.0")));
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.driver.install(&up).await.unwrap();
    host.driver.verify(&up).await.unwrap();
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
        ("/relapse", "shop greeting has the old value"),
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

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_hangs_is_seen_within_one_limit_and_is_neither_up_nor_down() {
    let host = Host::with(|settings| settings.patience.observe = Duration::from_secs(1));
    host.first("0.1.0").await;
    let ServiceState::Running { pid, .. } = host.service.state("shop").await.unwrap() else { panic!() };
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(10), host.driver.observe()).await;
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    let Running::Unknown { reason } = seen.unwrap().unwrap().running else { panic!() };
    assert!(reason.contains("did not answer within 1s"), "{reason}");
    // An answer that is late is nobody's, and the next question has its own.
    let seen = host.driver.observe().await.unwrap();
    assert_eq!(seen.condition, Condition::Clean);
}
