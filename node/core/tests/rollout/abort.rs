use super::world::{World, app, release, spec};
use relupd_core::state::command::Command;
use relupd_core::state::rollout::{AbortMode, Phase, Rollout};

type At = fn(&Rollout) -> bool;

const EVERY_PHASE: &[(&str, At)] = &[
    ("preparing", |rollout| matches!(rollout.phase, Phase::Preparing)),
    ("rolling", |rollout| matches!(rollout.phase, Phase::Rolling)),
    ("at work", |rollout| !rollout.in_flight().is_empty()),
    ("draining", |rollout| matches!(rollout.phase, Phase::Committing { decided: false })),
    ("decided", |rollout| matches!(rollout.phase, Phase::Committing { decided: true })),
];

#[test]
fn abort_revert_brings_every_node_back_from_every_phase() {
    for (name, at) in EVERY_PHASE {
        let mut world = World::settled(3, spec());
        let rollout = world.start("0.2.0");
        world.run_until(rollout, at);
        world.apply(Command::Abort { rollout, mode: AbortMode::Revert }).unwrap();
        world.run(rollout);
        assert!(matches!(world.rollout(rollout).phase, Phase::Reverted { .. }), "{name}");
        let instances = world.state.apps[&app()].instances.values();
        let settled: Vec<_> = instances.map(|one| one.settled.clone()).collect();
        assert_eq!(settled, vec![Some(release("0.1.0")); 3], "{name}");
        assert!(world.state.quarantine.is_empty(), "an abort is not the release's fault");
    }
}

#[test]
fn abort_hold_stops_where_it_is_from_every_phase() {
    for (name, at) in EVERY_PHASE {
        let mut world = World::settled(3, spec());
        let rollout = world.start("0.2.0");
        world.run_until(rollout, at);
        world.apply(Command::Abort { rollout, mode: AbortMode::Hold }).unwrap();
        world.run(rollout);
        let Phase::Held { elsewhere, .. } = &world.rollout(rollout).phase else { panic!("{name}") };
        let touched = world.rollout(rollout).touched_newest_first();
        assert_eq!(*elsewhere, touched, "{name}");
    }
}

#[test]
fn abort_ends_a_pause() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| !rollout.in_flight().is_empty());
    world.apply(Command::Pause { rollout }).unwrap();
    world.apply(Command::Abort { rollout, mode: AbortMode::Revert }).unwrap();
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::Reverted { .. }));
}

#[test]
fn what_has_ended_cannot_be_aborted_paused_or_promoted() {
    let mut world = World::settled(1, spec());
    let rollout = world.start("0.2.0");
    world.run(rollout);
    for command in [
        Command::Abort { rollout, mode: AbortMode::Revert },
        Command::Pause { rollout },
        Command::Resume { rollout },
        Command::Promote { rollout },
    ] {
        let error = world.apply(command).unwrap_err().to_string();
        assert!(error.contains("is completed"), "{error}");
    }
}
