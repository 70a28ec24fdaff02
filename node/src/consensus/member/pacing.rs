//! Appends to learners come at a bounded rate. A leader tells every peer of every entry, twice (that it is there,
//! that it is committed), and each answers: with a thousand learners that is four thousand messages an entry. Nobody
//! waits for a learner, so what one is to be told within a pause is joined into one message.
//!
//! Invariants: what was held is sent in its order or joined to what it follows, never dropped while this member
//! leads; what came after a pause without appends is not held at all.

use crate::clock::Monotonic;
use raft::eraftpb::{Message, MessageType};
use std::collections::BTreeMap;
use std::time::Duration;

/// So many appends a second go to all learners together, at most.
const APPENDS_PER_SECOND: u32 = 5000;

/// Shorter pauses would save little: up to 250 learners hear of everything at once.
const SHORTEST: Duration = Duration::from_millis(50);

/// A message does not grow beyond so many entries.
const MOST_ENTRIES: usize = 1024;

/// What learners have yet to be told.
#[derive(Default)]
pub(super) struct Pacing {
    /// Between two appends to one learner; `None` where there are few of them.
    pause: Option<Duration>,
    sent: Option<Monotonic>,
    held: BTreeMap<u64, Message>,
}

impl Pacing {
    /// There are so many learners from now on.
    pub(super) fn learners(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let pause = Duration::from_secs(1) / APPENDS_PER_SECOND * count;
        self.pause = (pause > SHORTEST).then_some(pause);
    }

    /// Whether anything is held at all.
    pub(super) const fn holds(&self) -> bool {
        self.pause.is_some()
    }

    /// What is to be sent at once of this message and what it was held for.
    pub(super) fn take(&mut self, message: Message, to_learner: bool) -> Option<Message> {
        let is_append = message.get_msg_type() == MessageType::MsgAppend;
        if self.pause.is_none() || !to_learner || !is_append {
            return Some(message);
        }
        let Some(held) = self.held.get_mut(&message.to) else {
            self.held.insert(message.to, message);
            return None;
        };
        if !follows(held, &message) || held.entries.len() + message.entries.len() > MOST_ENTRIES {
            return Some(std::mem::replace(held, message));
        }
        held.commit = held.commit.max(message.commit);
        held.entries.extend(message.entries);
        None
    }

    /// What is to be sent now.
    pub(super) fn due(&mut self, now: Monotonic) -> impl Iterator<Item = Message> {
        let is_due = match (self.sent, self.pause) {
            (Some(sent), Some(pause)) => now.since(sent) >= pause,
            (None, _) | (_, None) => true,
        };
        let due = if is_due { std::mem::take(&mut self.held) } else { BTreeMap::new() };
        if !due.is_empty() {
            self.sent = Some(now);
        }
        due.into_values()
    }

    /// Nothing of it is to be sent any more.
    pub(super) fn forget(&mut self) {
        self.held.clear();
    }
}

/// Whether the later message begins where the earlier one ends.
fn follows(earlier: &Message, later: &Message) -> bool {
    later.term == earlier.term && later.index == earlier.index + earlier.entries.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use raft::eraftpb::Entry;

    const MANY: usize = 1000;

    fn append(term: u64, after: u64, count: u64, commit: u64) -> Message {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgAppend);
        (message.to, message.term, message.index, message.commit) = (9, term, after, commit);
        let entries = (after + 1..=after + count).map(|index| Entry { index, term, ..Entry::default() });
        message.set_entries(entries.collect());
        message
    }

    fn pacing(learners: usize) -> Pacing {
        let mut pacing = Pacing::default();
        pacing.learners(learners);
        pacing
    }

    fn at(millis: u64) -> Monotonic {
        Monotonic::default() + Duration::from_millis(millis)
    }

    #[test]
    fn a_few_learners_hear_of_everything_at_once() {
        let mut pacing = pacing(100);
        assert!(pacing.take(append(1, 5, 1, 5), true).is_some());
        assert!(!pacing.holds());
    }

    #[test]
    fn voters_hear_of_everything_at_once() {
        assert!(pacing(MANY).take(append(1, 5, 1, 5), false).is_some());
    }

    #[test]
    fn what_comes_after_a_silence_goes_at_once_and_the_rest_together() {
        let mut pacing = pacing(MANY);
        assert!(pacing.take(append(1, 5, 1, 5), true).is_none());
        assert_eq!(pacing.due(at(1000)).count(), 1);
        for (after, count, commit) in [(6, 0, 6), (6, 1, 6), (7, 2, 6), (9, 0, 9)] {
            assert!(pacing.take(append(1, after, count, commit), true).is_none());
            assert_eq!(pacing.due(at(1199)).count(), 0);
        }
        let due: Vec<_> = pacing.due(at(1200)).collect();
        let [one] = due.as_slice() else { panic!("{due:?}") };
        let entries: Vec<_> = one.entries.iter().map(|entry| entry.index).collect();
        assert_eq!((one.index, entries, one.commit), (6, vec![7, 8, 9], 9));
    }

    #[test]
    fn what_does_not_follow_is_not_joined() {
        let mut pacing = pacing(MANY);
        for other in [append(1, 5, 1, 5), append(1, 8, 1, 5), append(2, 6, 1, 5)] {
            assert!(pacing.take(append(1, 5, 1, 5), true).is_none());
            let sent = pacing.take(other.clone(), true).expect("the earlier one goes first");
            assert_eq!((sent.index, sent.entries.len()), (5, 1));
            assert_eq!(pacing.due(at(0)).next(), Some(other));
            pacing.sent = None;
        }
    }
}
