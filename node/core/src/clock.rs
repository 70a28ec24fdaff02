//! Time as decisions are given it; nothing here reads a clock.

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on this process's monotonic clock, counted from the process's start. Two of them from
/// different processes must never be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// A point that lies this long after the process's start.
    #[must_use]
    pub const fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub<Duration> for Monotonic {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_ahead_is_not_past_and_no_point_lies_before_the_start() {
        let at = |secs| Monotonic::from_start(Duration::from_secs(secs));
        let secs = Duration::from_secs;
        assert_eq!(at(7).since(at(4)), secs(3));
        assert_eq!(at(4).since(at(7)), Duration::ZERO);
        assert_eq!(at(4) + secs(3), at(7));
        assert_eq!(at(7) - secs(3), at(4));
        assert_eq!(at(3) - secs(7), at(0));
        assert_eq!(at(3) + Duration::MAX, Monotonic::from_start(Duration::MAX));
    }
}
