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
        left: Departure,
    },
    Request {
        to: usize,
        from: usize,
        request: Bytes,
        asked: Asked,
    },
    Reply {
        to: usize,
        from: usize,
        asked: Asked,
        reply: Option<Bytes>,
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

/// What a request is the asker's, so that it knows the answer again.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub call: CallId,
    pub number: u32,
    /// Which life of it asked.
    pub boot: u64,
}

/// When something left, and which life of its sender it left.
#[derive(Clone, Copy, Debug)]
pub struct Departure {
    pub life: u64,
    pub at: Duration,
}

/// The end of a fault.
#[derive(Clone, Debug)]
pub enum Relief {
    StartDaemon(usize),
    PowerOn(usize),
    Mend {
        links: Vec<(usize, usize)>,
    },
    Hurry(usize),
    Calm,
    FreeDisk(usize),
    FastDisk(usize),
    /// The release root can be written again.
    FreeRoot(usize),
    /// VMs come up again.
    Boot(usize),
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
