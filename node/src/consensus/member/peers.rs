//! What a leader observes of its peers: contact, progress, and snapshots that got lost.

use crate::clock::Monotonic;
use crate::consensus::status::PeerStatus;
use crate::ids::RaftId;
use raft::{Progress, ProgressState};
use std::collections::BTreeMap;
use std::time::Duration;

/// A peer that lacks no more than this many committed entries votes without holding anybody up: they
/// fit into one message.
const CAUGHT_UP_LAG: u64 = 64;

/// Begins anew with every term this member leads.
#[derive(Default)]
pub(super) struct Peers {
    leading_since: Monotonic,
    contact: BTreeMap<u64, Monotonic>,
    snapshot_since: BTreeMap<u64, Monotonic>,
}

impl Peers {
    pub(super) fn became_leader(&mut self, now: Monotonic) {
        *self = Self { leading_since: now, ..Self::default() };
    }

    pub(super) fn heard_from(&mut self, id: RaftId, now: Monotonic) {
        self.contact.insert(id.0, now);
    }

    pub(super) fn last_contact(&self, id: u64) -> Monotonic {
        self.contact.get(&id).copied().unwrap_or(self.leading_since)
    }

    pub(super) fn status<'a>(
        &self,
        this: u64,
        commit: u64,
        progress: impl Iterator<Item = (&'a u64, &'a Progress)>,
    ) -> BTreeMap<RaftId, PeerStatus> {
        progress
            .filter(|(id, _)| **id != this)
            .map(|(id, progress)| {
                // The state says nothing here: after a snapshot an idle peer stays in `Probe`.
                let caught_up = progress.matched + CAUGHT_UP_LAG >= commit;
                let last_contact = self.last_contact(*id);
                (
                    RaftId(*id),
                    PeerStatus {
                        last_contact,
                        heard: self.contact.contains_key(id),
                        matched: progress.matched,
                        caught_up,
                    },
                )
            })
            .collect()
    }

    /// Peers whose snapshot was sent so long ago that it must have got lost. Raft sends nothing else to
    /// them until it is told.
    pub(super) fn lost_snapshots<'a>(
        &mut self,
        now: Monotonic,
        retry: Duration,
        progress: impl Iterator<Item = (&'a u64, &'a Progress)>,
    ) -> Vec<u64> {
        let mut lost = Vec::new();
        for (id, progress) in progress {
            if progress.state != ProgressState::Snapshot {
                self.snapshot_since.remove(id);
            } else if now.since(*self.snapshot_since.entry(*id).or_insert(now)) >= retry {
                self.snapshot_since.remove(id);
                lost.push(*id);
            }
        }
        lost
    }
}
