//! The numbers of consensus, with their arithmetic.

use std::time::Duration;

/// Timing and sizes of one member. All members of a cluster use the same timing.
#[derive(Clone, Debug)]
pub struct Options {
    /// Raft's unit of time. A member that was not scheduled for a while makes up for one tick, not for
    /// all: on a busy machine elections come later instead of all at once.
    pub tick: Duration,
    /// Ticks without a leader before an election: 10 x 50 ms = 500 ms at least, 1 s at most, since
    /// raft picks between one and two times this number. A lost leader is therefore replaced within
    /// about 1.1 s; twice that if the first ballot splits.
    pub election_ticks: usize,
    /// Ticks between heartbeats: 3 x 50 ms = 150 ms, so that three heartbeats in a row have to get lost
    /// before a follower doubts its leader. They are half of what an idle daemon does, and a third
    /// fewer than every 100 ms keep it below one percent of a core.
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
            tick: Duration::from_millis(50),
            election_ticks: 10,
            heartbeat_ticks: 3,
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
