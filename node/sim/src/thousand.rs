//! One rollout over a thousand nodes: what size costs. No faults. The promises are asked as in any run, over what
//! each entry has changed; only replicas are not held against each other, because they share one line of states.

use crate::figures::Stopwatch;
use crate::genesis::{self, Shape, VERSIONS};
use crate::host::ReleaseOdds;
use crate::random::Random;
use crate::reached::Named as _;
use crate::report::Figure;
use crate::schedule::{Deed, Order, Planned, Schedule};
use crate::trace::Trace;
use crate::world::World;
use relupd::clock::monotonic;
use relupd::consensus::Options;
use relupd::spec::{AlreadySick, Permanent, Promote};
use relupd::state::rollout::Phase;
use std::collections::BTreeMap;
use std::time::Duration;

/// The figures of one rollout over so many nodes, seven of which vote.
pub fn figures(hosts: usize) -> Vec<Figure> {
    let began = monotonic();
    let mut world = World::new(1, shape(hosts), schedule(), Trace::default());
    world.stopwatch = Stopwatch { times: Some(Vec::new()) };
    world.raft_bytes = Some(0);
    let deadline = Duration::from_secs(4 * 3600);
    let ended = |world: &World| {
        let state = world.newest_state();
        state.rollouts.values().next().map(|rollout| rollout.phase.clone()).filter(Phase::is_terminal)
    };
    let mut phase = None;
    let mut told = began;
    while phase.is_none() && world.witness.broken.is_none() && world.now < deadline && world.step() {
        if world.events.is_multiple_of(1024) {
            phase = ended(&world);
            if monotonic().since(told) > Duration::from_secs(5) {
                told = monotonic();
                tell(&world);
            }
        }
    }
    let wall = monotonic().since(began);
    let broken = world.witness.broken.take();
    if let Some(broken) = &broken {
        eprintln!("a thousand nodes: {}: {}", broken.promise, broken.detail);
    }
    let state = world.newest_state();
    let applies = world.setting.shared.as_ref().map(|shared| shared.times());
    let applies = Stopwatch { times: applies };
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    let bytes = world.raft_bytes.unwrap_or_default() as f64;
    vec![
        Figure::at_most("thousand_node_rollout_s", wall.as_secs_f64(), "s", 60.0),
        Figure::at_least("thousand_node_completed", f64::from(phase == Some(Phase::Completed)), "", 1.0),
        Figure::at_most("thousand_node_violations", f64::from(u8::from(broken.is_some())), "", 0.0),
        Figure::reported("thousand_node_virtual_s", world.now.as_secs_f64(), "s"),
        Figure::reported("thousand_node_raft_bytes_per_node", bytes / hosts as f64, "bytes"),
        Figure::reported("thousand_node_leader_cpu_s", world.leader_time.as_secs_f64(), "s"),
        Figure::reported("state_bytes_at_1000_nodes", state.encode().len() as f64, "bytes"),
        Figure::reported("apply_us_p99_at_1000_nodes", micros(applies.quantile(990)), "us"),
        Figure::at_most("step_us_p99_at_1000_nodes", micros(world.stopwatch.quantile(990)), "us", 5000.0),
    ]
}

/// Such a run takes a while: where it is, now and then.
fn tell(world: &World) {
    let state = world.newest_state();
    let Some(rollout) = state.rollouts.values().next() else { return };
    let mut steps: BTreeMap<&str, usize> = BTreeMap::new();
    for node in rollout.nodes.values() {
        *steps.entry(node.step.name()).or_default() += 1;
    }
    eprintln!("{:?} simulated, {} events, {}: {steps:?}", world.now, world.events, rollout.phase.name());
}

fn shape(hosts: usize) -> Shape {
    let mut app = genesis::spec("shop", &mut Random::new(1, "a thousand"));
    app.health.interval = Duration::from_secs(5);
    app.health.start_grace = Duration::ZERO;
    let upgrade = &mut app.upgrade;
    upgrade.canary = 1;
    upgrade.promote = Promote::Auto;
    upgrade.max_in_flight = 10;
    // Nothing happens in a bake but heartbeats, and there are a hundred of them one after the other.
    upgrade.bake = Duration::from_secs(1);
    upgrade.permanent = Permanent::AtEnd;
    upgrade.already_sick = AlreadySick::Count;
    upgrade.max_unavailable = 10;
    upgrade.progress_deadline = Duration::from_secs(300);
    upgrade.rollout_deadline = Duration::from_secs(24 * 3600);
    Shape {
        hosts,
        voters: 7,
        apps: vec![app],
        odds: ReleaseOdds::NONE,
        options: Options {
            tick: Duration::from_millis(500),
            election_ticks: 10,
            heartbeat_ticks: 2,
            ..Options::default()
        },
        shares_states: true,
    }
}

fn schedule() -> Schedule {
    let to = VERSIONS[1].to_owned();
    let roll = Order::Roll { app: "shop".parse().expect("an app"), to, thinks: Duration::from_millis(20) };
    let planned = vec![Planned { at: Duration::from_secs(30), deed: Deed::Order(roll) }];
    Schedule { planned, calm_at: Duration::from_secs(100_000) }
}
