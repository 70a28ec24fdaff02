//! What gossip amounts to, as a value: one member per node of the roster. Pure.

use super::facts::{AppGossip, Facts};
use crate::clock::Monotonic;
use crate::ids::{AppName, NodeId};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The nodes of the cluster and where they listen, from the replicated state.
pub type Roster = BTreeMap<NodeId, SocketAddr>;

/// What gossip says of every node of the roster, this one included. A hint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// One entry per node of the roster.
    pub members: BTreeMap<NodeId, Member>,
}

/// What gossip says of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it listens: as it says itself while it is alive, else as the roster says.
    pub address: SocketAddr,
    /// Whether it is heard.
    pub liveness: Liveness,
    /// The version of its daemon, when last heard.
    pub daemon_version: Option<String>,
    /// Its apps, when last heard.
    pub apps: BTreeMap<AppName, AppGossip>,
}

/// Whether a node is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Its heartbeat advances.
    Alive,
    /// It was alive, then its heartbeat stopped; that was noticed at this point of this process's
    /// clock.
    Dead { since: Monotonic },
    /// No heartbeat of it has advanced since this daemon started.
    Unknown,
}

/// What a living node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) address: SocketAddr,
    pub(super) facts: Facts,
}

impl View {
    /// The nodes that are heard.
    pub fn alive(&self) -> impl Iterator<Item = (&NodeId, &Member)> {
        self.members.iter().filter(|(_, member)| member.liveness == Liveness::Alive)
    }

    /// The view that follows from `self` once these nodes are heard and no others. Nodes that left
    /// the roster are dropped; nodes that are not on it are never shown.
    pub(super) fn next(&self, roster: &Roster, heard: &BTreeMap<NodeId, Heard>, now: Monotonic) -> Self {
        let member = |(id, address): (&NodeId, &SocketAddr)| {
            let member = match (heard.get(id), self.members.get(id)) {
                (Some(heard), _) => Member::alive(heard),
                (None, Some(before)) => before.unheard(*address, now),
                (None, None) => Member::unknown(*address),
            };
            (*id, member)
        };
        Self { members: roster.iter().map(member).collect() }
    }

    /// Nobody can be told alive or dead any more.
    pub(super) fn blind(&self) -> Self {
        let unknown = |(id, member): (&NodeId, &Member)| {
            let liveness = Liveness::Unknown;
            (*id, Member { liveness, ..member.clone() })
        };
        Self { members: self.members.iter().map(unknown).collect() }
    }
}

impl Member {
    fn alive(heard: &Heard) -> Self {
        let Facts { daemon_version, apps } = heard.facts.clone();
        Self { address: heard.address, liveness: Liveness::Alive, daemon_version, apps }
    }

    fn unknown(address: SocketAddr) -> Self {
        Self { address, liveness: Liveness::Unknown, daemon_version: None, apps: BTreeMap::new() }
    }

    fn unheard(&self, address: SocketAddr, now: Monotonic) -> Self {
        let liveness = match self.liveness {
            Liveness::Alive => Liveness::Dead { since: now },
            Liveness::Dead { since } => Liveness::Dead { since },
            Liveness::Unknown => Liveness::Unknown,
        };
        Self { address, liveness, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn node(number: u64) -> NodeId {
        NodeId::from_parts(number, 0)
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    fn heard(number: u64, port: u16) -> BTreeMap<NodeId, Heard> {
        let facts = Facts { daemon_version: Some("0.1.0".to_owned()), apps: BTreeMap::new() };
        BTreeMap::from([(node(number), Heard { address: address(port), facts })])
    }

    #[test]
    fn a_node_never_heard_is_unknown_and_not_dead() {
        let roster = Roster::from([(node(1), address(1))]);
        let view = View::default().next(&roster, &BTreeMap::new(), at(1));
        let view = view.next(&roster, &BTreeMap::new(), at(100));
        assert_eq!(view.members[&node(1)].liveness, Liveness::Unknown);
    }

    #[test]
    fn death_keeps_its_time_and_the_last_facts_until_the_node_is_heard_again() {
        let roster = Roster::from([(node(1), address(1))]);
        let alive = View::default().next(&roster, &heard(1, 7), at(1));
        let dead = alive.next(&roster, &BTreeMap::new(), at(2)).next(&roster, &BTreeMap::new(), at(3));
        let member = &dead.members[&node(1)];
        assert_eq!(member.liveness, Liveness::Dead { since: at(2) });
        assert_eq!(member.daemon_version.as_deref(), Some("0.1.0"));
        assert_eq!(member.address, address(1));
        assert_eq!(dead.next(&roster, &heard(1, 7), at(4)), alive);
    }

    #[test]
    fn only_nodes_of_the_roster_are_shown() {
        let roster = Roster::from([(node(1), address(1))]);
        let view = View::default().next(&roster, &heard(2, 2), at(1));
        assert_eq!(view.members.keys().copied().collect::<Vec<_>>(), [node(1)]);
        assert_eq!(view.next(&Roster::new(), &heard(1, 1), at(2)), View::default());
    }
}
