//! The network between daemons: what leaves arrives late, twice, out of order, or never.

use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How bad it is, in thousandths of all messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    pub loss: u64,
    pub duplication: u64,
    /// Held back for up to `delay`, and so overtaken.
    pub reordering: u64,
    pub delay: Duration,
}

/// All links, by the places of sender and receiver.
#[derive(Debug)]
pub struct Network {
    pub weather: Weather,
    /// Links that carry nothing, in the direction of the message.
    cut: BTreeSet<(usize, usize)>,
    /// Hosts whose every message takes so much longer.
    slow: BTreeMap<usize, Duration>,
    random: Random,
    pub messages: u64,
}

impl Network {
    pub fn new(random: Random) -> Self {
        Self { weather: Weather::default(), cut: BTreeSet::new(), slow: BTreeMap::new(), random, messages: 0 }
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    pub fn mend(&mut self, from: usize, to: usize) {
        self.cut.remove(&(from, to));
    }

    pub fn slow(&mut self, host: usize, by: Duration) {
        self.slow.insert(host, by);
    }

    pub fn hurry(&mut self, host: usize) {
        self.slow.remove(&host);
    }

    /// Every fault ends.
    pub fn calm(&mut self) {
        self.weather = Weather::default();
        self.cut.clear();
        self.slow.clear();
    }

    /// Whether any link carries nothing.
    pub fn is_torn(&self) -> bool {
        !self.cut.is_empty()
    }

    pub fn reaches(&self, from: usize, to: usize) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// How long each copy of a message takes; none where it is lost.
    pub fn send(&mut self, from: usize, to: usize) -> [Option<Duration>; 2] {
        self.messages += 1;
        if !self.reaches(from, to) || self.random.chance(self.weather.loss) {
            return [None, None];
        }
        let first = self.latency(from, to);
        let second = self.random.chance(self.weather.duplication).then(|| self.latency(from, to));
        [Some(first), second]
    }

    fn latency(&mut self, from: usize, to: usize) -> Duration {
        let base = Duration::from_micros(self.random.between(150, 600));
        let slow = [from, to].iter().filter_map(|host| self.slow.get(host)).sum::<Duration>();
        let held = if self.random.chance(self.weather.reordering) {
            let longest = u64::try_from(self.weather.delay.as_micros()).unwrap_or(u64::MAX);
            Duration::from_micros(self.random.below(longest))
        } else {
            Duration::ZERO
        };
        base + slow + held
    }
}
