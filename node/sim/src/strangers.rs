//! Strangers: peers with a certificate that does not let them in here, who speak to a host as a member would (S10).

use crate::genesis::{self, Shape};
use crate::random::Random;
use crate::schedule::{Deed, Planned};
use crate::world::World;
use bytes::Bytes;
use raft::eraftpb::{Message, MessageType};
use relupd::identity::PeerIdentity;
use relupd::ids::{ClusterId, NodeId};
use std::time::Duration;

/// What is wrong with its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guise {
    /// Another cluster has signed it, and a node here has the same number.
    OtherCluster,
    /// This cluster has signed it, and no node of this number was ever admitted.
    NeverAdmitted,
}

/// The strangers of some seeds.
pub fn draw(seed: u64, shape: &Shape, calm_at: Duration) -> Vec<Planned> {
    let mut random = Random::new(seed, "strangers");
    if !random.chance(250) {
        return Vec::new();
    }
    let latest = u64::try_from(calm_at.as_millis()).unwrap_or(u64::MAX);
    let mut one = |_| {
        let at = Duration::from_millis(random.between(1_000, latest));
        let guise = if random.chance(500) { Guise::OtherCluster } else { Guise::NeverAdmitted };
        let mut host = || usize::try_from(random.below(shape.hosts as u64)).unwrap_or_default();
        let (host, poses_as) = (host(), host());
        Planned { at, deed: Deed::Stranger { host, poses_as, guise } }
    };
    (0..3).map(&mut one).collect()
}

impl World {
    /// It wants this host's vote, in a term that nobody could refuse, and then the leadership for somebody else.
    pub fn intrude(&mut self, host: usize, poses_as: usize, guise: Guise) {
        let PeerIdentity::Node { cluster, node, serial } = self.nodes[poses_as].identity else { return };
        let (Some(to), Some(from)) = (self.nodes[host].raft, self.nodes[poses_as].raft) else { return };
        let peer = match guise {
            Guise::OtherCluster => PeerIdentity::Node { cluster: ClusterId::from_parts(7, 7), node, serial },
            Guise::NeverAdmitted => PeerIdentity::Node { cluster, node: NodeId::from_parts(7, 7), serial },
        };
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgRequestVote);
        (message.to, message.from, message.term) = (to.0, from.0, 1_000_000);
        (message.index, message.log_term) = (1_000_000, 1_000_000);
        let heard = self.arrives(host, &peer, genesis::address(poses_as), message);
        // A hand-over of leadership, as `consensus::request` writes it.
        let request = Bytes::from(vec![4 << 3, u8::try_from(from.0).unwrap_or_default()]);
        let answered = self.asks(host, &peer, request).is_some();
        if heard || answered {
            self.settle(host);
        }
    }
}
