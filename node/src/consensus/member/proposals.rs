//! Proposals of this member that are on their way through the log, and how each of them ends.

use crate::consensus::membership::Membership;
use crate::consensus::request::{Position, RequestId};
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// What came of an entry that was applied here.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::consensus) enum Applied<O> {
    /// The state machine's answer.
    Command(O),
    /// The configuration after a change.
    Membership(Membership),
    /// Raft could not carry the change out.
    Refused(String),
}

/// The proposal will not be answered by an entry that is applied here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::consensus) enum Lost {
    /// Another entry took its place: it was not applied and never will be.
    Overwritten,
    /// A snapshot came in its place: it may be part of that.
    BehindSnapshot,
}

pub(in crate::consensus) type Waiter<O> = oneshot::Sender<Result<Applied<O>, Lost>>;

pub(super) struct Proposals<O> {
    waiting: BTreeMap<RequestId, Waiter<O>>,
    /// Those of which the place in the log is known, by index.
    placed: BTreeMap<u64, (u64, RequestId)>,
    /// Place and term of the last entry that was applied.
    applied: Position,
}

impl<O> Proposals<O> {
    pub(super) fn new(applied: Position) -> Self {
        Self { waiting: BTreeMap::new(), placed: BTreeMap::new(), applied }
    }

    pub(super) fn insert(&mut self, id: RequestId, waiter: Waiter<O>) {
        self.waiting.insert(id, waiter);
    }

    /// A leader put the proposal at this place.
    pub(super) fn place(&mut self, id: RequestId, at: Position) {
        if !self.waiting.contains_key(&id) {
            return;
        }
        // Whatever was applied there was not this one, or nobody would be waiting any more.
        if at.index <= self.applied.index || at.term < self.applied.term {
            self.lose(id, Lost::Overwritten);
        } else {
            self.placed.insert(at.index, (at.term, id));
        }
    }

    /// An entry is being applied. Returns who waits for it; everybody whose entry can no longer come
    /// is told so.
    pub(super) fn applied(&mut self, at: Position, id: Option<RequestId>) -> Option<Waiter<O>> {
        let waiter = id.and_then(|id| self.waiting.remove(&id));
        // Terms never fall along the log, so behind an entry of this term there is none of an older one.
        let term_rose = at.term > self.applied.term;
        self.applied = at;
        let mut gone = Vec::new();
        self.placed.retain(|index, (term, id)| {
            let stays = *index > at.index && !(term_rose && *term < at.term);
            if !stays {
                gone.push(*id);
            }
            stays
        });
        for id in gone {
            self.lose(id, Lost::Overwritten);
        }
        waiter
    }

    /// The state jumped to that of a snapshot.
    pub(super) fn jumped(&mut self, to: Position) {
        self.applied = to;
        let behind: Vec<_> = self.placed.values().map(|(_, id)| *id).collect();
        self.placed.clear();
        for id in behind {
            self.lose(id, Lost::BehindSnapshot);
        }
    }

    /// Forgets those that nobody waits for any more.
    pub(super) fn sweep(&mut self) {
        self.waiting.retain(|_, waiter| !waiter.is_closed());
        self.placed.retain(|_, (_, id)| self.waiting.contains_key(id));
    }

    fn lose(&mut self, id: RequestId, lost: Lost) {
        if let Some(waiter) = self.waiting.remove(&id) {
            // Whoever waited may have given up, which changes nothing.
            let _ = waiter.send(Err(lost));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RaftId;

    type Answer = oneshot::Receiver<Result<Applied<u32>, Lost>>;

    fn id(number: u64) -> RequestId {
        RequestId { origin: RaftId(1), life: 7, number }
    }

    fn at(index: u64, term: u64) -> Position {
        Position { index, term }
    }

    fn waiting(proposals: &mut Proposals<u32>, number: u64) -> Answer {
        let (waiter, answer) = oneshot::channel();
        proposals.insert(id(number), waiter);
        answer
    }

    #[test]
    fn the_proposer_is_found_wherever_its_entry_ends_up() {
        let mut proposals = Proposals::new(at(5, 1));
        let _answer = waiting(&mut proposals, 1);
        proposals.place(id(1), at(9, 1));
        assert!(proposals.applied(at(6, 1), Some(id(1))).is_some());
        assert!(proposals.applied(at(9, 1), Some(id(1))).is_none(), "answered once");
    }

    #[test]
    fn another_entry_in_its_place_means_overwritten() {
        let mut proposals = Proposals::new(at(5, 1));
        let mut answer = waiting(&mut proposals, 1);
        proposals.place(id(1), at(6, 1));
        assert!(proposals.applied(at(6, 2), None).is_none());
        assert_eq!(answer.try_recv(), Ok(Err(Lost::Overwritten)));
    }

    #[test]
    fn an_entry_of_a_later_term_overwrites_all_that_was_placed_behind_it() {
        let mut proposals = Proposals::new(at(5, 1));
        let mut behind = waiting(&mut proposals, 1);
        let mut later = waiting(&mut proposals, 2);
        proposals.place(id(1), at(20, 1));
        proposals.place(id(2), at(21, 2));
        proposals.applied(at(6, 2), None);
        assert_eq!(behind.try_recv(), Ok(Err(Lost::Overwritten)));
        assert!(later.try_recv().is_err(), "of the new term: still on its way");
    }

    #[test]
    fn placed_too_late_means_overwritten() {
        let mut proposals = Proposals::new(at(5, 1));
        let mut answer = waiting(&mut proposals, 1);
        proposals.place(id(1), at(5, 1));
        assert_eq!(answer.try_recv(), Ok(Err(Lost::Overwritten)));
    }

    #[test]
    fn a_snapshot_leaves_the_outcome_unknown() {
        let mut proposals = Proposals::new(at(5, 1));
        let mut answer = waiting(&mut proposals, 1);
        proposals.place(id(1), at(6, 1));
        proposals.jumped(at(100, 3));
        assert_eq!(answer.try_recv(), Ok(Err(Lost::BehindSnapshot)));
    }

    #[test]
    fn proposals_that_nobody_waits_for_are_forgotten() {
        let mut proposals = Proposals::<u32>::new(at(5, 1));
        drop(waiting(&mut proposals, 1));
        proposals.place(id(1), at(6, 1));
        proposals.sweep();
        assert!(proposals.waiting.is_empty() && proposals.placed.is_empty());
    }
}
