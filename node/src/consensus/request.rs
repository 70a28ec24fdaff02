//! Ids of requests, and the wire form of what a member forwards to the leader.

use super::machine::StateMachine;
use super::membership::MembershipChange;
use crate::ids::{NodeId, RaftId};
use bytes::Bytes;
use prost::Message as _;
use protobuf::Message as _;
use raft::eraftpb::ConfChangeV2;

/// Identifies one attempt of a proposal or read across the cluster. It travels as the entry's context,
/// so the member that asked recognises its own entry when it applies it, whoever led in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RequestId {
    pub(super) origin: RaftId,
    /// Random per start of a member, so that ids of an earlier life never match.
    pub(super) life: u64,
    pub(super) number: u64,
}

impl RequestId {
    pub(super) const LENGTH: usize = 24;

    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.origin.0, self.life, self.number].iter().flat_map(|part| part.to_be_bytes()).collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LENGTH] = bytes.try_into().ok()?;
        let part = |at: usize| bytes[at..at + 8].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Some(Self { origin: RaftId(part(0)), life: part(8), number: part(16) })
    }
}

/// What goes into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// An entry for the state machine.
    Command(Bytes),
    /// A change of the raft configuration.
    Membership(MembershipChange),
}

/// What a member asks of the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Propose { id: RequestId, payload: Payload },
    TransferLeadership { to: RaftId },
}

/// What the leader, or who was taken for it, answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It is in the leader's log; whether it commits shows when it is applied.
    Accepted(Position),
    /// Leadership is on its way to the target.
    Transferring,
    /// Ask somebody else. Nothing was done.
    NotLeader,
    /// Not now: ask again. Nothing was done.
    Busy,
    /// It makes no sense to ask again. Nothing was done.
    Refused(String),
}

/// A place in the log. An entry is identified by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) index: u64,
    pub(super) term: u64,
}

/// Why the state machine does not admit what this peer wants proposed. Anything else is for whoever
/// serves it.
pub(super) fn refusal<S: StateMachine>(peer: NodeId, request: &Bytes) -> Option<String> {
    let Ok(Request::Propose { payload: Payload::Command(entry), .. }) = Request::decode(request.clone())
    else {
        return None;
    };
    let error = S::admit(peer, &entry).err()?;
    tracing::warn!(%peer, %error, "a forwarded entry is refused");
    Some(error.to_string())
}

/// The peer sent something that this version does not understand.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a consensus request that this version knows")]
pub(super) struct Unintelligible;

#[derive(Clone, PartialEq, prost::Message)]
struct WireRequest {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(oneof = "WireBody", tags = "2, 3, 4")]
    body: Option<WireBody>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum WireBody {
    #[prost(bytes = "bytes", tag = "2")]
    Command(Bytes),
    #[prost(bytes = "vec", tag = "3")]
    Membership(Vec<u8>),
    #[prost(uint64, tag = "4")]
    TransferTo(u64),
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireReply {
    #[prost(oneof = "WireAnswer", tags = "1, 2, 3, 4, 5")]
    answer: Option<WireAnswer>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum WireAnswer {
    #[prost(message, tag = "1")]
    Accepted(WirePosition),
    #[prost(message, tag = "2")]
    Transferring(WireEmpty),
    #[prost(message, tag = "3")]
    NotLeader(WireEmpty),
    #[prost(message, tag = "4")]
    Busy(WireEmpty),
    #[prost(string, tag = "5")]
    Refused(String),
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct WireEmpty {}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct WirePosition {
    #[prost(uint64, tag = "1")]
    index: u64,
    #[prost(uint64, tag = "2")]
    term: u64,
}

impl Request {
    pub(super) fn encode(&self) -> Bytes {
        let (id, body) = match self {
            Self::Propose { id, payload: Payload::Command(command) } => {
                (id.to_bytes(), WireBody::Command(command.clone()))
            }
            Self::Propose { id, payload: Payload::Membership(change) } => {
                let change = change.to_conf_change().write_to_bytes();
                (id.to_bytes(), WireBody::Membership(change.expect("a conf change has no required fields")))
            }
            Self::TransferLeadership { to } => (Vec::new(), WireBody::TransferTo(to.0)),
        };
        WireRequest { id, body: Some(body) }.encode_to_vec().into()
    }

    pub(super) fn decode(bytes: Bytes) -> Result<Self, Unintelligible> {
        let wire = WireRequest::decode(bytes).map_err(|_| Unintelligible)?;
        let id = || RequestId::from_bytes(&wire.id).ok_or(Unintelligible);
        match wire.body.ok_or(Unintelligible)? {
            WireBody::Command(command) => Ok(Self::Propose { id: id()?, payload: Payload::Command(command) }),
            WireBody::Membership(change) => {
                let change = ConfChangeV2::parse_from_bytes(&change).map_err(|_| Unintelligible)?;
                let change = MembershipChange::from_conf_change(&change);
                Ok(Self::Propose { id: id()?, payload: Payload::Membership(change) })
            }
            WireBody::TransferTo(to) => Ok(Self::TransferLeadership { to: RaftId(to) }),
        }
    }
}

impl Reply {
    pub(super) fn encode(self) -> Bytes {
        let answer = match self {
            Self::Accepted(Position { index, term }) => WireAnswer::Accepted(WirePosition { index, term }),
            Self::Transferring => WireAnswer::Transferring(WireEmpty {}),
            Self::NotLeader => WireAnswer::NotLeader(WireEmpty {}),
            Self::Busy => WireAnswer::Busy(WireEmpty {}),
            Self::Refused(reason) => WireAnswer::Refused(reason),
        };
        WireReply { answer: Some(answer) }.encode_to_vec().into()
    }

    pub(super) fn decode(bytes: Bytes) -> Result<Self, Unintelligible> {
        let wire = WireReply::decode(bytes).map_err(|_| Unintelligible)?;
        Ok(match wire.answer.ok_or(Unintelligible)? {
            WireAnswer::Accepted(WirePosition { index, term }) => Self::Accepted(Position { index, term }),
            WireAnswer::Transferring(WireEmpty {}) => Self::Transferring,
            WireAnswer::NotLeader(WireEmpty {}) => Self::NotLeader,
            WireAnswer::Busy(WireEmpty {}) => Self::Busy,
            WireAnswer::Refused(reason) => Self::Refused(reason),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_survive_the_wire() {
        let id = RequestId { origin: RaftId(3), life: u64::MAX - 5, number: 77 };
        for request in [
            Request::Propose { id, payload: Payload::Command(Bytes::from_static(b"entry")) },
            Request::Propose { id, payload: Payload::Membership(MembershipChange::remove(RaftId(9))) },
            Request::TransferLeadership { to: RaftId(2) },
        ] {
            assert_eq!(Request::decode(request.encode()), Ok(request));
        }
        for reply in [
            Reply::Accepted(Position { index: 12, term: 3 }),
            Reply::Transferring,
            Reply::NotLeader,
            Reply::Busy,
            Reply::Refused("no".to_owned()),
        ] {
            assert_eq!(Reply::decode(reply.clone().encode()), Ok(reply));
        }
    }

    #[test]
    fn garbage_is_an_error() {
        assert_eq!(Request::decode(Bytes::from_static(b"\xff\xff\xff")), Err(Unintelligible));
        assert_eq!(Request::decode(Bytes::new()), Err(Unintelligible));
        assert_eq!(Reply::decode(Bytes::new()), Err(Unintelligible));
    }
}
