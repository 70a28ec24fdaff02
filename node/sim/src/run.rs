//! One seed from beginning to end, and many of them.

use crate::genesis::Shape;
use crate::promises::Violation;
use crate::reached::Coverage;
use crate::schedule::Schedule;
use crate::trace::Trace;
use crate::world::World;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Once faults have ended, everything must have settled within this time: a rollout's own deadline, its
/// way back, and what is begun meanwhile by catching nodes up.
const SETTLES_WITHIN: Duration = Duration::from_secs(3600);

/// What runs on after everything has settled, so that what is not stable shows.
const STAYS_SETTLED: Duration = Duration::from_secs(60);

/// Whether everything has settled is looked at this often.
const LOOKS_EVERY: Duration = Duration::from_millis(500);

/// A run has some twenty thousand events; one of so many goes round in circles.
const MOST_EVENTS: u64 = 3_000_000;

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
    let mut world = World::new(case.seed, shape, schedule, Trace::new(case.read_log));
    // What panics in a daemon breaks a promise, too; the log up to there is worth reading.
    let ran = catch_unwind(AssertUnwindSafe(|| live(&mut world)));
    if let Err(panic) = ran {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        world.witness.say("panic", text.unwrap_or_default());
    }
    let broken = world.witness.broken.take();
    if let Some(broken) = &broken {
        world.trace.line(world.now, || format!("!!  {}: {}", broken.promise, broken.detail));
    }
    Ended {
        seed: case.seed,
        broken,
        digest: world.trace.digest(),
        events: world.events,
        virtual_time: world.now,
        log: world.trace.lines().to_owned(),
        coverage: world.coverage,
    }
}

/// Until everything has settled and stayed so, or a promise is broken.
fn live(world: &mut World) {
    let deadline = world.schedule.calm_at + SETTLES_WITHIN;
    let mut settled_at = None;
    let mut looks_at = Duration::ZERO;
    while world.step() && world.witness.broken.is_none() {
        if world.events > MOST_EVENTS {
            world.witness.say("S11", format!("{MOST_EVENTS} events, and no end"));
        }
        if !world.calm || world.now < looks_at {
            continue;
        }
        looks_at = world.now + LOOKS_EVERY;
        match (is_settled(world), settled_at) {
            (true, Some(since)) if world.now >= since + STAYS_SETTLED => break,
            (true, None) => settled_at = Some(world.now),
            (true, Some(_)) => {}
            (false, _) => settled_at = None,
        }
        if world.now >= deadline {
            break;
        }
    }
    world.witness.look_back(world.now, &world.nodes);
}

fn is_settled(world: &World) -> bool {
    world.newest_state().rollouts.values().all(|rollout| rollout.phase.is_terminal())
        && world.witness.order_left(world.now, &world.nodes).is_none()
}

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Summary {
    pub seeds: u64,
    pub events: u64,
    pub coverage: Coverage,
    /// Seeds that broke a promise, lowest first.
    pub broken: BTreeMap<u64, Violation>,
}

impl Summary {
    fn add(&mut self, ended: Ended) {
        self.seeds += 1;
        self.events += ended.events;
        self.coverage.merge(&ended.coverage);
        if let Some(violation) = ended.broken {
            self.broken.insert(ended.seed, violation);
        }
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.coverage.merge(&other.coverage);
        self.broken.extend(other.broken);
    }
}

/// Runs these seeds on so many threads, each simulation on one of them. Ends early once a promise was
/// broken, where that is wanted.
pub fn run_seeds(seeds: Range<u64>, threads: usize, until_broken: bool) -> Summary {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let work = || {
        let mut summary = Summary::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            summary.add(run(&Case::of(seed)));
            if until_broken && !summary.broken.is_empty() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        summary
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut whole = Summary::default();
        for worker in workers {
            whole.merge(worker.join().expect("a run catches its panics"));
        }
        whole
    })
}
