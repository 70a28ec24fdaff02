//! How often nodes gossip and after how long a silent one counts as dead.
//!
//! chitchat's detector calls a node dead once `elapsed / mean > phi`, where `elapsed` is the time
//! since its last new heartbeat and `mean = (sum + 5 * prior) / (n + 5)` over the last n gaps between
//! heartbeats. With its defaults (window of 1000, prior of 5 s) the horizon `phi * mean` is 40 s for a
//! node just met and shrinks to a fraction of a second for an old friend whose heartbeats also come
//! round by third parties. Both are wrong here: detection has to take the same time cold and warm,
//! and must survive a daemon that got no CPU for some hundred milliseconds. So the window holds one
//! gap, and the prior, which is the gossip interval itself, always weighs five sixths:
//!
//! ```text
//! longest counted gap   2 * interval
//! mean     from (0 + 5 * interval) / 6            = 0.83 * interval
//!          to   (2 * interval + 5 * interval) / 6 = 1.17 * interval
//! horizon  from phi * 0.83 = 3.5 * interval       =  875 ms at 250 ms
//!          to   phi * 1.17 = 4.9 * interval       = 1225 ms at 250 ms
//! ```
//!
//! To the horizon come the rounds in which third parties still hand on the dead node's last
//! heartbeat (two up to 16 nodes, as every node meets about six others a round) and one interval
//! until the detector looks again: at most 1225 + 500 + 250 = 1975 ms.

use chitchat::FailureDetectorConfig;
use std::time::Duration;

const SMALL_CLUSTER: u32 = 16;
const SMALL_CLUSTER_INTERVAL: Duration = Duration::from_millis(250);
/// A message grows by some 50 bytes a node; 500 ms at 100 nodes keeps the traffic of a node below
/// 60 kB/s.
const FURTHER_NODE: Duration = Duration::from_millis(3);
const PHI: f64 = 4.2;

/// After this a dead generation of a node is forgotten by gossip (not by the view), so that digests
/// do not grow with every restart of a daemon.
const DEAD_GENERATION_GRACE: Duration = Duration::from_secs(10 * 60);

/// The time between two rounds of gossip in a cluster of that many nodes. Read once, when the daemon
/// starts: nodes whose intervals differ by less than the horizon see each other all the same.
pub(super) fn gossip_interval(nodes: usize) -> Duration {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    SMALL_CLUSTER_INTERVAL.saturating_add(FURTHER_NODE.saturating_mul(nodes.saturating_sub(SMALL_CLUSTER)))
}

pub(super) fn failure_detector(interval: Duration) -> FailureDetectorConfig {
    FailureDetectorConfig {
        phi_threshold: PHI,
        sampling_window_size: 1,
        max_interval: interval * 2,
        initial_interval: interval,
        dead_node_grace_period: DEAD_GENERATION_GRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn horizon(interval: Duration, last_gap: Duration) -> Duration {
        let settings = failure_detector(interval);
        let mean = (last_gap.min(settings.max_interval) + settings.initial_interval * 5) / 6;
        mean.mul_f64(settings.phi_threshold)
    }

    #[test]
    fn a_dead_node_is_seen_within_two_seconds_up_to_sixteen_nodes() {
        for nodes in 0..=16 {
            let interval = gossip_interval(nodes);
            let worst = horizon(interval, Duration::MAX) + interval * 2 + interval;
            assert!(worst <= Duration::from_secs(2), "{nodes} nodes: {worst:?}");
        }
    }

    #[test]
    fn three_lost_rounds_are_forgiven() {
        for nodes in [3, 16, 100] {
            let interval = gossip_interval(nodes);
            assert!(horizon(interval, Duration::ZERO) > interval * 3);
        }
    }

    #[test]
    fn the_interval_grows_with_the_cluster() {
        assert_eq!(gossip_interval(3), Duration::from_millis(250));
        assert_eq!(gossip_interval(100), Duration::from_millis(502));
        assert!(gossip_interval(usize::MAX) > gossip_interval(100));
    }
}
