//! A line that takes its time. The kernels at hand have no netem: what a host says to its peers is sent to the harness
//! instead, which says it to them later, in the host's name.

use crate::hosts::install::PORT;
use crate::hosts::{Hosts, network};
use anyhow::{Context as _, ensure};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

const TABLE: &str = "inet delayed";

/// As much again as a heartbeat's interval and more: a line around half the world, badly chosen.
const DELAY: Duration = Duration::from_millis(150);

/// The harness hears what goes to the host of this number here, plus the number; one block for each host that speaks.
const PORTS: u16 = 7500;
const BLOCK: u16 = 16;

/// Longer than any datagram.
const DATAGRAM: usize = 65_536;

/// What is on its way, for as long as this is kept.
#[derive(Debug)]
pub(in crate::hosts) struct Line {
    _carriers: JoinSet<()>,
    carried: Arc<AtomicU64>,
}

pub(super) async fn begin(hosts: &mut Hosts, index: usize) -> anyhow::Result<()> {
    let host = &hosts.all()[index];
    let speaker = Arc::new(in_the_name_of(host.cluster_address()).context("a socket in a host's name")?);
    let carried = Arc::new(AtomicU64::new(0));
    let mut carriers = JoinSet::new();
    let mut rules = format!(
        "add table {TABLE}; add chain {TABLE} output {{ type route hook output priority -300; }}; \
         add rule {TABLE} output udp sport {PORT} udp dport {PORT} notrack"
    );
    let harness = network::harness_address();
    for (number, peer) in (0u16..).zip(hosts.all()) {
        let port = PORTS + BLOCK * u16::try_from(index)? + number;
        let peer = peer.cluster_address();
        let hears = UdpSocket::bind((harness, port)).await.context("a socket of the harness's own")?;
        carriers.spawn(carry(
            hears,
            Arc::clone(&speaker),
            SocketAddr::from((peer, PORT)),
            Arc::clone(&carried),
        ));
        rules += &format!(
            "; add rule {TABLE} output ip daddr {peer} udp sport {PORT} udp dport {PORT} \
             ip daddr set {harness} udp dport set {port}"
        );
    }
    host.run(&["nft", &rules]).await?;
    hosts.delayed.insert(index, Line { _carriers: carriers, carried });
    Ok(())
}

pub(super) async fn end(hosts: &mut Hosts, index: usize) -> anyhow::Result<()> {
    hosts.all()[index].run(&["nft", &format!("delete table {TABLE}")]).await?;
    let carried = hosts.delayed.remove(&index).map_or(0, |line| line.carried.load(Ordering::Relaxed));
    ensure!(carried > 0, "nothing that {} said was delayed", hosts.all()[index].name());
    Ok(())
}

/// Whatever is left of it.
pub(super) async fn forget(hosts: &mut Hosts, index: usize) {
    // There is none, as a rule.
    let _gone = hosts.all()[index].try_run(&["nft", &format!("delete table {TABLE}")]).await;
    hosts.delayed.remove(&index);
}

/// Binds to an address that is another host's.
fn in_the_name_of(address: Ipv4Addr) -> anyhow::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_ip_transparent_v4(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((address, PORT)).into())?;
    Ok(UdpSocket::from_std(socket.into())?)
}

async fn carry(hears: UdpSocket, speaker: Arc<UdpSocket>, to: SocketAddr, carried: Arc<AtomicU64>) {
    let mut buffer = vec![0; DATAGRAM];
    let mut on_their_way = JoinSet::new();
    loop {
        tokio::select! {
            heard = hears.recv(&mut buffer) => {
                let Ok(size) = heard else { continue };
                let (datagram, speaker) = (buffer[..size].to_vec(), Arc::clone(&speaker));
                carried.fetch_add(1, Ordering::Relaxed);
                on_their_way.spawn(async move {
                    tokio::time::sleep(DELAY).await;
                    // Datagrams get lost.
                    let _sent = speaker.send_to(&datagram, to).await;
                });
            }
            Some(_) = on_their_way.join_next() => {}
        }
    }
}
