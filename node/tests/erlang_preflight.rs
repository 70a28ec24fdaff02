//! What preflight says of real releases, sound and sabotaged.

mod erlang_support;

use erlang_support::{Host, transition};
use relupd::driver::{Check, CheckResult, Method, ReleaseDriver};
use std::fs;

/// The first check that did not pass, and whether the release could still go by restart.
fn verdict(checks: &[Check]) -> Option<(&str, bool)> {
    let number = |check: &'_ Check| check.name.find(' ').unwrap_or(check.name.len());
    checks.iter().find_map(|check| match &check.result {
        CheckResult::Passed => None,
        CheckResult::NotHot { .. } => Some((&check.name[..number(check)], true)),
        CheckResult::Failed { .. } => Some((&check.name[..number(check)], false)),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_release_passes_every_check_and_nothing_changes() {
    let host = Host::running("0.1.0").await;
    let before = (host.info(), host.driver.observe().await.unwrap());
    host.place("0.2.0").await;
    let checks = host.driver.preflight(&transition("0.1.0", "0.2.0", Method::Hot)).await.unwrap();
    assert_eq!(verdict(&checks), None, "{checks:#?}");
    for check in ["P1 ", "P2 ", "P3 ", "P4 ", "P5 ", "P6 ", "P9 ", "P10 ", "P11 "] {
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
        ("lib/shop-0.2.0/ebin/shop_counter.beam", Box::new(|_| String::new()), ("P3", true)),
        ("releases/0.2.0/sys.config", Box::new(|_| "[{shop, [}]".to_owned()), ("P5", false)),
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
    }
    assert_eq!(verdict(&host.driver.preflight(&up).await.unwrap()), None);
}
