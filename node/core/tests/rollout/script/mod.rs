//! Scenario scripts: `scenarios/*.txt` are played against the real `state::apply`, `rollout::step`, timers and
//! reconciler's round, and what an operator would have seen is held against the golden beside each
//! (`INSTA_UPDATE=always cargo test -p relupd-core --test rollout script` writes them anew: read them then).
//! `scenarios/README.md` has the language.

mod hosts;
mod player;
mod transcript;

use player::Player;

/// Where a family of scenarios finds its rollout: `each MOMENT` plays the script once for each of these.
const MOMENTS: [&str; 8] =
    ["preparing", "canary", "batch", "draining", "ready", "decided", "halted", "reverting"];

fn play(name: &str, script: &str) {
    let each = script.lines().any(|line| line.trim() == "each MOMENT");
    let golden = if each {
        MOMENTS
            .iter()
            .map(|moment| {
                let script = script.replace("each MOMENT\n", "").replace("MOMENT", moment);
                format!("######## {moment}\n\n{}", Player::play(name, &script))
            })
            .collect::<Vec<_>>()
            .join("\n\n")
    } else {
        Player::play(name, script)
    };
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../scenarios");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, golden));
}

macro_rules! scenarios {
    ($($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                play(stringify!($name), include_str!(concat!("../scenarios/", stringify!($name), ".txt")));
            }
        )+

        #[test]
        fn every_scenario_is_played() {
            let names = [$(stringify!($name)),+];
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rollout/scenarios");
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "txt") {
                    let name = path.file_stem().unwrap().to_str().unwrap();
                    assert!(names.contains(&name), "{name} is not listed in script/mod.rs");
                }
            }
        }
    };
}

scenarios! {
    abort_hold
    abort_revert
    batch_fails_in_the_middle
    canary_fails
    cannot_fetch
    check_fails
    deadline_of_a_node
    deadline_of_preparing
    deadline_of_the_decision
    deadline_of_the_rollout
    deadline_of_the_way_back
    first_installation
    happy_path
    host_reboots
    late_joiner
    leader_changes
    mixed_from_versions
    node_is_removed
    node_dies
    orphan_after_its_order_to_commit
    orphan_after_the_decision
    orphan_before_the_decision
    no_way_back
    pause
    per_node_fails_late
    permanent_node_fails_before_the_end
    power_failure_after_the_decision
    sick_counted
    sick_refused
    sick_skipped
    unpromoted_canary
}
