//! Commands that were acknowledged while things broke. What was acknowledged must be there in the end,
//! whoever has crashed meanwhile; what was not may be there or not.

use super::Hosts;
use crate::ctl::Ctl;
use crate::wait;
use anyhow::Context as _;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// A command that has no quorum ends after so long.
const PATIENCE: &str = "3s";

/// Where there is a quorum, or will be.
const QUORUM_PATIENCE: Duration = Duration::from_secs(30);

/// What was acknowledged up to now.
#[derive(Debug)]
pub struct Acknowledged {
    directory: PathBuf,
    tried: u32,
    operators: BTreeSet<String>,
    last_refusal: String,
}

impl Acknowledged {
    /// Nothing yet.
    #[must_use]
    pub fn new(hosts: &Hosts) -> Self {
        Self {
            directory: hosts.directory().to_owned(),
            tried: 0,
            operators: BTreeSet::new(),
            last_refusal: String::new(),
        }
    }

    /// Has one more command decided, asking one host after the other: an operator is
    /// added.
    pub async fn one_more(&mut self, hosts: &Hosts) -> anyhow::Result<()> {
        let index = self.tried as usize % hosts.all().len();
        self.attempt(hosts, index).await.map(drop)
    }

    /// The same at one host, until it is acknowledged.
    pub async fn at(&mut self, hosts: &Hosts, index: usize) -> anyhow::Result<()> {
        wait::closely("a command is acknowledged", QUORUM_PATIENCE, async || {
            Ok(self.attempt(hosts, index).await?.then_some(()))
        })
        .await
    }

    async fn attempt(&mut self, hosts: &Hosts, index: usize) -> anyhow::Result<bool> {
        self.tried += 1;
        let name = format!("probe{}", self.tried);
        // A host that is off acknowledges nothing.
        let Ok(ctl) = hosts.ctl(index) else { return Ok(false) };
        let out = self.directory.join(&name).to_string_lossy().into_owned();
        let add = [
            "--timeout",
            PATIENCE,
            "--output",
            "json",
            "operator",
            "add",
            &name,
            "--role",
            "viewer",
            "--out",
            &out,
        ];
        let ended = ctl.try_run(&add).await?;
        if ended.code == 0 {
            self.operators.insert(name);
        } else {
            self.last_refusal = ended.stderr.trim().to_owned();
        }
        Ok(ended.code == 0)
    }

    /// So many were acknowledged.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.operators.len() as u64
    }

    /// Why the last one was not, which many are while there is no quorum.
    #[must_use]
    pub fn last_refusal(&self) -> &str {
        &self.last_refusal
    }

    /// Those that are not there any more.
    pub async fn lost(&self, hosts: &Hosts) -> anyhow::Result<Vec<String>> {
        self.lost_at(&hosts.ctl(0)?).await
    }

    /// The same, as one host says.
    pub async fn lost_at(&self, ctl: &Ctl) -> anyhow::Result<Vec<String>> {
        let list: Value = ctl.json(&["operator", "list"]).await?;
        let there = list.as_array().context("a list of operators")?;
        let names: BTreeSet<&str> = there.iter().filter_map(|operator| operator["name"].as_str()).collect();
        Ok(self.operators.iter().filter(|name| !names.contains(name.as_str())).cloned().collect())
    }
}
