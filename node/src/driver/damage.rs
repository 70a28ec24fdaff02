//! What is wrong with the files of a placed release.

use super::DriverError;
use super::files::{At, blocking};
use relupd_release::manifest::{Entry, Manifest};
use relupd_release::verify::{Difference, What, verify_tree};
use std::path::PathBuf;
use std::sync::Arc;

/// Of the entries that are looked at. Permissions are not: there is a check of its own for what matters of them.
pub(super) async fn found(
    root: PathBuf,
    manifest: Arc<Manifest>,
    is_looked_at: impl Fn(&Entry) -> bool + Send + 'static,
) -> Result<Vec<Difference>, DriverError> {
    blocking("look at the placed release", move || {
        let entries = manifest.entries().iter().filter(|entry| is_looked_at(entry));
        let found = verify_tree(&root, entries, &[]);
        let mut found = found.map_err(|error| {
            let (path, source) = error.into_parts();
            At { path, source }
        })?;
        found.retain(|difference| !matches!(difference.what, What::OtherMode { .. }));
        Ok(found)
    })
    .await
}
