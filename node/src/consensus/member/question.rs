//! What a linearizable read is called while raft asks for it.
//!
//! raft-rs tells reads apart by the name that the asker gave them, and an acknowledgement of one answers all
//! that were asked before it. So no name may come twice within a leader's term: one that is asked for again
//! after its answer got lost, or that the network delivers twice, stands behind newer reads, and what was
//! acknowledged long ago would answer those. The leader therefore adds a number of its own to each name that
//! comes in, and takes it off the answer.

use crate::consensus::request::RequestId;
use raft::eraftpb::{Message, MessageType};

/// A question of this member's own.
pub(super) fn marked(id: RequestId, number: u64) -> Vec<u8> {
    let mut name = id.to_bytes();
    name.extend(number.to_be_bytes());
    name
}

/// What was asked, without the mark.
pub(super) fn asked(name: &[u8]) -> Option<RequestId> {
    RequestId::from_bytes(name.get(..RequestId::LENGTH)?)
}

/// Gives a peer's question a name that did not come before.
pub(super) fn mark(message: &mut Message, number: u64) {
    if message.get_msg_type() == MessageType::MsgReadIndex
        && let Some(entry) = message.entries.first_mut()
        && let Some(id) = asked(&entry.data)
    {
        entry.data = marked(id, number).into();
    }
}

/// Gives the answer the name that the asker knows.
pub(super) fn unmark(message: &mut Message) {
    if message.get_msg_type() == MessageType::MsgReadIndexResp
        && let Some(entry) = message.entries.first_mut()
        && let Some(id) = asked(&entry.data)
    {
        entry.data = id.to_bytes().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RaftId;
    use raft::eraftpb::Entry;

    fn message(kind: MessageType, data: Vec<u8>) -> Message {
        let mut message = Message::default();
        message.set_msg_type(kind);
        message.entries.push(Entry { data: data.into(), ..Entry::default() });
        message
    }

    #[test]
    fn a_question_that_comes_again_has_another_name_and_its_answer_the_old_one() {
        let id = RequestId { origin: RaftId(2), life: 7, number: 3 };
        let mut first = message(MessageType::MsgReadIndex, id.to_bytes());
        let mut again = first.clone();
        mark(&mut first, 10);
        mark(&mut again, 11);
        assert_ne!(first.entries[0].data, again.entries[0].data);
        let mut forwarded = again.clone();
        mark(&mut forwarded, 12);
        assert_eq!(forwarded.entries[0].data, marked(id, 12));
        assert_eq!(asked(&forwarded.entries[0].data), Some(id));
        let mut answer = message(MessageType::MsgReadIndexResp, marked(id, 12));
        unmark(&mut answer);
        assert_eq!(answer.entries[0].data, id.to_bytes());
    }

    #[test]
    fn other_messages_keep_what_they_carry() {
        let mut entries = message(MessageType::MsgAppend, vec![1; 24]);
        mark(&mut entries, 1);
        unmark(&mut entries);
        assert_eq!(entries.entries[0].data, vec![1; 24]);
    }
}
