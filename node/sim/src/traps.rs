//! Ambushes that are made for one change of a node's step each: those that last for a few milliseconds, or that
//! take two misfortunes at once, and that faults drawn at random meet in one seed of many thousands.

use crate::ambush::{Ambush, Moment};
use crate::genesis::Shape;
use crate::host::Accident;
use crate::random::Random;
use crate::schedule::{Deed, Order};
use relupd::state::rollout::AbortMode;
use std::time::Duration;

/// Where a node may hold a trial that it takes back when it is left alone.
const HOLDS_A_TRIAL: [Moment; 8] = [
    Moment::Assigned,
    Moment::Installing,
    Moment::Baking,
    Moment::Healthy,
    Moment::Draining,
    Moment::Ready,
    Moment::Committing,
    Moment::Failed,
];

/// One of them.
pub fn draw(random: &mut Random, shape: &Shape) -> Deed {
    match random.below(8) {
        0..=3 => left_alone(random, shape),
        4 => removed_at_once(random, Moment::Failed),
        5 => removed_without_a_leader(random),
        6 => removed_without_a_way_back(random, shape),
        _ => aborted_when_halted(random, shape),
    }
}

fn ambush(moment: Moment, after: Duration, deeds: Vec<Deed>) -> Deed {
    Deed::Ambush(Box::new(Ambush { moment, after, deed: Deed::Together(deeds) }))
}

fn soon(random: &mut Random, most_us: u64) -> Duration {
    Duration::from_micros(random.below(most_us))
}

/// No way back can register what it needs to.
fn torn(shape: &Shape) -> impl Iterator<Item = Deed> {
    let names = shape.apps.iter().map(|app| app.name.clone());
    names.map(|app| Deed::Accident { host: 0, app, accident: Accident::BookTorn })
}

/// Nobody hears of anybody, for long enough that orphans go back, or find no way back. Who was just about to be
/// told something is told later, and its own word comes first.
fn left_alone(random: &mut Random, shape: &Shape) -> Deed {
    let moment = random.pick(&HOLDS_A_TRIAL).copied().expect("there are moments");
    let lasts = Duration::from_secs(random.between(20, 90));
    let mut deeds = vec![Deed::Apart { lasts }];
    if random.chance(600) {
        deeds.extend(torn(shape));
    }
    // An order is begun some milliseconds after it came; all else is over as soon.
    let most = if moment == Moment::Assigned { 12_000 } else { 2_000 };
    ambush(moment, soon(random, most), deeds)
}

fn removed_at_once(random: &mut Random, moment: Moment) -> Deed {
    ambush(moment, soon(random, 1_500), vec![Deed::Order(Order::Remove { host: 0 })])
}

/// The next leader is asked to remove it before it has said anything itself.
fn removed_without_a_leader(random: &mut Random) -> Deed {
    let down = Duration::from_secs(random.between(5, 20));
    let deeds = vec![Deed::KillLeader { down }, Deed::Order(Order::Remove { host: 0 })];
    ambush(Moment::PrepareFailed, soon(random, 300), deeds)
}

fn removed_without_a_way_back(random: &mut Random, shape: &Shape) -> Deed {
    let then = removed_at_once(random, Moment::RevertFailed);
    let deeds = torn(shape).chain([then]).collect();
    ambush(Moment::Reverting, soon(random, 2_000), deeds)
}

fn aborted_when_halted(random: &mut Random, shape: &Shape) -> Deed {
    let mode = if random.chance(500) { AbortMode::Hold } else { AbortMode::Revert };
    let names = shape.apps.iter().map(|app| app.name.clone());
    let deeds = names.map(|app| Deed::Order(Order::Abort { app, mode })).collect();
    ambush(Moment::Halted, soon(random, 500), deeds)
}
