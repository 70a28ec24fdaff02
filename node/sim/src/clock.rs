//! A host's clock beside true time. Daemons only ever read their host's clock: it runs at a rate of its
//! own and may leap ahead. All in integers, so that it is the same on every machine.

use relupd::clock::Monotonic;
use std::time::Duration;

const MILLION: u128 = 1_000_000;

/// One host's clocks.
#[derive(Clone, Debug)]
pub struct Clock {
    /// True time and the clock's own at the last change of its rate.
    base: (Duration, Duration),
    /// Clock microseconds for a million true ones.
    rate: u128,
    /// Wall time minus UTC, in milliseconds.
    wall_ms: i64,
    /// How far it has leapt, all in all.
    leapt: Duration,
}

impl Clock {
    /// A clock that gains (or loses) so many microseconds a second, with a wall clock that is wrong by so
    /// many milliseconds.
    pub fn new(drift_ppm: i64, wall_ms: i64) -> Self {
        let rate = u128::from(1_000_000_u64.saturating_add_signed(drift_ppm));
        Self { base: (Duration::ZERO, Duration::ZERO), rate, wall_ms, leapt: Duration::ZERO }
    }

    /// The monotonic clock at this true time.
    pub fn local(&self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.base.0).as_nanos();
        self.base.1 + nanos(passed * self.rate / MILLION)
    }

    /// The earliest true time at which the clock shows this.
    pub fn when(&self, local: Duration) -> Duration {
        let left = local.saturating_sub(self.base.1).as_nanos();
        self.base.0 + nanos((left * MILLION).div_ceil(self.rate))
    }

    /// The clock leaps ahead, as after a host was suspended.
    pub fn leap(&mut self, now: Duration, by: Duration) {
        self.base = (now, self.local(now) + by);
        self.leapt += by;
    }

    /// How far it has leapt, all in all.
    pub fn leapt(&self) -> Duration {
        self.leapt
    }

    /// From now on it gains (or loses) so many microseconds a second.
    pub fn drift(&mut self, now: Duration, ppm: i64) {
        self.base = (now, self.local(now));
        self.rate = u128::from(1_000_000_u64.saturating_add_signed(ppm));
    }

    /// The wall clock is set anew.
    pub fn set_wall(&mut self, wrong_by_ms: i64) {
        self.wall_ms = wrong_by_ms;
    }

    /// The wall clock, in milliseconds since the epoch.
    pub fn wall_ms(&self, now: Duration) -> i64 {
        /// When every simulation begins: 2026-01-01.
        const BEGIN_MS: i64 = 1_767_225_600_000;
        let passed = i64::try_from(now.as_millis()).unwrap_or(i64::MAX / 2);
        BEGIN_MS + passed + self.wall_ms
    }
}

fn nanos(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The clock of one process on that host, counted from its start.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    started: Duration,
}

impl Process {
    pub fn start(clock: &Clock, now: Duration) -> Self {
        Self { started: clock.local(now) }
    }

    pub fn monotonic(self, clock: &Clock, now: Duration) -> Monotonic {
        Monotonic::from_start(clock.local(now).saturating_sub(self.started))
    }

    /// The true time at which this process reads `at`.
    pub fn when(self, clock: &Clock, at: Monotonic) -> Duration {
        clock.when(self.started + at.since(Monotonic::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_finds_the_time_at_which_it_shows_something() {
        for ppm in [-700, 0, 300] {
            let mut clock = Clock::new(ppm, 0);
            clock.leap(Duration::from_secs(5), Duration::from_secs(90));
            for local in [100_u64, 1_000, 86_400].map(Duration::from_secs) {
                let when = clock.when(local);
                assert!(clock.local(when) >= local);
                assert!(clock.local(when) - local < Duration::from_micros(1));
            }
        }
    }
}
