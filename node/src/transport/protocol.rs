//! The protocols between daemons. Each has its own ALPN, so that a connection is judged and served
//! by exactly one of them, and each can change its version by itself.

use std::fmt;

/// A protocol between daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Who is alive, and where.
    Gossip,
    /// Agreement.
    Raft,
    /// Release files.
    Store,
    /// What a node would say to a planned upgrade.
    Preflight,
    /// Packages of relupd itself.
    Upgrade,
    /// How a host becomes a node; the only one for callers without a certificate.
    Join,
}

impl Protocol {
    /// Every protocol, as the endpoint offers them.
    pub const ALL: [Self; 6] =
        [Self::Gossip, Self::Raft, Self::Store, Self::Preflight, Self::Upgrade, Self::Join];

    /// The name in the TLS handshake.
    #[must_use]
    pub const fn alpn(self) -> &'static str {
        match self {
            Self::Gossip => "relupd-gossip/1",
            Self::Raft => "relupd-raft/1",
            Self::Store => "relupd-store/1",
            Self::Preflight => "relupd-preflight/1",
            Self::Upgrade => "relupd-upgrade/1",
            Self::Join => "relupd-join/1",
        }
    }

    pub(super) fn from_alpn(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.alpn().as_bytes() == name)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gossip => "gossip",
            Self::Raft => "raft",
            Self::Store => "store",
            Self::Preflight => "preflight",
            Self::Upgrade => "upgrade",
            Self::Join => "join",
        })
    }
}
