//! What daemons log, read while they run. Each line carries the time at which it happened there; all
//! daemons of a bench share one machine and so one clock.

use crate::cluster::Cluster;
use crate::wait;
use anyhow::Context as _;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

/// What daemons of a bench are configured with beside the usual.
pub(super) const SETTINGS: &str = "\n[log]\nformat = \"json\"\nlevel = \"info,relupd=debug\"\n";

/// A step that takes longer is not measured: it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// One line of a log.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Which daemon, by its place in the cluster.
    pub(super) node: usize,
    /// When.
    pub(super) at: Timestamp,
    fields: Map<String, Value>,
}

#[derive(Deserialize)]
struct Line {
    timestamp: Timestamp,
    fields: Map<String, Value>,
}

impl Entry {
    /// Whether it has this message.
    pub(super) fn says(&self, message: &str) -> bool {
        self.text("message") == message
    }

    /// A field's text; empty where there is none.
    pub(super) fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field's number.
    pub(super) fn number(&self, field: &str) -> Option<u64> {
        self.fields.get(field).and_then(Value::as_u64)
    }

    /// Whether the leader has had this decided.
    pub(super) fn decided(&self, what: &str) -> bool {
        self.says("decided") && self.text("decisions").contains(what)
    }
}

#[derive(Debug)]
struct Tail {
    path: PathBuf,
    file: Option<File>,
    rest: Vec<u8>,
}

/// The logs of all daemons of a cluster.
#[derive(Debug)]
pub(super) struct Journal {
    tails: Vec<Tail>,
    entries: Vec<Entry>,
}

impl Journal {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let tail = |path| Tail { path, file: None, rest: Vec::new() };
        Self {
            tails: cluster.members().iter().map(|member| tail(member.log())).collect(),
            entries: Vec::new(),
        }
    }

    /// Forgets what happened up to now.
    pub(super) fn begin(&mut self) -> anyhow::Result<()> {
        self.read()?;
        self.entries.clear();
        Ok(())
    }

    /// What has happened since `begin`, daemon by daemon in the order of each log.
    pub(super) fn entries(&mut self) -> anyhow::Result<&[Entry]> {
        self.read()?;
        Ok(&self.entries)
    }

    /// The first of them that is meant, if it is there already.
    pub(super) fn find(&mut self, meant: impl Fn(&Entry) -> bool) -> anyhow::Result<Option<Entry>> {
        let found = self.entries()?.iter().filter(|entry| meant(entry)).min_by_key(|entry| entry.at);
        Ok(found.cloned())
    }

    /// Waits for the first of them that is meant.
    pub(super) async fn until(
        &mut self,
        what: &str,
        meant: impl Fn(&Entry) -> bool,
    ) -> anyhow::Result<Entry> {
        wait::closely(what, PATIENCE, async || self.find(&meant)).await
    }

    fn read(&mut self) -> anyhow::Result<()> {
        for (node, tail) in self.tails.iter_mut().enumerate() {
            for line in tail.lines()? {
                // What is not JSON, e.g. the text of a panic, is for people.
                if let Ok(Line { timestamp: at, fields }) = serde_json::from_slice(&line) {
                    self.entries.push(Entry { node, at, fields });
                }
            }
        }
        Ok(())
    }
}

impl Tail {
    /// Whole lines that were written since the last call.
    fn lines(&mut self) -> anyhow::Result<Vec<Vec<u8>>> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let open = File::open(&self.path);
                self.file.insert(open.with_context(|| format!("cannot read {}", self.path.display()))?)
            }
        };
        file.read_to_end(&mut self.rest)?;
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(Vec::new()) };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        Ok(whole.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect())
    }
}
