//! The numbers of consensus, with their arithmetic.

use std::time::Duration;

/// Timing and sizes of one member. All members of a cluster use the same timing.
#[derive(Clone, Debug)]
pub struct Options {
    /// Raft's unit of time. A member that was not scheduled for a while makes up for one tick, not for
    /// all: on a busy machine elections come later instead of all at once.
    pub tick: Duration,
    /// Ticks without a leader before an election. Raft draws from one to less than two times this number, and the
    /// first tick may come at once: 500 ms at least, 1.1 s at most. A lost leader is therefore replaced within
    /// about 1.2 s; twice that if the first ballot splits.
    pub election_ticks: usize,
    /// Ticks between heartbeats: 2 x 100 ms = 200 ms. A heartbeat may be 300 ms late, or one lost and the next one
    /// 100 ms late, before a follower doubts its leader. Ticks and
    /// heartbeats are most of what an idle daemon does beside gossip: half as many ticks and a quarter fewer
    /// heartbeats than with 50 ms and three of them leave the same margin.
    pub heartbeat_ticks: usize,
    /// Applied entries between two snapshots. At some 500 bytes per entry: about 1 MB of log.
    pub snapshot_every: u64,
    /// Entries kept behind a snapshot, so that a member that was away briefly catches up from the log
    /// instead of from a snapshot.
    pub keep_entries: u64,
    /// How long a proposal looks for a leader and for its outcome.
    pub propose_timeout: Duration,
    /// How long a linearizable read looks for a quorum.
    pub read_timeout: Duration,
    /// A snapshot that was sent and not acknowledged within this time is sent again.
    pub snapshot_retry: Duration,
    /// How long a leader that shuts down waits for its successor.
    pub handover_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(100),
            election_ticks: 6,
            heartbeat_ticks: 2,
            snapshot_every: 2048,
            keep_entries: 512,
            propose_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(5),
            snapshot_retry: Duration::from_secs(10),
            handover_timeout: Duration::from_secs(2),
        }
    }
}

impl Options {
    /// The time without a leader after which a member may call an election.
    #[must_use]
    pub fn election_timeout(&self) -> Duration {
        self.tick.saturating_mul(u32::try_from(self.election_ticks).unwrap_or(u32::MAX))
    }
}
