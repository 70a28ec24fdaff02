//! Ports that are free now. Somebody else may take one before it is used: then a daemon says so.

use anyhow::{Context as _, bail};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// So often another port is tried.
const TRIES: u32 = 100;

/// A port that is free for TCP and UDP on each of these addresses.
pub(super) fn free(addresses: &[Ipv4Addr]) -> anyhow::Result<u16> {
    let first = *addresses.first().context("at least one address")?;
    for _ in 0..TRIES {
        let port = TcpListener::bind((first, 0))?.local_addr()?.port();
        let is_free = |address: &Ipv4Addr| {
            TcpListener::bind((*address, port)).is_ok() && UdpSocket::bind((*address, port)).is_ok()
        };
        if addresses.iter().all(is_free) {
            return Ok(port);
        }
    }
    bail!("no port is free on {addresses:?}")
}
