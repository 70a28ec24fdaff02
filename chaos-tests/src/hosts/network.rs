//! Two networks inside the run's own namespace: the dedicated one, where daemons talk, and the public
//! one, where clients are. The harness is a machine on both.

use super::tool;
use std::net::Ipv4Addr;

/// The bridge of the dedicated network.
pub(super) const CLUSTER: &str = "cluster";

/// The bridge of the public network.
pub(super) const PUBLIC: &str = "public";

/// A host's number on the dedicated network.
#[must_use]
pub const fn cluster_address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}

/// A host's number on the public network.
#[must_use]
pub const fn public_address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 88, 0, number)
}

/// The harness's own number.
const HARNESS: u8 = 254;

/// Where the harness is on the dedicated network.
pub(super) const fn harness_address() -> Ipv4Addr {
    cluster_address(HARNESS)
}

/// Makes the bridges; they end with the namespace.
pub(super) fn make() -> anyhow::Result<()> {
    ip(&["link", "set", "lo", "up"])?;
    for (bridge, address) in [(CLUSTER, cluster_address(HARNESS)), (PUBLIC, public_address(HARNESS))] {
        ip(&["link", "add", bridge, "type", "bridge"])?;
        ip(&["link", "set", bridge, "up"])?;
        ip(&["addr", "add", &format!("{address}/24"), "dev", bridge])?;
    }
    Ok(())
}

/// Plugs a host's cable into the public network.
pub(super) fn plug(link: &str) -> anyhow::Result<()> {
    ip(&["link", "set", link, "master", PUBLIC, "up"])
}

/// Takes a cable away that a host has left; one that went with the host is no matter.
pub(super) fn unplug(link: &str) {
    let _gone = ip(&["link", "delete", link]);
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    tool::run("ip", arguments).map(drop)
}
