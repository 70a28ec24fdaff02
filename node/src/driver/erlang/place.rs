//! Brings a verified tree under the release root: what is there already must be the same to the last
//! byte, what is missing is renamed into place. Then the release is registered. Nothing of it runs or
//! boots by that.

use super::ErlangDriver;
use super::book::{Book, Entry};
use super::compare::{Likeness, fill, of_release, of_tree};
use super::disk;
use super::from_link;
use super::layout::Layout;
use super::observe::BookFile;
use super::vm::HandlerStatus;
use crate::driver::files::{
    At, Locate, blocking, ensure_directory, exists, move_tree, read_optional, remove_tree, replace_durably,
    sync_tree,
};
use crate::driver::{DriverError, StagedRelease, damage};
use crate::ids::{ReleaseName, ReleaseVersion};
use relupd_release::Digest;
use relupd_release::manifest::Manifest;
use relupd_release::rel::Rel;
use relupd_release::verify::Difference;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const WHAT: &str = "place";
/// Holds the digest of the release's manifest; written when everything else is in place.
const MARKER: &str = ".relupd-manifest";

impl ErlangDriver {
    pub(super) async fn placed(
        &self,
        version: &ReleaseVersion,
        manifest: &Digest,
    ) -> Result<bool, DriverError> {
        let BookFile::Read(book) = self.read_disk().await?.book else { return Ok(false) };
        let Some(entry) = book.entry(version).cloned() else { return Ok(false) };
        let (layout, version, manifest) = (self.layout.clone(), version.clone(), *manifest);
        blocking("look at the placed release", move || {
            let marked = marker(&layout.release(&version))? == Some(manifest);
            Ok(marked && missing(&layout, &version, &entry)?.is_none())
        })
        .await
    }

    /// What the release has in its own directories. What is completed or made here is not looked at (the
    /// configuration, the relup), nor permissions, which the check of permissions is for.
    pub(super) async fn damaged(
        &self,
        version: &ReleaseVersion,
        manifest: Arc<Manifest>,
    ) -> Result<Vec<Difference>, DriverError> {
        // What is not registered is the first check's to tell of.
        let BookFile::Read(book) = self.read_disk().await?.book else { return Ok(Vec::new()) };
        let Some(entry) = book.entry(version) else { return Ok(Vec::new()) };
        let libraries: BTreeSet<String> = entry.directories().collect();
        let (erts, own) = (format!("erts-{}/", entry.erts), format!("releases/{version}/"));
        damage::found(self.layout.root().to_owned(), manifest, move |entry| {
            let path = entry.path.as_str();
            match (path.strip_prefix(&own), path.strip_prefix("lib/")) {
                (Some(name), _) => !["sys.config", "relup"].contains(&name),
                (None, Some(below)) => below.split('/').next().is_some_and(|name| libraries.contains(name)),
                (None, None) => path.starts_with(&erts),
            }
        })
        .await
    }

    pub(super) async fn place_release(&self, release: &StagedRelease) -> Result<(), DriverError> {
        if self.placed(&release.version, &release.manifest).await? {
            return self.show_handler(&release.version).await;
        }
        self.bring(release).await
    }

    /// Whether or not it was placed before.
    pub(super) async fn bring(&self, release: &StagedRelease) -> Result<(), DriverError> {
        let book = match self.read_disk().await?.book {
            BookFile::Read(book) => book,
            BookFile::Absent => Book::default(),
            BookFile::Torn { reason } => {
                return Err(refused(format!("RELEASES cannot be read: {reason}"), "repair the node first"));
            }
        };
        self.expect_no_trial().await?;
        let rel = self.staged_rel(release).await?;
        let entry = Entry::unpacked(&rel);
        let placing = Placing {
            layout: self.layout.clone(),
            name: self.settings.release.clone(),
            release: release.clone(),
            rel,
            book: book.clone(),
        };
        if let Some(other) = blocking(WHAT, move || placing.run()).await? {
            let reason = format!("{} is there already with other content", other.display());
            let remedy = "give the changed application or release another version; or, where a disk has harmed \
                          it, delete what is there, and plan again";
            return Err(refused(reason, remedy));
        }
        let book = book.with(&release.version, entry);
        let layout = self.layout.clone();
        blocking(WHAT, move || disk::write_book(&layout, &book)).await?;
        self.show_handler(&release.version).await
    }

    /// Lets the living VM's handler read the book, where it does not know the release yet.
    async fn show_handler(&self, version: &ReleaseVersion) -> Result<(), DriverError> {
        if self.link.boot_nonce().is_none() {
            return Ok(());
        }
        let known = self.vm.releases().await.map_err(|error| from_link(WHAT, error))?;
        if known.iter().any(|release| release.version == version.as_str()) {
            return Ok(());
        }
        self.expect_no_trial().await?;
        self.vm.reload_handler().await.map_err(|error| from_link(WHAT, error))
    }

    /// The handler keeps `current` in memory only, and forgets it when it reads the book again.
    async fn expect_no_trial(&self) -> Result<(), DriverError> {
        if self.link.boot_nonce().is_none() {
            return Ok(());
        }
        let known = self.vm.releases().await.map_err(|error| from_link(WHAT, error))?;
        match known.iter().find(|release| release.status == HandlerStatus::Current) {
            None => Ok(()),
            Some(trial) => Err(refused(
                format!("{} runs on trial", trial.version),
                "commit it or take it back, then place the next release",
            )),
        }
    }

