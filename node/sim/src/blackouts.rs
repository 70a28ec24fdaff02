//! Blackouts: every host loses power, or every daemon is killed, at one moment (S12). As often as not some disks are
//! so slow that much is under way when it happens, and those that had it come back after those that had not.

use crate::genesis::Shape;
use crate::random::Random;
use crate::schedule::{Deed, Planned, SPARE_HOSTS};
use std::time::Duration;

/// The blackouts of some seeds.
pub fn draw(seed: u64, shape: &Shape, calm_at: Duration) -> Vec<Planned> {
    let mut random = Random::new(seed, "blackouts");
    let random = &mut random;
    if !random.chance(300) {
        return Vec::new();
    }
    let latest = u64::try_from(calm_at.as_millis()).unwrap_or(u64::MAX).saturating_sub(1000);
    let mut planned = Vec::new();
    for _ in 0..random.between(1, 3) {
        let at = Duration::from_millis(random.between(5_000, latest));
        if random.chance(600) {
            planned.extend(slow_disks(random, shape, at));
        }
        let is_power = random.chance(500);
        let down =
            (0..shape.hosts + SPARE_HOSTS).map(|_| Duration::from_millis(random.below(30_000))).collect();
        let deed = if is_power { Deed::PowerCutAll { down } } else { Deed::KillAll { down } };
        planned.push(Planned { at, deed });
    }
    planned
}

/// From some time before this until after it.
fn slow_disks(random: &mut Random, shape: &Shape, at: Duration) -> Vec<Planned> {
    let begin = at.saturating_sub(Duration::from_millis(random.between(1_000, 20_000)));
    let mut planned = Vec::new();
    for host in 0..shape.hosts {
        let fsync = Duration::from_millis(random.between(20, 700));
        if random.chance(700) {
            let lasts = at - begin + Duration::from_secs(1);
            planned.push(Planned { at: begin, deed: Deed::SlowDisk { host, fsync, lasts } });
        }
    }
    planned
}
