//! What is known of the app without asking relupd: its own testimony and what /proc says of its VM.

use crate::http;
use crate::process::Identity;
use crate::wait;
use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

/// What the app says of itself at `/info`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Info {
    /// The version of the code that answers.
    pub version: String,
    /// Another one after each start of the VM, restarts within one process included.
    pub boot: String,
    /// The VM's pid.
    pub os_pid: u32,
    /// So often state was migrated upwards in this boot.
    pub code_changes_up: u64,
    /// So often state was migrated downwards in this boot.
    pub code_changes_down: u64,
    /// The counter.
    pub count: u64,
    /// The layout of the counter's state.
    pub layout: u64,
    /// From the release's configuration.
    pub greeting: String,
}

/// The app's word and the kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Testimony {
    /// The app's.
    pub info: Info,
    /// The kernel's.
    pub process: Identity,
}

impl Testimony {
    /// Takes it.
    pub async fn take(app: SocketAddr) -> anyhow::Result<Self> {
        let answer = http::get(app, "/info").await?;
        if answer.status != 200 {
            bail!("the app at {app} answers {} to /info: {}", answer.status, answer.body);
        }
        let info: Info = serde_json::from_str(&answer.body).context("not what /info answers")?;
        let process = Identity::of(info.os_pid).context("the app's process is not there")?;
        Ok(Self { info, process })
    }

    /// Takes it from every node, in their order.
    pub async fn take_all(apps: &[(String, SocketAddr)]) -> anyhow::Result<Vec<Self>> {
        let mut all = Vec::new();
        for (node, app) in apps {
            all.push(Self::take(*app).await.with_context(|| format!("on {node}"))?);
        }
        Ok(all)
    }

    /// Waits until the app on a node answers and runs this version.
    pub async fn of_version(app: SocketAddr, version: &str, patience: Duration) -> anyhow::Result<Self> {
        wait::until(&format!("{version} answers at {app}"), patience, async || {
            let found = Self::take(app).await?;
            Ok((found.info.version == version).then_some(found))
        })
        .await
    }

    /// Whether it is the same life of the same VM.
    #[must_use]
    pub fn is_same_life(&self, other: &Self) -> bool {
        self.info.boot == other.info.boot && self.process == other.process
    }

    /// How often state was migrated since an earlier testimony of the same life: up, down.
    #[must_use]
    pub const fn code_changes_since(&self, earlier: &Self) -> (u64, u64) {
        (
            self.info.code_changes_up.saturating_sub(earlier.info.code_changes_up),
            self.info.code_changes_down.saturating_sub(earlier.info.code_changes_down),
        )
    }
}