    async fn staged_rel(&self, release: &StagedRelease) -> Result<Rel, DriverError> {
        let name = &self.settings.release;
        let path = release.tree.join("releases").join(release.version.as_str()).join(format!("{name}.rel"));
        let read = path.clone();
        let bytes = blocking(WHAT, move || fs::read(&read).at(&read)).await?;
        let rel = Rel::parse(&bytes).map_err(|error| {
            refused(format!("{} cannot be read: {error}", path.display()), "build the release anew")
        })?;
        if &rel.name == name && rel.version == release.version {
            Ok(rel)
        } else {
            let reason = format!("{} says {} {}", path.display(), rel.name, rel.version);
            Err(refused(reason, "push it under the name and version that it was built with"))
        }
    }
}

fn refused(reason: String, remedy: &str) -> DriverError {
    DriverError::Refused { what: WHAT, reason, remedy: remedy.to_owned() }
}

struct Placing {
    layout: Layout,
    name: ReleaseName,
    release: StagedRelease,
    rel: Rel,
    book: Book,
}

impl Placing {
    /// Answers with the path that is there with other content, where there is one; nothing was moved
    /// then but what had been missing.
    fn run(&self) -> Result<Option<PathBuf>, At> {
        let root = self.layout.root();
        for directory in [root.to_owned(), self.layout.libraries(), self.layout.releases(), root.join("bin")]
        {
            ensure_directory(&directory, 0o755).at(&directory)?;
        }
        sync_tree(&self.release.tree)?;
        for (place, registered) in self.directories() {
            let staged = self.release.tree.join(&place);
            let target = root.join(&place);
            if exists(&target)? {
                if !exists(&staged)? {
                    continue;
                }
                let is_own = place.starts_with("releases");
                let likeness =
                    if is_own { of_release(&staged, &target)? } else { of_tree(&staged, &target)? };
                match (likeness, registered) {
                    (Likeness::Same, _) => continue,
                    // Somebody has taken files away.
                    (Likeness::Lacks, true) => {
                        fill(&staged, &target)?;
                        continue;
                    }
                    (Likeness::Differs, true) => return Ok(Some(target)),
                    // What no registered release names is debris of an interrupted placing.
                    (Likeness::Lacks | Likeness::Differs, false) => remove_tree(&target)?,
                }
            }
            move_tree(&staged, &target)?;
        }
        self.place_scripts()?;
        let marker = self.layout.release(&self.release.version).join(MARKER);
        replace_durably(&marker, self.release.manifest.to_string().as_bytes(), 0o644).at(&marker)?;
        Ok(None)
    }

    /// The release's directories below the root, and whether a registered release names them.
    fn directories(&self) -> Vec<(PathBuf, bool)> {
        let named =
            |name: &String| self.book.entries().any(|(_, entry)| entry.directories().any(|d| &d == name));
        let libraries = self.rel.applications.iter().map(ToString::to_string);
        let mut directories: Vec<_> =
            libraries.map(|name| (Path::new("lib").join(&name), named(&name))).collect();
        let erts_named = self.book.entries().any(|(_, entry)| entry.erts == self.rel.erts);
        directories.push((PathBuf::from(format!("erts-{}", self.rel.erts)), erts_named));
        let version = &self.release.version;
        let release_named = self.book.entry(version).is_some();
        directories.push((Path::new("releases").join(version.as_str()), release_named));
        directories
    }

    /// `bin/REL-VSN`, from which a commit makes `bin/REL`; the other scripts only where they are missing.
    fn place_scripts(&self) -> Result<(), At> {
        let staged = self.release.tree.join("bin");
        if !exists(&staged)? {
            return Ok(());
        }
        let own = staged.join(self.name.as_str());
        if let Some(content) = read_optional(&own).at(&own)? {
            let target = self.layout.script_of(&self.name, &self.release.version);
            replace_durably(&target, &content, 0o755).at(&target)?;
        }
        for entry in fs::read_dir(&staged).at(&staged)? {
            let entry = entry.at(&staged)?;
            let name = entry.file_name();
            let target = self.layout.root().join("bin").join(&name);
            let is_script = name.to_string_lossy().starts_with(self.name.as_str());
            if !is_script && entry.file_type().at(&staged)?.is_file() && !exists(&target)? {
                let content = fs::read(entry.path()).at(&target)?;
                replace_durably(&target, &content, 0o755).at(&target)?;
            }
        }
        Ok(())
    }
}

pub(super) fn marker(release: &Path) -> Result<Option<Digest>, At> {
    let path = release.join(MARKER);
    let bytes = read_optional(&path).at(&path)?;
    Ok(bytes.and_then(|bytes| String::from_utf8_lossy(&bytes).trim().parse().ok()))
}

/// A directory that the release needs and that is not there.
pub(super) fn missing(
    layout: &Layout,
    version: &ReleaseVersion,
    entry: &Entry,
) -> Result<Option<PathBuf>, At> {
    let libraries = entry.directories().map(|directory| layout.libraries().join(directory));
    let erts = layout.root().join(format!("erts-{}", entry.erts));
    for directory in libraries.chain([erts, layout.release(version)]) {
        if !exists(&directory)? {
            return Ok(Some(directory));
        }
    }
    Ok(None)
}
