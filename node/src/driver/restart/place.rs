//! Brings a verified tree under the release root, as a directory of its own: nothing of it runs or boots
//! by that.

use super::RestartDriver;
use super::layout::{Layout, MARKER, PointerFile, read_pointer};
use crate::driver::files::{
    At, Locate, blocking, directories, exists, move_tree, read_optional, remove_durably, remove_tree,
    replace_durably, sync_tree,
};
use crate::driver::{DriverError, StagedRelease};
use crate::ids::ReleaseVersion;
use relupd_release::Digest;
use std::fs;
use std::path::Path;

impl RestartDriver {
    pub(super) async fn placed(
        &self,
        version: &ReleaseVersion,
        manifest: &Digest,
    ) -> Result<bool, DriverError> {
        let (layout, version, manifest) = (self.layout.clone(), version.clone(), *manifest);
        blocking(
            "look at the placed release",
            move || Ok(marker(&layout.marker(&version))? == Some(manifest)),
        )
        .await
    }

    pub(super) async fn place_release(&self, release: &StagedRelease) -> Result<(), DriverError> {
        const WHAT: &str = "place";
        if self.placed(&release.version, &release.manifest).await? {
            return Ok(());
        }
        let observed = self.observation().await?;
        let in_use = [observed.permanent.as_ref(), observed.version()];
        if in_use.contains(&Some(&release.version)) {
            return Err(DriverError::Refused {
                what: WHAT,
                reason: format!("{} is there with other content, and in use", release.version),
                remedy: "release it under another version".to_owned(),
            });
        }
        let (layout, release) = (self.layout.clone(), release.clone());
        blocking(WHAT, move || place(&layout, &release)).await
    }
}

/// The marker goes into the staged tree, so that tree and marker appear in one step.
fn place(layout: &Layout, release: &StagedRelease) -> Result<(), At> {
    let versions = layout.versions();
    fs::create_dir_all(&versions).at(&versions)?;
    let target = layout.version(&release.version);
    remove_tree(&target)?;
    let marker = release.tree.join(MARKER);
    replace_durably(&marker, release.manifest.to_string().as_bytes(), 0o644).at(&marker)?;
    sync_tree(&release.tree)?;
    move_tree(&release.tree, &target)
}

/// The digest of the manifest that a placed tree was verified against.
pub(super) fn marker(path: &Path) -> Result<Option<Digest>, At> {
    let bytes = read_optional(path).at(path)?;
    Ok(bytes.and_then(|bytes| String::from_utf8_lossy(&bytes).trim().parse().ok()))
}

/// Directories among the versions that are not whole versions.
pub(super) fn debris(layout: &Layout) -> Result<Vec<String>, At> {
    let versions = layout.versions();
    let mut found = Vec::new();
    for name in directories(&versions)? {
        let directory = versions.join(&name);
        if marker(&directory.join(MARKER))?.is_none() {
            found.push(directory.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// Takes a version away, and with it the permanent pointer where that names it.
pub(super) fn unplace(layout: &Layout, version: &ReleaseVersion) -> Result<(), At> {
    let path = layout.permanent();
    if read_pointer(&path).at(&path)? == PointerFile::Points(version.clone()) {
        // The pointer first: what cannot boot must not be pointed at.
        remove_durably(&path).at(&path)?;
    }
    let directory = layout.version(version);
    if exists(&directory)? { remove_tree(&directory) } else { Ok(()) }
}
