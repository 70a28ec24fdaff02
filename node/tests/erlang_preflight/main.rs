//! What preflight says of real releases, sound and sabotaged.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../erlang_support/mod.rs"]
mod erlang_support;
mod foresee;
mod on_this_host;

use erlang_support::{Host, transition};
use relupd::driver::{Check, CheckResult, Method, ReleaseDriver};
use std::fs;
use std::process::Command;

/// The first check that did not pass, and whether the release could still go by restart.
fn verdict(checks: &[Check]) -> Option<(&str, bool)> {
    let number = |check: &'_ Check| check.name.find(' ').unwrap_or(check.name.len());
    checks.iter().find_map(|check| match &check.result {
        CheckResult::Passed | CheckResult::Warning { .. } => None,
        CheckResult::NotHot { .. } => Some((&check.name[..number(check)], true)),
        CheckResult::Failed { .. } => Some((&check.name[..number(check)], false)),
    })
}

/// The relup's second version is the one that its way back leads to.
fn without_way_back(relup: &str) -> String {
    let (there, back) = relup.rsplit_once("{\"0.1.0\"").unwrap();
    format!("{there}{{\"0.0.9\"{back}")
}

/// Whether everything that does not hold says what to do about it.
fn has_remedy(checks: &[Check]) -> bool {
    checks.iter().all(|check| match &check.result {
        CheckResult::Passed | CheckResult::Warning { .. } => true,
        CheckResult::NotHot { remedy, .. } | CheckResult::Failed { remedy, .. } => !remedy.is_empty(),
    })
}

