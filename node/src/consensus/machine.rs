//! What consensus replicates: any deterministic state machine over opaque entries.

/// Failure of [`StateMachine::restore`]; the machine's own error, whatever it is.
pub type RestoreError = Box<dyn std::error::Error + Send + Sync>;

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

    /// Applies one committed entry.
    fn apply(&mut self, index: u64, entry: &[u8]) -> Self::Outcome;

    /// The whole state as bytes that [`StateMachine::restore`] understands, on any member.
    fn snapshot(&self) -> Vec<u8>;

    /// Replaces the state by that of a snapshot.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), RestoreError>;

    /// The picture of the state as it is now.
    fn view(&self) -> Self::View;
}
