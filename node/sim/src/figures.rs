//! Wall time of single pieces of work, where a run wants it. It never reaches a decision.

use relupd::clock::monotonic;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub struct Stopwatch {
    /// `None` where nobody wants it: the clock is then not even read.
    pub times: Option<Vec<Duration>>,
}

impl Stopwatch {
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let Some(times) = &mut self.times else { return work() };
        let began = monotonic();
        let result = work();
        times.push(monotonic().since(began));
        result
    }

    /// The time that this share (in thousandths) of all pieces stayed within.
    pub fn quantile(&self, per_mille: usize) -> Duration {
        let mut times = self.times.clone().unwrap_or_default();
        times.sort_unstable();
        let last = times.len().saturating_sub(1);
        times.get((times.len() * per_mille / 1000).min(last)).copied().unwrap_or_default()
    }
}
