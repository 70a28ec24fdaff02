//! What packets suffer: the host's own firewall drops them, or its queue holds them up.

use crate::hosts::host::Host;
use crate::hosts::{Hosts, tool};

/// A table for what one host suffers, and one for what parts it from others.
const OWN: &str = "inet chaos";
const PARTED: &str = "inet parted";

/// A tenth of a slow line; heartbeats alone still get through.
const SHAPE: [&str; 7] = ["tbf", "rate", "256kbit", "burst", "16kb", "latency", "400ms"];

/// Before everything else that a firewall says.
pub(super) async fn drop(host: &Host, input: &str, output: &str) -> anyhow::Result<()> {
    rules(host, OWN, input, output).await
}

/// Of so many of a hundred packets on the dedicated network nothing arrives.
pub(in crate::hosts) async fn lose(host: &Host, percent: u8) -> anyhow::Result<()> {
    drop(host, &format!("iifname host0 numgen random mod 100 < {percent} drop"), "accept").await
}

pub(in crate::hosts) async fn undrop(host: &Host) -> anyhow::Result<()> {
    nft(host, &format!("delete table {OWN}")).await
}

async fn rules(host: &Host, table: &str, input: &str, output: &str) -> anyhow::Result<()> {
    nft(
        host,
        &format!(
            "add table {table}; \
             add chain {table} input {{ type filter hook input priority -300; }}; \
             add chain {table} output {{ type filter hook output priority -300; }}; \
             add rule {table} input {input}; add rule {table} output {output}"
        ),
    )
    .await
}

async fn nft(host: &Host, rules: &str) -> anyhow::Result<()> {
    host.run(&["nft", rules]).await.map(std::mem::drop)
}

/// Two halves that hear the bridge, and not each other. A host that is off has no rules: those that are on drop what
/// comes from it.
pub(super) async fn part(hosts: &Hosts, bridge: usize) -> anyhow::Result<()> {
    let others: Vec<&Host> =
        hosts.all().iter().enumerate().filter(|(index, _)| *index != bridge).map(|(_, host)| host).collect();
    let (left, right) = others.split_at(others.len() / 2);
    for (half, other) in [(left, right), (right, left)] {
        let addresses: Vec<String> = other.iter().map(|host| host.cluster_address().to_string()).collect();
        let addresses = addresses.join(", ");
        for host in half.iter().filter(|host| host.is_on()) {
            let input = format!("ip saddr {{ {addresses} }} drop");
            let output = format!("ip daddr {{ {addresses} }} drop");
            rules(host, PARTED, &input, &output).await?;
        }
    }
    Ok(())
}

/// Hosts that were booted meanwhile have no rules any more.
pub(super) async fn join(hosts: &Hosts) -> anyhow::Result<()> {
    for host in hosts.all().iter().filter(|host| host.is_on()) {
        host.try_run(&["nft", &format!("delete table {PARTED}")]).await?;
    }
    Ok(())
}

/// Why the kernel cannot hold packets up.
pub(super) fn cannot_shape() -> Option<String> {
    let tried = tool::run("tc", &[&["qdisc", "replace", "dev", "lo", "root"], &SHAPE[..]].concat());
    let _undone = tool::run("tc", &["qdisc", "del", "dev", "lo", "root"]);
    tried.err().map(|error| format!("this kernel cannot narrow a line: {error:#}"))
}

pub(super) async fn narrow(host: &Host) -> anyhow::Result<()> {
    host.run(&[&["tc", "qdisc", "add", "dev", "host0", "root"], &SHAPE[..]].concat())
        .await
        .map(std::mem::drop)
}

pub(super) async fn widen(host: &Host) -> anyhow::Result<()> {
    host.run(&["tc", "qdisc", "del", "dev", "host0", "root"]).await.map(std::mem::drop)
}

/// Whatever is left of it.
pub(super) async fn heal(host: &Host) -> anyhow::Result<()> {
    for table in [OWN, PARTED] {
        host.try_run(&["nft", &format!("delete table {table}")]).await?;
    }
    host.try_run(&["tc", "qdisc", "del", "dev", "host0", "root"]).await.map(std::mem::drop)
}
