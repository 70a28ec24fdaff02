//! How long to wait before the same kind of action is tried again. Any other action goes ahead at once.

use super::decide::Action;
use crate::clock::Monotonic;
use std::collections::BTreeMap;
use std::time::Duration;

/// Kinds of actions that are retried with the same patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Asking the cluster: cheap, and what a new leader is waiting for.
    Cluster,
    /// Looking.
    Observe,
    /// Fetching and placing.
    Place,
    /// Changing what runs.
    Effect,
    /// Proving that an effect was had.
    Prove,
    /// Repairing what does not stay whole.
    Repair,
    /// Starting an app that does not stay up.
    Start,
}

impl Kind {
    pub(super) const fn of(action: &Action) -> Self {
        match action {
            Action::Report { .. } | Action::ReportOrphan { .. } | Action::Announce { .. } => Self::Cluster,
            Action::Observe | Action::Wait { .. } => Self::Observe,
            Action::Place { .. } | Action::Preflight { .. } => Self::Place,
            Action::Install { .. } | Action::Commit { .. } | Action::RollBack { .. } | Action::Stop => {
                Self::Effect
            }
            Action::Verify { .. } | Action::Drain { .. } => Self::Prove,
            Action::Repair { .. } => Self::Repair,
            Action::Start => Self::Start,
        }
    }

    /// The first delay and the longest. A lost leader is replaced within a second or two, so asking
    /// the cluster never pauses for longer than a fraction of that.
    const fn delays(self) -> (Duration, Duration) {
        match self {
            Self::Cluster => (Duration::from_millis(20), Duration::from_millis(250)),
            Self::Observe => (Duration::from_millis(50), Duration::from_secs(5)),
            Self::Place => (Duration::from_millis(250), Duration::from_secs(15)),
            Self::Effect | Self::Prove => (Duration::from_millis(200), Duration::from_secs(15)),
            Self::Repair => (Duration::from_secs(1), Duration::from_secs(300)),
            Self::Start => (Duration::from_millis(500), Duration::from_secs(60)),
        }
    }
}

/// Which kinds have to wait, and how often in a row they did not succeed.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: BTreeMap<Kind, (u32, Monotonic)>,
}

impl Backoff {
    /// Until when this kind has to wait.
    pub(super) fn blocked(&self, kind: Kind, now: Monotonic) -> Option<Monotonic> {
        self.failures.get(&kind).map(|(_, until)| *until).filter(|until| *until > now)
    }

    pub(super) fn failed(&mut self, kind: Kind, now: Monotonic) {
        let (first, longest) = kind.delays();
        let (count, until) = self.failures.entry(kind).or_insert((0, now));
        *until = now + first.saturating_mul(2_u32.saturating_pow(*count)).min(longest);
        *count = count.saturating_add(1);
    }

    pub(super) fn succeeded(&mut self, kind: Kind) {
        self.failures.remove(&kind);
    }

    /// A new order is worth a try at once.
    pub(super) fn clear(&mut self) {
        self.failures.retain(|kind, _| matches!(kind, Kind::Start | Kind::Repair));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_success_ends_them() {
        let mut backoff = Backoff::default();
        let now = Monotonic::default();
        let delay = |backoff: &Backoff| backoff.blocked(Kind::Cluster, now).map(|until| until.since(now));
        assert_eq!(delay(&backoff), None);
        let mut seen = Vec::new();
        for _ in 0..6 {
            backoff.failed(Kind::Cluster, now);
            seen.push(delay(&backoff).unwrap().as_millis());
        }
        assert_eq!(seen, [20, 40, 80, 160, 250, 250]);
        assert_eq!(backoff.blocked(Kind::Observe, now), None);
        let over = now + Duration::from_millis(250);
        assert_eq!(backoff.blocked(Kind::Cluster, over), None, "it waits until then, and no longer");
        backoff.succeeded(Kind::Cluster);
        assert_eq!(delay(&backoff), None);
    }

    #[test]
    fn a_new_order_forgets_what_failed_under_the_old_one_but_not_what_does_not_stay_whole_or_up() {
        let now = Monotonic::default();
        for (kind, kept) in [
            (Kind::Cluster, false),
            (Kind::Observe, false),
            (Kind::Place, false),
            (Kind::Effect, false),
            (Kind::Prove, false),
            (Kind::Repair, true),
            (Kind::Start, true),
        ] {
            let mut backoff = Backoff::default();
            backoff.failed(kind, now);
            backoff.clear();
            assert_eq!(backoff.blocked(kind, now).is_some(), kept, "{kind:?}");
        }
    }
}