fn reason_of<'c>(checks: &'c [Check], key: &str) -> &'c str {
    let reason = checks.iter().filter(|check| check.key() == key).find_map(|check| match &check.result {
        CheckResult::NotHot { reason, .. } | CheckResult::Failed { reason, .. } => Some(reason.as_str()),
        CheckResult::Passed | CheckResult::Warning { .. } => None,
    });
    reason.unwrap_or_else(|| panic!("{key} holds: {checks:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_release_passes_every_check_and_nothing_changes() {
    let host = Host::running("0.1.0").await;
    let before = (host.info(), host.driver.observe().await.unwrap());
    host.place("0.2.0").await;
    let checks = host.driver.preflight(&transition("0.1.0", "0.2.0", Method::Hot)).await.unwrap();
    assert_eq!(verdict(&checks), None, "{checks:#?}");
    for check in [
        "P1 ", "P2 ", "P3 ", "P3b ", "P4 ", "P5 ", "P6 ", "P7 ", "P8 ", "P9 ", "P10 ", "P11 ", "P12 ",
        "P13 ", "P14 ",
    ] {
        assert!(checks.iter().any(|found| found.name.starts_with(check)), "{check} in {checks:#?}");
    }
    assert_eq!((host.info(), host.driver.observe().await.unwrap()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_without_relup_may_go_by_restart_only() {
    let host = Host::running("0.2.0").await;
    host.place("0.4.0").await;
    let hot = host.driver.preflight(&transition("0.2.0", "0.4.0", Method::Hot)).await.unwrap();
    assert_eq!(verdict(&hot), Some(("P3", true)), "{hot:#?}");
    let restart = host.driver.preflight(&transition("0.2.0", "0.4.0", Method::Restart)).await.unwrap();
    assert_eq!(verdict(&restart), None, "{restart:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sabotage_is_named_by_the_check_that_is_for_it() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    let relup = "releases/0.2.0/relup";
    let without = |from: &'static str, to: &'static str| move |text: String| text.replace(from, to);
    type Edit = Box<dyn Fn(String) -> String>;
    let cases: Vec<(&str, Edit, (&str, bool))> = vec![
        (relup, Box::new(|_| String::new()), ("P3", true)),
        (relup, Box::new(without("point_of_no_return", "restart_new_emulator")), ("P3", true)),
        (relup, Box::new(without("{resume,[shop_counter]}", "{undress,shop_counter}")), ("P3", true)),
        (relup, Box::new(without("{load,{shop_routes,brutal_purge,brutal_purge}},", "")), ("P4", true)),
        (relup, Box::new(|text: String| text.replacen("\"0.1.0\"", "\"0.0.9\"", 1)), ("P3", true)),
        (relup, Box::new(|text: String| without_way_back(&text)), ("P3b", false)),
        ("lib/shop-0.2.0/ebin/shop_counter.beam", Box::new(|_| String::new()), ("P3", true)),
        ("releases/0.2.0/sys.config", Box::new(|_| "[{shop, [}]".to_owned()), ("P5", false)),
        ("releases/0.1.0/sys.config", Box::new(|_| "[{shop, [}]".to_owned()), ("P5", false)),
        ("releases/start_erl.data", Box::new(|_| String::new()), ("P6", false)),
        ("releases/start_erl.data", Box::new(without("0.1.0", "0.2.0")), ("P6", false)),
        ("releases/RELEASES", Box::new(without("permanent", "unpacked")), ("P6", false)),
        ("bin/shop", Box::new(|_| "REL_VSN=\"0.2.0\"\n".to_owned()), ("P6", false)),
    ];
    for (file, edit, expected) in cases {
        let path = host.root().join(file);
        let sound = fs::read(&path).unwrap();
        let edited = edit(String::from_utf8_lossy(&sound).into_owned());
        assert_ne!(edited.as_bytes(), sound, "{file} was not edited");
        fs::write(&path, edited).unwrap();
        let checks = host.driver.preflight(&up).await.unwrap();
        fs::write(&path, sound).unwrap();
        assert_eq!(verdict(&checks), Some(expected), "{file}: {checks:#?}");
        assert!(has_remedy(&checks), "{checks:#?}");
    }
    assert_eq!(verdict(&host.driver.preflight(&up).await.unwrap()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_book_is_no_place_to_go_from() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let reason = edited(&host, "releases/RELEASES", |text| text[..text.len() / 2].to_owned(), "P6").await;
    assert!(reason.contains("RELEASES"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_do_not_answer_or_linger_in_old_code_are_listed() {
    let host = Host::running("0.1.0").await;
    host.get("/linger").unwrap();
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);

    host.get("/freeze").unwrap();
    let checks = host.driver.preflight(&up).await.unwrap();
    assert_eq!(verdict(&checks), Some(("P11", true)), "{checks:#?}");
    assert!(reason_of(&checks, "P11").contains("shop_counter: suspended"), "{checks:#?}");
    host.get("/thaw").unwrap();

    host.place("0.3.0").await;
    host.driver.install(&up).await.unwrap();
    let next = transition("0.2.0", "0.3.0", Method::Hot);
    let checks = host.driver.preflight(&next).await.unwrap();
    assert_eq!(verdict(&checks), Some(("P13", false)), "{checks:#?}");
    assert!(reason_of(&checks, "P13").contains("0.2.0 runs on trial"), "{checks:#?}");

    // Nobody drained: who lingers would be killed by the next load.
    host.driver.commit(&up).await.unwrap();
    let checks = host.driver.preflight(&next).await.unwrap();
    assert_eq!(verdict(&checks), Some(("P12", true)), "{checks:#?}");
    assert!(reason_of(&checks, "P12").contains("shop_lingering"), "{checks:#?}");
    assert!(has_remedy(&checks));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_could_not_be_booted_as_it_is_configured_is_refused() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Restart);
    let release = host.root().join("releases/0.2.0");
    for (from, to, expected) in [
        ("sys.config", "sys.config.src", "sys.config.src only"),
        ("sys.config", "aside", "sys.config is missing"),
        ("vm.args", "vm.args.src", "vm.args.src only"),
        ("start.boot", "aside", "has no start.boot"),
    ] {
        fs::rename(release.join(from), release.join(to)).unwrap();
        let checks = host.driver.preflight(&up).await.unwrap();
        fs::rename(release.join(to), release.join(from)).unwrap();
        assert_eq!(verdict(&checks), Some(("P5", false)), "{checks:#?}");
        assert!(reason_of(&checks, "P5").contains(expected), "{checks:#?}");
        assert!(has_remedy(&checks));
    }
    assert_eq!(verdict(&host.driver.preflight(&up).await.unwrap()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relup_that_replaces_native_code_is_no_hot_upgrade() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    let source = host.directory.path().join("shop_routes.erl");
    let native = "-module(shop_routes).\n-export([load/0]).\nload() -> erlang:load_nif(\"priv/x\", 0).\n";
    fs::write(&source, native).unwrap();
    let ebin = host.root().join("lib/shop-0.2.0/ebin");
    let sound = fs::read(ebin.join("shop_routes.beam")).unwrap();
    let compiled = Command::new("erlc").arg("-o").arg(&ebin).arg(&source).status().unwrap();
    assert!(compiled.success());
    let checks = host.driver.preflight(&up).await.unwrap();
    fs::write(ebin.join("shop_routes.beam"), sound).unwrap();
    assert_eq!(verdict(&checks), Some(("P7b", true)), "{checks:#?}");
    assert!(reason_of(&checks, "P7b").contains("shop_routes"), "{checks:#?}");
    assert!(has_remedy(&checks));
    assert_eq!(verdict(&host.driver.preflight(&up).await.unwrap()), None);
}

/// What a check of this edited file says, and that it says nothing of the kind without the edit.
async fn edited(host: &Host, file: &str, edit: impl FnOnce(String) -> String, key: &str) -> String {
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    let path = host.root().join(file);
    let sound = fs::read_to_string(&path).unwrap();
    let sabotaged = edit(sound.clone());
    assert_ne!(sabotaged, sound, "{file} was not edited");
    fs::write(&path, sabotaged).unwrap();
    let checks = host.driver.preflight(&up).await.unwrap();
    fs::write(&path, sound).unwrap();
    assert!(has_remedy(&checks), "{checks:#?}");
    assert_eq!(verdict(&host.driver.preflight(&up).await.unwrap()), None);
    reason_of(&checks, key).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_not_there_or_not_whole_is_refused() {
    let host = Host::running("0.1.0").await;
    let checks = host.driver.preflight(&transition("0.1.0", "0.2.0", Method::Hot)).await.unwrap();
    assert_eq!(verdict(&checks), Some(("P1", false)), "{checks:#?}");
    assert!(reason_of(&checks, "P1").contains("0.2.0 is not registered"), "{checks:#?}");
    host.place("0.2.0").await;
    for missing in ["lib/shop-0.2.0", "releases/0.2.0"] {
        let (path, aside) = (host.root().join(missing), host.directory.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        for method in [Method::Hot, Method::Restart] {
            let checks = host.driver.preflight(&transition("0.1.0", "0.2.0", method)).await.unwrap();
            assert_eq!(verdict(&checks), Some(("P1", false)), "{checks:#?}");
            assert!(reason_of(&checks, "P1").contains(missing), "{checks:#?}");
            assert!(has_remedy(&checks));
        }
        fs::rename(&aside, &path).unwrap();
    }
    let checks = host.driver.preflight(&transition("0.1.0", "0.2.0", Method::Hot)).await.unwrap();
    assert_eq!(verdict(&checks), None, "{checks:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_runtime_system_is_no_hot_upgrade() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let erts = fs::read_dir(host.root()).unwrap().map(|entry| entry.unwrap().file_name());
    let erts = erts.map(|name| name.into_string().unwrap()).find(|name| name.starts_with("erts-")).unwrap();
    let version = erts.strip_prefix("erts-").unwrap().to_owned();
    std::os::unix::fs::symlink(host.root().join(&erts), host.root().join("erts-99.0")).unwrap();
    let newer = |book: String| {
        let (before, after) = book.split_once("\"0.2.0\"").unwrap();
        format!("{before}\"0.2.0\"{}", after.replacen(&version, "99.0", 1))
    };
    let reason = edited(&host, "releases/RELEASES", newer, "P2").await;
    assert!(reason.contains("99.0") && reason.contains(&version), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_app_or_its_release_handler_there_is_no_hot_upgrade() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    host.get("/unhand").unwrap();
    let checks = host.driver.preflight(&up).await.unwrap();
    assert!(reason_of(&checks, "P9").contains("no release handler"), "{checks:#?}");
    assert!(has_remedy(&checks));
    host.driver.stop().await.unwrap();
    let checks = host.driver.preflight(&up).await.unwrap();
    assert!(reason_of(&checks, "P9").contains("does not run"), "{checks:#?}");
    assert!(has_remedy(&checks));
    let restart = host.driver.preflight(&transition("0.1.0", "0.2.0", Method::Restart)).await.unwrap();
    assert_eq!(verdict(&restart), None, "{restart:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_release_handler_itself_refuses_is_said_in_its_words() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    // OTP carries out what comes before the point of no return, to see whether it works.
    let fails = |relup: String| {
        relup.replacen("point_of_no_return", "{apply,{erlang,error,[sabotage]}},point_of_no_return", 1)
    };
    let reason = edited(&host, "releases/0.2.0/relup", fails, "P10").await;
    assert!(reason.contains("sabotage"), "{reason}");
    // It waits for nobody who runs old code where the relup purges softly.
    let soft = |relup: String| relup.replace("brutal_purge,brutal_purge", "soft_purge,brutal_purge");
    host.get("/linger").unwrap();
    host.get("/reload").unwrap();
    let path = host.root().join("releases/0.2.0/relup");
    let sound = fs::read_to_string(&path).unwrap();
    fs::write(&path, soft(sound)).unwrap();
    let checks = host.driver.preflight(&transition("0.1.0", "0.2.0", Method::Hot)).await.unwrap();
    assert_eq!(verdict(&checks), Some(("P10", true)), "{checks:#?}");
    assert!(reason_of(&checks, "P10").contains("shop_routes"), "{checks:#?}");
    assert!(has_remedy(&checks));
}
