//! Errors of the handle: each says what is known about the effect and what to do next.

use super::machine::MachineError;
use super::storage::StorageError;
use crate::ids::RaftId;
use std::time::Duration;

/// Starting a member failed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The stored snapshot is not understood by the state machine.
    #[error(
        "the stored state cannot be restored: it was written by another version of relupd, or is damaged"
    )]
    Restore(#[source] MachineError),
    /// raft-rs refused the configuration or the stored state.
    #[error("raft refused to start from the stored state")]
    Raft(#[source] raft::Error),
    /// No thread for the member.
    #[error("no thread for the consensus member")]
    Thread(#[source] std::io::Error),
}

/// Why a member ended on its own. The daemon must stop with it: what was promised to the other members
/// may no longer hold here.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// The state file could not be written or read.
    #[error("the consensus member stopped because its state file failed")]
    Storage(#[from] StorageError),
    /// A snapshot from the leader is not understood.
    #[error("a snapshot from the leader cannot be restored: is this relupd older than the leader's?")]
    Restore(#[source] MachineError),
    /// The state machine does not understand a committed entry.
    #[error("entry {index} of the log cannot be applied: is this relupd older than the leader's?")]
    Apply {
        /// Its index.
        index: u64,
        /// What the state machine said.
        #[source]
        source: MachineError,
    },
    /// A committed change of the configuration is not understood.
    #[error("entry {index} of the log is damaged: {reason}")]
    Entry {
        /// Its index.
        index: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// raft-rs met a state that it considers impossible.
    #[error("raft stopped with an error")]
    Raft(#[source] raft::Error),
    /// The member's thread panicked.
    #[error("the consensus member panicked; its last words are in the log")]
    Panicked,
}

/// A proposal has no outcome to show.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProposeError {
    /// Nobody took it. It was not applied and never will be.
    #[error("no quorum: no leader took the proposal within {}; nothing was changed. Check with `relupctl cluster status` which voters are reachable", humantime::format_duration(*after))]
    NoQuorum {
        /// How long it was tried.
        after: Duration,
    },
    /// A leader may have taken it before contact was lost. Proposing the same entry again is safe,
    /// because entries carry ids.
    #[error(
        "outcome unknown: contact with the leader was lost, and the command may or may not take effect. Look at the \
         state, or send the same command again"
    )]
    Unknown,
    /// The leader refused it.
    #[error("the proposal was refused: {reason}")]
    Refused {
        /// What the leader said.
        reason: String,
    },
    /// The member has stopped or is stopping.
    #[error("this daemon is shutting down; send the command to another node")]
    Stopped,
}

/// A linearizable read could not be proven.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReadError {
    /// No leader could prove its quorum.
    #[error("no quorum: no leader confirmed the read within {}. Check with `relupctl cluster status` which voters are reachable", humantime::format_duration(*after))]
    NoQuorum {
        /// How long it was tried.
        after: Duration,
    },
    /// The member has stopped or is stopping.
    #[error("this daemon is shutting down; ask another node")]
    Stopped,
}

/// Leadership did not move.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TransferError {
    /// The leader will not hand over to it.
    #[error("leadership was not handed to raft id {to}: {reason}")]
    Refused {
        /// The target.
        to: RaftId,
        /// What the leader said.
        reason: String,
    },
    /// The target did not take over in time.
    #[error("raft id {to} did not take over within {}; leadership stays where it is", humantime::format_duration(*after))]
    NotTakenOver {
        /// The target.
        to: RaftId,
        /// How long it was waited for.
        after: Duration,
    },
    /// The member has stopped or is stopping.
    #[error("this daemon is shutting down; ask another node")]
    Stopped,
}

/// A message from the network was not let in.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReceiveError {
    /// Not a raft message.
    #[error("raft id {from} sent something that is no raft message: {reason}")]
    Malformed {
        /// The authenticated sender.
        from: RaftId,
        /// What the decoder said.
        reason: String,
    },
    /// The message claims another sender than the connection proved. Close the connection.
    #[error("raft id {from} sent a message in the name of raft id {claimed}")]
    WrongSender {
        /// The authenticated sender.
        from: RaftId,
        /// Whom the message names.
        claimed: RaftId,
    },
    /// The message is for somebody else: the sender has a wrong address for this node.
    #[error("raft id {from} sent a message for raft id {meant} to raft id {here}")]
    WrongReceiver {
        /// The authenticated sender.
        from: RaftId,
        /// Whom the message is for.
        meant: RaftId,
        /// This member.
        here: RaftId,
    },
    /// A kind of message that members never send to each other.
    #[error("raft id {from} sent a message of a kind that stays within a member: {kind}")]
    LocalKind {
        /// The authenticated sender.
        from: RaftId,
        /// The kind.
        kind: String,
    },
    /// The member has stopped.
    #[error("this member has stopped")]
    Stopped,
}
