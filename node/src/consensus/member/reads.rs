//! Linearizable reads: asked of the leader, answered with an index, done once that is applied here.

use crate::consensus::request::RequestId;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

pub(in crate::consensus) type ReadWaiter = oneshot::Sender<u64>;

/// Reads that arrive together share one question, since an answer to a question is good for every read
/// that began before it was asked.
#[derive(Default)]
pub(super) struct Reads {
    arrived: Vec<ReadWaiter>,
    asked: BTreeMap<RequestId, Vec<ReadWaiter>>,
    /// Answered; waiting for this index to be applied.
    confirmed: BTreeMap<u64, Vec<ReadWaiter>>,
}

impl Reads {
    pub(super) fn arrive(&mut self, waiter: ReadWaiter) {
        self.arrived.push(waiter);
    }

    pub(super) fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// All that arrived are asked for under this id.
    pub(super) fn ask(&mut self, id: RequestId) {
        self.asked.insert(id, std::mem::take(&mut self.arrived));
    }

    /// Questions without an answer. They get lost with the leader or on the network, and without a
    /// leader raft drops them silently, so they are asked again.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = RequestId> {
        self.asked.keys().copied()
    }

    /// The leader proved its quorum and said how far it had committed.
    pub(super) fn answer(&mut self, id: RequestId, index: u64) {
        if let Some(waiters) = self.asked.remove(&id) {
            self.confirmed.entry(index).or_default().extend(waiters);
        }
    }

    /// Everything up to this index is applied and visible.
    pub(super) fn applied(&mut self, index: u64) {
        while let Some(first) = self.confirmed.first_entry().filter(|first| *first.key() <= index) {
            for waiter in first.remove() {
                // Whoever waited may have given up, which changes nothing.
                let _ = waiter.send(index);
            }
        }
    }

    /// Forgets those that nobody waits for any more.
    pub(super) fn sweep(&mut self) {
        self.asked.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RaftId;

    #[test]
    fn a_read_waits_for_its_index_to_be_applied() {
        let id = RequestId { origin: RaftId(1), life: 1, number: 1 };
        let mut reads = Reads::default();
        let (waiter, mut answer) = oneshot::channel();
        reads.arrive(waiter);
        reads.ask(id);
        reads.answer(id, 10);
        reads.applied(9);
        assert!(answer.try_recv().is_err());
        reads.applied(11);
        assert_eq!(answer.try_recv(), Ok(11));
    }

    #[test]
    fn a_read_that_arrives_after_the_question_gets_a_question_of_its_own() {
        let first = RequestId { origin: RaftId(1), life: 1, number: 1 };
        let mut reads = Reads::default();
        let (early, _early) = oneshot::channel();
        let (late, mut late_answer) = oneshot::channel();
        reads.arrive(early);
        reads.ask(first);
        reads.arrive(late);
        reads.answer(first, 10);
        reads.applied(10);
        assert!(late_answer.try_recv().is_err());
        assert!(reads.has_arrived());
    }
}
