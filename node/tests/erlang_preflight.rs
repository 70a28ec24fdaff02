//! What preflight says of real releases, sound and sabotaged.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod erlang_support;

use erlang_support::{Host, transition};
use relupd::driver::{AppUser, Check, CheckResult, Method, ReleaseDriver, Transition};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

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
    match &checks.iter().find(|check| check.key() == key).unwrap().result {
        CheckResult::NotHot { reason, .. } | CheckResult::Failed { reason, .. } => reason,
        CheckResult::Passed | CheckResult::Warning { .. } => panic!("{key} holds: {checks:#?}"),
    }
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
        (relup, Box::new(|text: String| without_way_back(&text)), ("P3b", true)),
        ("lib/shop-0.2.0/ebin/shop_counter.beam", Box::new(|_| String::new()), ("P3", true)),
        ("releases/0.2.0/sys.config", Box::new(|_| "[{shop, [}]".to_owned()), ("P5", false)),
        ("releases/0.1.0/sys.config", Box::new(|_| "[{shop, [}]".to_owned()), ("P5", false)),
        ("releases/start_erl.data", Box::new(|_| String::new()), ("P6", false)),
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
async fn what_this_host_does_not_have_is_named_before_anything_runs() {
    let host = Host::new();
    host.place("0.1.0").await;
    let first = Transition { from: None, ..transition("0.1.0", "0.1.0", Method::First) };
    assert_eq!(verdict(&host.driver.preflight(&first).await.unwrap()), None);

    let erts = fs::read_dir(host.root()).unwrap().map(|entry| entry.unwrap().path());
    let erts = erts.into_iter().find(|path| path.to_string_lossy().contains("/erts-")).unwrap();
    for (from, to, expected) in [
        (&b"GLIBC_2.3"[..], &b"GLIBC_9.3"[..], "lacks GLIBC_9.3"),
        (&b"libc.so.6\0"[..], &b"libq.so.6\0"[..], "libq.so.6 is not on this host"),
    ] {
        let program = erts.join("bin/epmd");
        let sound = fs::read(&program).unwrap();
        fs::write(&program, replaced(&sound, from, to)).unwrap();
        let checks = host.driver.preflight(&first).await.unwrap();
        fs::write(&program, &sound).unwrap();
        assert_eq!(verdict(&checks), Some(("P7", false)), "{checks:#?}");
        assert!(reason_of(&checks, "P7").contains(expected), "{checks:#?}");
    }

    // Its libraries are all here, and it starts nothing.
    let vm = erts.join("bin/beam.smp");
    let sound = fs::read(&vm).unwrap();
    fs::write(&vm, "#!/bin/sh\necho broken >&2\nexit 3\n").unwrap();
    let checks = host.driver.preflight(&first).await.unwrap();
    fs::write(&vm, &sound).unwrap();
    assert_eq!(verdict(&checks), Some(("P14", false)), "{checks:#?}");
    assert!(reason_of(&checks, "P14").contains("broken"), "{checks:#?}");
    assert!(has_remedy(&checks));
}

/// Every occurrence replaced by something as long.
fn replaced(content: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut edited = content.to_vec();
    let places: Vec<usize> = (0..content.len()).filter(|at| content[*at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        edited[at..at + to.len()].copy_from_slice(to);
    }
    edited
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_apps_user_cannot_read_or_others_can_write_is_refused() {
    let host = Host::for_user(Some(AppUser { name: "nobody".to_owned(), uid: 65534, gid: 65534 }));
    host.place("0.1.0").await;
    let first = Transition { from: None, ..transition("0.1.0", "0.1.0", Method::First) };
    for (path, mode, expected) in [
        ("lib", 0o777, "can be written by others"),
        ("lib/shop-0.1.0", 0o700, "cannot be read by the app's user nobody"),
        ("releases/0.1.0/sys.config", 0o600, "cannot be read by the app's user nobody"),
    ] {
        let path = host.root().join(path);
        let sound = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let checks = host.driver.preflight(&first).await.unwrap();
        fs::set_permissions(&path, sound).unwrap();
        assert!(reason_of(&checks, "P8").contains(expected), "{checks:#?}");
        assert!(has_remedy(&checks));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn required_hardening_that_a_program_lacks_is_refused() {
    let host = Host::with(|settings| settings.required_hardening = BTreeSet::from(["pie".to_owned()]));
    host.place("0.1.0").await;
    let first = Transition { from: None, ..transition("0.1.0", "0.1.0", Method::First) };
    assert_eq!(verdict(&host.driver.preflight(&first).await.unwrap()), None, "Debian builds all of it PIE");

    let host =
        Host::with(|settings| settings.required_hardening = BTreeSet::from(["immediate-binding".to_owned()]));
    host.place("0.1.0").await;
    let checks = host.driver.preflight(&first).await.unwrap();
    assert_eq!(verdict(&checks), Some(("P15", false)), "{checks:#?}");
    assert!(reason_of(&checks, "P15").contains("lacks immediate-binding"), "{checks:#?}");
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
