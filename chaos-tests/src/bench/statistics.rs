//! Percentiles of what was measured. Pure.

use jiff::Timestamp;

/// Measured times, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    pub(super) fn push(&mut self, ms: f64) {
        self.0.push(ms);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that so many percent of all samples do not exceed (nearest rank). Without
    /// samples nothing holds: infinity.
    pub(super) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(f64::INFINITY)
    }

    /// For people: how the samples lie.
    pub(super) fn describe(&self) -> String {
        let [p50, p90, p99, max] = [50, 90, 99, 100].map(|percent| self.percentile(percent));
        format!("{} samples: p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, max {max:.1} ms", self.len())
    }
}

/// From one point in time to another on this machine's clock, which all daemons here share.
pub(super) fn ms_between(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_microsecond() - from.as_microsecond()) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_nearest_rank() {
        let samples = Samples((1..=200).rev().map(f64::from).collect());
        assert_eq!(samples.percentile(50), 100.0);
        assert_eq!(samples.percentile(99), 198.0);
        assert_eq!(samples.percentile(100), 200.0);
    }

    #[test]
    fn nothing_measured_holds_no_bound() {
        assert_eq!(Samples::default().percentile(99), f64::INFINITY);
    }
}
