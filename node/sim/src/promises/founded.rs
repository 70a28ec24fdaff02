//! S12, at its root: what a member says to another one, so that it is counted on, is on its disk by then.

use super::{Violation, broken};
use crate::disk::Told;
use raft::eraftpb::{Message, MessageType};
use relupd::ids::NodeId;

/// S12, asked when a member hands out a message: entries that it says it has, the vote that it gives and the one
/// that it asks for itself with are on its disk, where a loss of power does not undo them.
#[must_use]
pub fn what_a_member_says_is_on_its_disk(node: NodeId, message: &Message, told: Told) -> Option<Violation> {
    let votes_for =
        |candidate| told.term > message.term || (told.term == message.term && told.vote == candidate);
    let is_founded = match message.get_msg_type() {
        MessageType::MsgAppendResponse => message.reject || message.index <= told.last,
        MessageType::MsgRequestVote => votes_for(message.from),
        MessageType::MsgRequestVoteResponse => message.reject || votes_for(message.to),
        _ => true,
    };
    (!is_founded).then(|| {
        let kind = message.get_msg_type();
        let detail = format!(
            "node {node} says {kind:?} of index {} in term {}, and its disk has {told:?}",
            message.index, message.term
        );
        broken("S12", detail)
    })
}
