//! The files of a release on the node, held against the archive that it came in.

use crate::samples::Samples;
use anyhow::Context as _;
use relupd_release::archive::{self, Discard, Limits};
use relupd_release::manifest::Manifest;
use relupd_release::verify::{What, verify_tree};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// What each version consists of.
#[derive(Debug, Default)]
pub(super) struct Shipped(BTreeMap<&'static str, Manifest>);

impl Shipped {
    pub(super) fn read<'a>(
        samples: &Samples,
        versions: impl IntoIterator<Item = &'a &'static str>,
    ) -> anyhow::Result<Self> {
        let mut shipped = BTreeMap::new();
        for version in versions {
            let path = samples.archive(version);
            let file = File::open(&path).with_context(|| path.display().to_string())?;
            shipped.insert(*version, archive::read(file, Limits::default(), &mut Discard)?.manifest);
        }
        Ok(Self(shipped))
    }

    /// What is wrong with a version below this root; scripts and what relupd completes are not looked at.
    pub(super) fn harm(&self, root: &Path, version: &str) -> anyhow::Result<Option<String>> {
        let manifest = self.0.get(version).with_context(|| format!("no archive of {version}"))?;
        let own = format!("releases/{version}/");
        let entries = manifest.entries().iter().filter(|entry| {
            let path = entry.path.as_str();
            match path.strip_prefix(&own) {
                Some(name) => !["sys.config", "relup"].contains(&name),
                None => path.starts_with("lib/") || path.starts_with("erts-"),
            }
        });
        let found = verify_tree(root, entries, &[])?;
        let found = found.into_iter().filter(|found| !matches!(found.what, What::OtherMode { .. }));
        let found: Vec<String> = found.map(|found| found.to_string()).collect();
        Ok((!found.is_empty()).then(|| found.join(", ")))
    }
}
