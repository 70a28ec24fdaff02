//! What happens, and when.

use crate::daemon::calls::CallId;
use crate::schedule::Deed;
use bytes::Bytes;
use raft::eraftpb::Message;
use std::time::Duration;

#[derive(Debug)]
pub enum Event {
    /// A node wants to go on.
    Wake(usize),
    Message {
        to: usize,
        from: usize,
        message: Box<Message>,
    },
    Request {
        to: usize,
        from: usize,
        request: Bytes,
        call: CallId,
        number: u32,
        boot: u64,
    },
    Reply {
        to: usize,
        call: CallId,
        number: u32,
        reply: Option<Bytes>,
        boot: u64,
    },
    /// A node has done what it was busy with.
    Free(usize),
    /// Of the schedule, by its index.
    Deed(usize),
    /// A deed whose moment has come.
    Ambush(Box<Deed>),
    /// A fault ends.
    Relief(Relief),
    /// Operators look at what they are waiting for.
    Operators,
}

/// The end of a fault.
#[derive(Clone, Debug)]
pub enum Relief {
    StartDaemon(usize),
    PowerOn(usize),
    Mend { links: Vec<(usize, usize)> },
    Hurry(usize),
    Calm,
    FreeDisk(usize),
    FastDisk(usize),
    FreeRoot(usize),
    Fetch(usize),
}

pub(super) struct Due {
    pub(super) at: Duration,
    pub(super) number: u64,
    pub(super) event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
