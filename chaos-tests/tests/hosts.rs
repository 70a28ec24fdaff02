//! One way through everything on real systemd hosts, where this machine can boot them.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use chaos_tests::hosts::sandbox;
use std::process::Command;

#[test]
fn a_package_becomes_a_cluster_that_rolls_an_app_hot() {
    if let Some(why) = sandbox::missing() {
        eprintln!("SKIPPED: {why}");
        return;
    }
    let ended =
        Command::new(env!("CARGO_BIN_EXE_chaos-hosts")).args(["--hosts", "3", "smoke"]).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let cried = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}\n{cried}");
}
