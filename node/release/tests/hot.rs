//! What stands between two releases and a hot upgrade.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use relupd_release::hot::{Direction, Obstacle, obstacles};
use relupd_release::rel::Rel;
use relupd_release::relup::Relup;
use std::collections::BTreeSet;

fn rel(version: &str, erts: &str, more: &str) -> Rel {
    let text =
        format!("{{release,{{\"shop\",\"{version}\"}},{{erts,\"{erts}\"}},[{{shop,\"{version}\"}}{more}]}}.");
    Rel::parse(text.as_bytes()).unwrap()
}

const SASL: &str = ",{sasl,\"4.2\"}";
const UP: &str = r#"{"1",[],[{load_object_code,{shop,"2",[a]}},{load,{a,brutal_purge,brutal_purge}}]}"#;
const DOWN: &str = r#"{"1",[],[{load_object_code,{shop,"1",[a]}},{load,{a,brutal_purge,brutal_purge}}]}"#;

fn relup(up: &str, down: &str) -> Relup {
    Relup::parse(format!("{{\"2\",[{up}],[{down}]}}.").as_bytes()).unwrap()
}

fn check(relup: &Relup, changed: &[&str]) -> Vec<Obstacle> {
    let changed: BTreeSet<String> = changed.iter().map(|module| (*module).to_owned()).collect();
    obstacles(&rel("1", "13", SASL), &rel("2", "13", SASL), relup, &changed)
}

#[test]
fn a_whole_relup_has_none() {
    assert_eq!(check(&relup(UP, DOWN), &["a"]), []);
    assert_eq!(check(&relup(UP, DOWN), &[]), []);
}

#[test]
fn a_way_up_without_a_way_back_is_not_hot() {
    let found = check(&relup(UP, ""), &["a"]);
    let expected = Obstacle::NoScript {
        direction: Direction::Down,
        from: "1".parse().unwrap(),
        to: "2".parse().unwrap(),
    };
    assert_eq!(found, [expected]);
}

#[test]
fn changed_modules_that_the_relup_forgets_are_named() {
    let modules: BTreeSet<String> = ["b".to_owned()].into();
    let left_out = |direction| Obstacle::LeftOut { direction, modules: modules.clone() };
    let found = check(&relup(UP, DOWN), &["a", "b"]);
    assert_eq!(found, [left_out(Direction::Up), left_out(Direction::Down)]);
}

#[test]
fn every_obstacle_is_named_at_once() {
    let wicked = r#"{"1",[],[{load_object_code,{shop,"9",[a]}},{teleport,x},restart_new_emulator]}"#;
    let found = obstacles(&rel("1", "12", ""), &rel("2", "13", SASL), &relup(wicked, DOWN), &BTreeSet::new());
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "1 has no release handler: add sasl to its applications",
            "it changes ERTS from 12 to 13",
            "on its way up the relup restarts the emulator",
            "on its way up the relup loads shop-9, which that release does not have",
            "on its way up the relup has an instruction that is not known: {teleport,x}",
        ]
    );
}

#[test]
fn a_relup_of_another_release_is_not_taken() {
    let other = Relup::parse(format!("{{\"3\",[{UP}],[{DOWN}]}}.").as_bytes()).unwrap();
    assert_eq!(check(&other, &["a"]), [Obstacle::ForeignRelup { found: "3".parse().unwrap() }]);
}
