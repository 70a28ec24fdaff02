//! One exchange of gossip tells both sides all that either knows. So who has just been asked by a peer need
//! not ask it back in the same round, which in a small cluster, where everybody meets everybody, saves
//! half of all gossip.

use crate::clock::Monotonic;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// When which peer last opened an exchange with us.
pub(super) struct Exchanges {
    fresh_for: Duration,
    opened: HashMap<SocketAddr, Monotonic>,
}

impl Exchanges {
    /// Three quarters of the interval: whoever of two peers comes first goes on opening their exchanges,
    /// and the other one takes over as soon as one fails to come.
    pub(super) fn every(interval: Duration) -> Self {
        Self { fresh_for: interval * 3 / 4, opened: HashMap::new() }
    }

    pub(super) fn opened_by(&mut self, peer: SocketAddr, now: Monotonic) {
        let fresh_for = self.fresh_for;
        self.opened.retain(|_, at| now.since(*at) < fresh_for);
        self.opened.insert(peer, now);
    }

    /// Whether we should open one with this peer.
    pub(super) fn is_due(&self, peer: SocketAddr, now: Monotonic) -> bool {
        self.opened.get(&peer).is_none_or(|at| now.since(*at) >= self.fresh_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    #[test]
    fn who_has_just_been_asked_does_not_ask_back() {
        let (peer, other) = (SocketAddr::from(([127, 0, 0, 2], 1)), SocketAddr::from(([127, 0, 0, 3], 1)));
        let now = monotonic();
        let mut exchanges = Exchanges::every(Duration::from_millis(200));
        assert!(exchanges.is_due(peer, now));
        exchanges.opened_by(peer, now);
        assert!(!exchanges.is_due(peer, now + Duration::from_millis(149)));
        assert!(exchanges.is_due(other, now));
    }

    #[test]
    fn a_peer_that_fell_silent_is_asked_in_the_next_round() {
        let peer = SocketAddr::from(([127, 0, 0, 2], 1));
        let now = monotonic();
        let mut exchanges = Exchanges::every(Duration::from_millis(200));
        exchanges.opened_by(peer, now);
        assert!(exchanges.is_due(peer, now + Duration::from_millis(150)));
    }
}
