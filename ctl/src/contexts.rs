//! Clusters that are reached from afar, by name: `~/.config/relupctl/contexts.toml`.

use crate::operator_files;
use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contexts {
    /// The context that is used where none is named; without it, the local socket.
    default: Option<String>,
    #[serde(default)]
    contexts: BTreeMap<String, Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The directory that `relupctl operator add` has written.
    identity: PathBuf,
    /// Nodes to ask, IP:PORT; those known when the operator was added where there are none.
    #[serde(default)]
    addresses: Vec<String>,
}

/// Where a cluster is, and who asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) identity: PathBuf,
    pub(crate) addresses: Vec<String>,
}

/// The named context, or the default one; `None` where no name is given and there is no default.
pub(crate) fn find(name: Option<&str>) -> anyhow::Result<Option<Remote>> {
    let path = file()?;
    let contexts = read(&path)?;
    let Some(name) = name.or(contexts.default.as_deref()) else { return Ok(None) };
    let Some(entry) = contexts.contexts.get(name) else {
        let known: Vec<&str> = contexts.contexts.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        bail!("there is no context {name:?} in {}; contexts there: {known}", path.display());
    };
    let addresses = if entry.addresses.is_empty() {
        operator_files::read_profile(&entry.identity)?.addresses
    } else {
        entry.addresses.clone()
    };
    Ok(Some(Remote { identity: entry.identity.clone(), addresses }))
}

fn read(path: &Path) -> anyhow::Result<Contexts> {
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("cannot use {}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Contexts::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn file() -> anyhow::Result<PathBuf> {
    let config = match env::var_os("XDG_CONFIG_HOME") {
        Some(config) => PathBuf::from(config),
        None => match env::var_os("HOME") {
            Some(home) => Path::new(&home).join(".config"),
            // Nobody's home: no contexts, and the local socket needs none.
            None => PathBuf::from("/nonexistent"),
        },
    };
    Ok(config.join("relupctl").join("contexts.toml"))
}
