//! What the state remembers of what was, and for how long.

use super::world::{World, app, node, spec};
use relupd_core::ids::{CommandId, RolloutId};
use relupd_core::state::command::{Actor, Command, Entry};
use relupd_core::state::rejection::Rejection;

fn pause(number: u128) -> Entry {
    Entry {
        id: CommandId::from_parts(9, number),
        actor: Actor::Operator("ann".to_owned()),
        at: jiff::Timestamp::UNIX_EPOCH,
        command: Command::Pause { rollout: RolloutId(99) },
    }
}

#[test]
fn outcomes_of_the_newest_1024_commands_are_remembered() {
    let mut world = World::settled(1, spec());
    for number in 0..1024 {
        assert!(matches!(world.state.apply(&pause(number)), Err(Rejection::NoSuchRollout(_))));
    }
    assert_eq!(world.state.recent.len(), 1024);
    assert_eq!(world.state.recent[0].0, pause(0).id, "the oldest of them still is");
    world.state.apply(&pause(1024)).unwrap_err();
    assert_eq!(world.state.recent.len(), 1024);
    assert_eq!(world.state.recent[0].0, pause(1).id);
}

#[test]
fn the_newest_1000_events_are_kept_in_order() {
    let mut world = World::settled(1, spec());
    let mut running = true;
    let mut turn = |world: &mut World| {
        running = !running;
        world.apply(Command::SetRunning { app: app(), running }).unwrap();
    };
    for _ in world.state.events.len()..1000 {
        turn(&mut world);
    }
    assert_eq!(world.state.events.len(), 1000);
    let first = world.state.events[0].number;
    assert_eq!(world.state.next.event, first + 1000);
    turn(&mut world);
    assert_eq!(world.state.events.len(), 1000);
    assert_eq!(world.state.events[0].number, first + 1);
}

#[test]
fn an_event_names_what_it_is_about() {
    let mut world = World::settled(1, spec());
    let rollout = world.start("0.2.0");
    let newest = |world: &World| {
        let event = world.state.events.back().unwrap();
        (event.app.clone(), event.node, event.rollout)
    };
    assert_eq!(newest(&world), (Some(app()), None, Some(rollout)));
    world.run(rollout);
    world.apply(Command::SetRunning { app: app(), running: false }).unwrap();
    assert_eq!(newest(&world), (Some(app()), None, None));
    world.join(2);
    assert_eq!(newest(&world), (None, Some(node(2)), None));
}

#[test]
fn what_stands_in_the_log_reads_back() {
    let entry = pause(1);
    let bytes = entry.encode();
    assert_eq!(Entry::decode(&bytes, relupd_core::format::Format::NEWEST).unwrap(), entry);
}
