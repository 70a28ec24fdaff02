//! One seed from beginning to end, and many of them.

use crate::genesis::Shape;
use crate::promises::Violation;
use crate::reached::Coverage;
use crate::schedule::Schedule;
use crate::trace::Trace;
use crate::world::World;
use relupd::state::ClusterState;
use std::time::Duration;

/// Once faults have ended, everything must have settled within this time: a rollout's own deadline, its
/// way back, and what is begun meanwhile by catching nodes up.
const SETTLES_WITHIN: Duration = Duration::from_secs(3600);

/// What runs on after everything has settled, so that what is not stable shows.
const STAYS_SETTLED: Duration = Duration::from_secs(60);

/// What is run.
#[derive(Clone, Debug)]
pub struct Case {
    pub seed: u64,
    /// Of the schedule, only these; everything where there is none.
    pub keep: Option<Vec<usize>>,
    pub read_log: bool,
}

impl Case {
    pub fn of(seed: u64) -> Self {
        Self { seed, keep: None, read_log: false }
    }

    pub fn schedule(&self) -> Schedule {
        let whole = Schedule::draw(self.seed, &Shape::draw(self.seed));
        match &self.keep {
            Some(keep) => whole.only(keep),
            None => whole,
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub seed: u64,
    pub broken: Option<Violation>,
    pub coverage: Coverage,
    pub digest: u64,
    pub events: u64,
    pub virtual_time: Duration,
    pub log: String,
}

/// Runs one case to its end.
pub fn run(case: &Case) -> Ended {
    let shape = Shape::draw(case.seed);
    let schedule = case.schedule();
    let calm_at = schedule.calm_at;
    let mut world = World::new(case.seed, shape, schedule, Trace::new(case.read_log));
    let deadline = calm_at + SETTLES_WITHIN;
    let mut settled_at = None;
    while world.step() {
        if world.witness.broken.is_some() {
            break;
        }
        if world.now >= deadline {
            let detail =
                format!("not settled an hour after the last fault: {}", on_their_way(&world.newest_state()));
            world.witness.say("S11", detail);
            break;
        }
        if world.calm {
            match (is_settled(&world), settled_at) {
                (false, _) => settled_at = None,
                (true, None) => settled_at = Some(world.now),
                (true, Some(since)) if world.now >= since + STAYS_SETTLED => {
                    world.witness.look_back(&world.nodes);
                    break;
                }
                (true, Some(_)) => {}
            }
        }
    }
    let broken = world.witness.broken.take();
    if let Some(broken) = &broken {
        world.trace.line(world.now, || format!("!!  {}: {}", broken.promise, broken.detail));
    }
    Ended {
        seed: case.seed,
        broken,
        coverage: world.coverage,
        digest: world.trace.digest(),
        events: world.events,
        virtual_time: world.now,
        log: world.trace.lines().to_owned(),
    }
}

fn is_settled(world: &World) -> bool {
    world.newest_state().rollouts.values().all(|rollout| rollout.phase.is_terminal())
}

fn on_their_way(state: &ClusterState) -> String {
    let rollouts = state.rollouts.values().filter(|rollout| !rollout.phase.is_terminal());
    rollouts.map(|rollout| format!("{} {}", rollout.id, rollout.phase.name())).collect::<Vec<_>>().join(", ")
}

/// Runs seeds one after the other until a promise is broken.
pub fn run_seeds(seeds: impl IntoIterator<Item = u64>, mut each: impl FnMut(&Ended)) -> Option<Ended> {
    for seed in seeds {
        let ended = run(&Case::of(seed));
        each(&ended);
        if ended.broken.is_some() {
            return Some(ended);
        }
    }
    None
}
