//! Clients that want the same at the same time, on different hosts: one name, and only one of them can have it.

use crate::hosts::Hosts;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// So many at once.
const CLIENTS: usize = 3;

/// What has no quorum ends after so long.
const PATIENCE: &str = "3s";

/// Each leg has names of its own: what nobody knows of one ends with it.
const NAMES: u32 = 2;

/// One round. How each of them ends is for the history to judge.
pub(super) async fn play(hosts: &Hosts, leg: u64, step: u64) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(leg << 16 | step);
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let name = format!("rival{leg}-{}", random.random_range(0..NAMES));
        let out =
            hosts.directory().join(format!("rival-{leg}-{step}-{client}")).to_string_lossy().into_owned();
        let what = random.random_range(0..4);
        let Ok(ctl) = hosts.ctl(random.random_range(0..hosts.all().len())) else { continue };
        clients.push(async move {
            let words: &[&str] = match what {
                0 | 1 => &["operator", "add", &name, "--role", "viewer", "--out", &out],
                2 => &["operator", "revoke", &name],
                _ => &["operator", "list"],
            };
            ctl.try_run(&[&["--timeout", PATIENCE, "--output", "json"], words].concat()).await
        });
    }
    for ended in join_all(clients).await {
        ended?;
    }
    Ok(())
}
