//! Elixir's consolidated protocols: modules that lie in a release's own directory, in front of those of
//! the applications, and that no relup names.

use crate::driver::files::{At, Locate, read_optional};
use relupd_release::beam::Beam;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The protocols that are not the same in both releases.
pub(super) fn changed([from, to]: &[PathBuf; 2]) -> Result<Vec<String>, At> {
    let [before, after] = [from, to].map(|release| release.join("consolidated"));
    let mut changed = Vec::new();
    let names: BTreeSet<String> = names(&before)?.union(&names(&after)?).cloned().collect();
    for name in names {
        if code(&before.join(&name))? != code(&after.join(&name))? {
            changed.push(name.trim_start_matches("Elixir.").trim_end_matches(".beam").to_owned());
        }
    }
    Ok(changed)
}

fn names(directory: &Path) -> Result<BTreeSet<String>, At> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        entries => entries.at(directory)?,
    };
    entries.map(|entry| Ok(entry.at(directory)?.file_name().to_string_lossy().into_owned())).collect()
}

fn code(path: &Path) -> Result<Option<relupd_release::Digest>, At> {
    let content = read_optional(path).at(path)?;
    Ok(content.and_then(|content| Beam::parse(&content).ok()).map(|beam| beam.code))
}
