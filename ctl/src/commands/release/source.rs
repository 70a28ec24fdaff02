//! What is pushed: an archive, or the directory of a release, which is packed first.

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{self, DirEntry, File};
use std::io::{self, BufReader, BufWriter, Write as _};
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
    left_out: Vec<String>,
}

impl Source {
    /// Packs a directory; blocks.
    pub(super) fn of(given: PathBuf) -> anyhow::Result<Self> {
        if !given.is_dir() {
            return Ok(Self { given, packed: None, left_out: Vec::new() });
        }
        let (packed, left_out) = pack(&given)?;
        Ok(Self { given, packed: Some(packed.into()), left_out })
    }

    pub(super) fn name(&self) -> std::path::Display<'_> {
        self.given.display()
    }

    /// What of a directory is not pushed.
    pub(super) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    pub(super) fn open(&self) -> anyhow::Result<BufReader<File>> {
        let path = self.packed.as_ref().map_or(self.given.as_path(), |packed| packed.path());
        let opened = File::open(path).with_context(|| format!("cannot read {}", self.name()))?;
        Ok(BufReader::new(opened))
    }
}

/// What a release writes at its root while it runs: mix, relx and Distillery each have some of them, and
/// `tmp` holds completed configurations, secrets and all.
const WRITTEN: [&str; 4] = ["erl_crash.dump", "log", "tmp", "var"];

/// What relx's script writes beside its template `NAME.src` when it starts, with the variables of that host.
const COMPLETED: [&str; 2] = ["sys.config", "vm.args"];

/// A directory's archive in the making.
struct Packer {
    archive: tar::Builder<GzEncoder<BufWriter<File>>>,
    left_out: Vec<String>,
}

/// The archive, and what was left out of it.
fn pack(directory: &Path) -> anyhow::Result<(NamedTempFile, Vec<String>)> {
    let packing = || -> io::Result<(NamedTempFile, Vec<String>)> {
        let file = NamedTempFile::new()?;
        let packed = GzEncoder::new(BufWriter::new(file.reopen()?), Compression::fast());
        let mut archive = tar::Builder::new(packed);
        // Links stay links, as in the archives that release tools make.
        archive.follow_symlinks(false);
        let mut packer = Packer { archive, left_out: Vec::new() };
        packer.append_directory(directory, Path::new(""))?;
        packer.archive.into_inner()?.finish()?.flush()?;
        Ok((file, packer.left_out))
    };
    packing().with_context(|| format!("cannot pack {}", directory.display()))
}

impl Packer {
    fn append_directory(&mut self, directory: &Path, name: &Path) -> io::Result<()> {
        let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let inner = name.join(entry.file_name());
            if is_written(&entry.path(), &inner) {
                self.left_out.push(inner.display().to_string());
            } else {
                self.append(&entry, &inner)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, entry: &DirEntry, name: &Path) -> io::Result<()> {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            self.archive.append_dir(name, &path)?;
            return self.append_directory(&path, name);
        }
        // To open a pipe would wait for its other end.
        if !kind.is_file() && !kind.is_symlink() {
            let what = "is neither a file nor a directory nor a link, and a release holds nothing else";
            return Err(io::Error::other(format!("{} {what}: remove it", path.display())));
        }
        self.archive.append_path_with_name(&path, name)
    }
}

/// Whether a running release has made it; `name` is where it lies in the release.
fn is_written(path: &Path, name: &Path) -> bool {
    let parts: Vec<_> = name.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    match parts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().as_slice() {
        [root] => WRITTEN.contains(root),
        ["releases", _version, file] => COMPLETED.contains(file) && path.with_added_extension("src").exists(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn release() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in [
            "bin/shop",
            "lib/shop-0.1.0/tmp/kept",
            "log/erlang.log.1",
            "releases/0.1.0/sys.config",
            "releases/0.1.0/sys.config.src",
            "releases/0.1.0/vm.args",
            "tmp/sys.config",
        ] {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        symlink("shop", directory.path().join("bin/link")).unwrap();
        directory
    }

    #[test]
    fn what_a_running_release_has_written_is_left_out() {
        let directory = release();
        let source = Source::of(directory.path().to_owned()).unwrap();
        let mut packed = tar::Archive::new(flate2::read::GzDecoder::new(source.open().unwrap()));
        let members: BTreeSet<_> = packed
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().trim_end_matches('/').to_owned())
            .collect();
        let files: Vec<_> = members.iter().filter(|member| !directory.path().join(member).is_dir()).collect();
        let expected = [
            "bin/link",
            "bin/shop",
            "lib/shop-0.1.0/tmp/kept",
            "releases/0.1.0/sys.config.src",
            "releases/0.1.0/vm.args",
        ];
        assert_eq!(files, expected);
        assert_eq!(source.left_out(), ["log", "releases/0.1.0/sys.config", "tmp"]);
    }

    #[test]
    fn what_is_no_file_is_refused_by_name() {
        let directory = release();
        let _listening = UnixListener::bind(directory.path().join("bin/socket")).unwrap();
        let error = Source::of(directory.path().to_owned()).unwrap_err();
        assert!(format!("{error:#}").contains("bin/socket is neither a file nor"), "{error:#}");
    }
}
