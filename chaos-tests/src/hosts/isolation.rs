//! What a stranger on the public network finds: the app, and nothing of relupd, EPMD or distribution.

use super::host::Host;
use super::install::PORT;
use super::{APP_PORT, Hosts, PUBLIC_PORT, tool};
use crate::report::Figure;
use crate::wait;
use anyhow::{Context as _, ensure};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A refusal takes microseconds here; whoever says nothing for so long has dropped the packet.
const PATIENCE: Duration = Duration::from_secs(1);

/// Until a program has begun to listen.
const LISTENS: Duration = Duration::from_secs(20);

/// So many connections are tried at once.
const AT_ONCE: usize = 512;

/// Looks from outside at every port of every host.
pub async fn play(hosts: &Hosts) -> anyhow::Result<Figure> {
    let mut strangers = 0;
    for host in hosts.all() {
        let open = open_ports(host.public_address()).await?;
        let foreign = |port: &u16| ![PUBLIC_PORT, APP_PORT].contains(port);
        let found: Vec<u16> = open.into_iter().filter(foreign).collect();
        ensure!(found.is_empty(), "{} answers on its public address at {found:?}", host.name());
        strangers += found.len() as u64;
        only_where_it_should(host).await?;
        not_by_the_other_way(host).await?;
    }
    distribution(hosts.all().first().context("a host")?).await?;
    Ok(Figure::exactly("ports_of_relupd_on_the_public_network", strangers, 0))
}

/// Every TCP port that takes a connection.
async fn open_ports(address: Ipv4Addr) -> anyhow::Result<Vec<u16>> {
    let mut open = Vec::new();
    let mut tries = JoinSet::new();
    let mut ports = 1..=u16::MAX;
    loop {
        while tries.len() < AT_ONCE
            && let Some(port) = ports.next()
        {
            tries.spawn(async move { (port, answers(SocketAddr::from((address, port))).await) });
        }
        match tries.join_next().await {
            None => break,
            Some(tried) => {
                let (port, answered) = tried?;
                open.extend(answered.then_some(port));
            }
        }
    }
    open.sort_unstable();
    Ok(open)
}

async fn answers(at: SocketAddr) -> bool {
    matches!(timeout(PATIENCE, TcpStream::connect(at)).await, Ok(Ok(_)))
}

async fn until_answers(at: SocketAddr) -> anyhow::Result<()> {
    wait::until(&format!("{at} answers"), LISTENS, async || Ok(answers(at).await.then_some(()))).await
}

/// A datagram that nobody answers proves nothing: the host's own list of sockets does.
async fn only_where_it_should(host: &Host) -> anyhow::Result<()> {
    let list = host.run(&["ss", "--no-header", "--listening", "--udp", "--tcp", "--numeric"]).await?;
    let cluster = SocketAddr::from((host.cluster_address(), PORT)).to_string();
    let mut seen = 0;
    for local in list.lines().filter_map(|line| line.split_whitespace().nth(4)) {
        let is_app = local.ends_with(&format!(":{APP_PORT}"));
        let is_local = local.starts_with("127.") || local.starts_with("[::1]");
        ensure!(is_app || is_local || local == cluster, "{} listens on {local}", host.name());
        seen += u32::from(local == cluster);
    }
    ensure!(seen == 2, "{} listens {seen} times on {cluster}, and not for UDP and TCP", host.name());
    Ok(())
}

/// Apps of these hosts use no EPMD and no distribution. One that does listens everywhere, as they do by default.
async fn distribution(host: &Host) -> anyhow::Result<()> {
    let ports = [4369, 9100, 9109];
    let listens = ports.map(|port| format!("--listen=0.0.0.0:{port}"));
    let mut command =
        vec!["systemd-run", "--quiet", "--unit=distribution", "systemd-socket-activate", "--accept"];
    command.extend(listens.iter().map(String::as_str).chain(["/bin/cat"]));
    host.run(&command).await?;
    for port in ports {
        let inside = SocketAddr::from((host.cluster_address(), port));
        until_answers(inside).await?;
        let outside = SocketAddr::from((host.public_address(), port));
        ensure!(!answers(outside).await, "{} answers at {outside} on the public network", host.name());
    }
    host.run(&["systemctl", "stop", "distribution"]).await.map(drop)
}

/// A host takes packets for any of its addresses on any of its interfaces: whoever is on the public
/// network can send to the address of the dedicated one. That is what the firewall is for.
async fn not_by_the_other_way(host: &Host) -> anyhow::Result<()> {
    let (cluster, public) = (host.cluster_address(), host.public_address());
    let inside = SocketAddr::from((cluster, PORT));
    until_answers(inside).await?;
    let route = [&format!("{cluster}/32"), "via", &public.to_string()];
    tool::run("ip", &[&["route", "add"], &route[..]].concat()).context("a way round")?;
    let round = answers(inside).await;
    tool::run("ip", &[&["route", "delete"], &route[..]].concat())?;
    ensure!(!round, "{} can be reached at {inside} from the public network", host.name());
    Ok(())
}
