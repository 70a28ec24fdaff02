//! Which commands a node may have proposed in whose name. Asked by a leader of what another daemon forwards
//! to it, before it goes into the log: there the peer's identity is proven, in the log it no longer is.

use crate::ids::NodeId;
use crate::state::command::{Actor, Command, Entry};

/// A node proposes what is not its to propose.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impostor {
    /// In another node's name.
    #[error("node {peer} proposes in the name of node {claimed}")]
    AnotherNode { peer: NodeId, claimed: NodeId },
    /// A report or a setting of another node.
    #[error("node {peer} speaks for node {about}")]
    AboutAnother { peer: NodeId, about: NodeId },
    /// The reconciler's decisions, in somebody else's name.
    #[error("node {peer} decides on a rollout, but not as its reconciler")]
    NotTheReconciler { peer: NodeId },
    /// What only people order, in a node's own name.
    #[error("node {peer} gives an order of an operator's in its own name")]
    NotAnOperator { peer: NodeId },
}

/// Whose a command is.
enum Source {
    /// This node's own, and nobody else's.
    Node(NodeId),
    /// Any daemon's, for the cluster: it carries its own proof, or is checked when applied.
    AnyDaemon,
    /// The reconciler's.
    Reconciler,
    /// A person's.
    Person,
    /// A person's, or the reconciler's for a catch-up.
    PersonOrReconciler,
}

impl Entry {
    /// Whether this node, whose identity is proven, may have this entry proposed. That a person stands behind
    /// it is not proven by this: the node has authenticated them, and is trusted in that.
    ///
    /// # Errors
    /// Where the node poses as somebody else.
    pub fn may_come_from(&self, peer: NodeId) -> Result<(), Impostor> {
        let (by, reconciler) = match &self.actor {
            Actor::Operator(_) => (None, false),
            Actor::Local { node, .. } => (Some(*node), false),
            Actor::Agent(node) => (Some(*node), false),
            Actor::Reconciler(node) => (Some(*node), true),
        };
        if let Some(claimed) = by.filter(|claimed| *claimed != peer) {
            return Err(Impostor::AnotherNode { peer, claimed });
        }
        let person = matches!(self.actor, Actor::Operator(_) | Actor::Local { .. });
        match self.command.source() {
            Source::Node(about) if about != peer => Err(Impostor::AboutAnother { peer, about }),
            Source::Reconciler if !reconciler => Err(Impostor::NotTheReconciler { peer }),
            Source::Person if !person => Err(Impostor::NotAnOperator { peer }),
            Source::PersonOrReconciler if !person && !reconciler => Err(Impostor::NotAnOperator { peer }),
            Source::Node(_)
            | Source::AnyDaemon
            | Source::Reconciler
            | Source::Person
            | Source::PersonOrReconciler => Ok(()),
        }
    }
}

impl Command {
    const fn source(&self) -> Source {
        match self {
            Self::DescribeNode { node, .. }
            | Self::RequestCertificate { node, .. }
            | Self::Report { node, .. }
            | Self::Observe { node, .. }
            | Self::ReportOrphan { node, .. } => Source::Node(*node),
            Self::AdmitNode { .. } | Self::RenewCertificate { .. } | Self::SealAuthorityKey { .. } => {
                Source::AnyDaemon
            }
            Self::Decide { .. } => Source::Reconciler,
            #[cfg(feature = "next-format")]
            Self::Remark { .. } => Source::Person,
            Self::SavePlan { .. } | Self::StartRollout { .. } => Source::PersonOrReconciler,
            Self::IssueToken { .. }
            | Self::RemoveNode { .. }
            | Self::RaiseFormat { .. }
            | Self::AddOperator { .. }
            | Self::RevokeOperator { .. }
            | Self::RegisterRelease { .. }
            | Self::ApplyApp { .. }
            | Self::SetRunning { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Promote { .. }
            | Self::Abort { .. }
            | Self::LiftQuarantine { .. }
            | Self::RepairNode { .. } => Source::Person,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CommandId, RolloutId};
    use jiff::Timestamp;

    fn node(number: u64) -> NodeId {
        NodeId::from_parts(number, 0)
    }

    fn said(actor: Actor, command: Command) -> Result<(), Impostor> {
        let entry = Entry { id: CommandId::from_parts(1, 1), actor, at: Timestamp::UNIX_EPOCH, command };
        entry.may_come_from(node(1))
    }

    fn request_of(number: u64) -> Command {
        Command::RequestCertificate { node: node(number), request: vec![] }
    }

    fn decide() -> Command {
        Command::Decide { rollout: RolloutId(1), revision: 0, decisions: vec![] }
    }

    #[test]
    fn a_node_proposes_in_its_own_name_only() {
        for actor in
            [Actor::Agent(node(2)), Actor::Reconciler(node(2)), Actor::Local { node: node(2), uid: 0 }]
        {
            let posed = said(actor, Command::Pause { rollout: RolloutId(1) });
            assert_eq!(posed, Err(Impostor::AnotherNode { peer: node(1), claimed: node(2) }));
        }
    }

    #[test]
    fn a_node_speaks_for_itself_only() {
        assert_eq!(said(Actor::Agent(node(1)), request_of(1)), Ok(()));
        for actor in [Actor::Agent(node(1)), Actor::Operator("ann".to_owned())] {
            let posed = said(actor, request_of(2));
            assert_eq!(posed, Err(Impostor::AboutAnother { peer: node(1), about: node(2) }));
        }
    }

    #[test]
    fn agents_give_no_orders_and_only_a_reconciler_decides() {
        let pause = || Command::Pause { rollout: RolloutId(1) };
        assert_eq!(said(Actor::Agent(node(1)), pause()), Err(Impostor::NotAnOperator { peer: node(1) }));
        assert_eq!(said(Actor::Reconciler(node(1)), pause()), Err(Impostor::NotAnOperator { peer: node(1) }));
        assert_eq!(said(Actor::Operator("ann".to_owned()), pause()), Ok(()));
        assert_eq!(said(Actor::Agent(node(1)), decide()), Err(Impostor::NotTheReconciler { peer: node(1) }));
        assert_eq!(said(Actor::Reconciler(node(1)), decide()), Ok(()));
    }

    #[test]
    fn plans_are_made_by_people_and_for_a_catch_up_by_the_reconciler() {
        let start = || Command::StartRollout { plan: crate::ids::PlanId(1) };
        let local = Actor::Local { node: node(1), uid: 0 };
        for actor in [Actor::Operator("ann".to_owned()), local, Actor::Reconciler(node(1))] {
            assert_eq!(said(actor, start()), Ok(()));
        }
        assert_eq!(said(Actor::Agent(node(1)), start()), Err(Impostor::NotAnOperator { peer: node(1) }));
    }
}
