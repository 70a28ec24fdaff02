//! Ports that are free now, and that the kernel does not give to whoever asks for any: they are taken some
//! time after this, and again by every later life of a daemon or an app.

use anyhow::bail;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below those that the kernel chooses from.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;

/// Processes that run side by side begin so far from each other.
const APART: u32 = 16;

/// So often another port is tried.
const TRIES: u32 = 1000;

/// A port that is free for TCP and UDP on each of these addresses.
pub fn free(addresses: &[Ipv4Addr]) -> anyhow::Result<u16> {
    for _ in 0..TRIES {
        let port = next();
        let is_free = |address: &Ipv4Addr| {
            TcpListener::bind((*address, port)).is_ok() && UdpSocket::bind((*address, port)).is_ok()
        };
        if addresses.iter().all(is_free) {
            return Ok(port);
        }
    }
    bail!("no port is free on {addresses:?}")
}

fn next() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(APART).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    FIRST + u16::try_from(number % u32::from(COUNT)).unwrap_or_default()
}
