//! What is pushed: an archive, or the directory of a release, which is packed first.

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// An archive that can be read again and again.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// As the operator has named it.
    given: PathBuf,
    /// Goes with the last clone.
    packed: Option<Arc<NamedTempFile>>,
}

impl Source {
    /// Packs a directory; blocks.
    pub(super) fn of(given: PathBuf) -> anyhow::Result<Self> {
        let packed = if given.is_dir() { Some(pack(&given)?.into()) } else { None };
        Ok(Self { given, packed })
    }

    pub(super) fn name(&self) -> std::path::Display<'_> {
        self.given.display()
    }

    pub(super) fn open(&self) -> anyhow::Result<BufReader<File>> {
        let path = self.packed.as_ref().map_or(self.given.as_path(), |packed| packed.path());
        let opened = File::open(path).with_context(|| format!("cannot read {}", self.name()))?;
        Ok(BufReader::new(opened))
    }
}

/// Links stay links, as in the archives that release tools make.
fn pack(directory: &Path) -> anyhow::Result<NamedTempFile> {
    let packing = || -> std::io::Result<NamedTempFile> {
        let file = NamedTempFile::new()?;
        let packed = GzEncoder::new(BufWriter::new(file.reopen()?), Compression::fast());
        let mut archive = tar::Builder::new(packed);
        archive.follow_symlinks(false);
        archive.append_dir_all("", directory)?;
        archive.into_inner()?.finish()?.flush()?;
        Ok(file)
    };
    packing().with_context(|| format!("cannot pack {}", directory.display()))
}
