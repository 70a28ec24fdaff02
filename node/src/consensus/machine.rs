//! What consensus replicates: any deterministic state machine over opaque entries.

use crate::ids::NodeId;
use bytes::Bytes;

/// The state machine does not understand an entry or a snapshot; its own error, whatever it is.
pub type MachineError = Box<dyn std::error::Error + Send + Sync>;

/// A deterministic state machine: the same entries in the same order give the same state and the
/// same outcomes on every member.
///
/// An entry may be handed in twice under different indices, because a proposer whose leader got lost
/// proposes again. Entries therefore carry ids of their own, and applying one twice must answer with
/// the first outcome and change nothing.
pub trait StateMachine: Send + 'static {
    /// A cheap immutable picture of the state, typically an `Arc`. Published after each batch of
    /// applied entries, before the proposers of the batch get their outcomes.
    type View: Clone + Send + Sync + 'static;

    /// What applying one entry answered. It never leaves the member that applied the entry.
    type Outcome: Send + 'static;

    /// Whether a peer, whose identity the network has proven, may have this entry proposed. Asked before a
    /// forwarded entry goes into the log.
    ///
    /// # Errors
    /// Why it may not. It is told to the peer.
    fn admit(peer: NodeId, entry: &[u8]) -> Result<(), MachineError>;

    /// Applies one committed entry.
    ///
    /// # Errors
    /// Only where the entry cannot be understood, e.g. because a newer program wrote it. The member
    /// stops then: skipping what others apply would make the states differ. That a command is refused
    /// is an outcome.
    fn apply(&mut self, index: u64, entry: &[u8]) -> Result<Self::Outcome, MachineError>;

    /// The whole state as bytes that [`StateMachine::restore`] understands, on any member.
    fn snapshot(&self) -> Bytes;

    /// Replaces the state by that of a snapshot.
    ///
    /// # Errors
    /// Where the snapshot cannot be understood. The member stops then.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError>;

    /// The picture of the state as it is now.
    fn view(&self) -> Self::View;
}
