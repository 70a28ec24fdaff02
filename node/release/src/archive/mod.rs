//! A release as it is handed over: a `.tar.gz` from rebar3/relx or mix. It is read as a stream, once, and
//! every member is checked before anybody sees its content. What is not understood is refused: two
//! programs that read an archive differently are how files get smuggled.

mod error;
mod limits;
mod member;
mod sink;
mod stream;

pub use error::ArchiveError;
pub use limits::Limits;
pub use sink::{Discard, Sink, UnpackInto};

use crate::digest::Digest;
use crate::info::{ReleaseError, ReleaseInfo};
use crate::manifest::{Entry, EntryKind, Manifest, MemberPath, Mode};
use crate::rel::Rel;
use crate::version::{ReleaseName, ReleaseVersion};
use member::{Extensions, Fault, Member};
use std::collections::BTreeMap;
use std::io::{self, Read};
use stream::Stream;

/// `.rel` files and relups are looked into at the end; an archive with more than this of them is none of
/// a release.
const MAX_DESCRIPTIONS: u64 = 16 << 20;

/// A release that passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// All of its files.
    pub manifest: Manifest,
    /// What it is.
    pub info: ReleaseInfo,
}

/// Reads the archive in `packed` and gives every file of it to `sink`.
///
/// On an error, what the sink already has is to be thrown away: only the end of the archive tells
/// whether all of it is sound.
///
/// # Errors
/// If it is not a complete, harmless and usable release, or if the sink fails.
pub fn read(mut packed: impl Read, limits: Limits, sink: &mut dyn Sink) -> Result<Archive, ArchiveError> {
    let mut magic = [0; 2];
    match packed.read_exact(&mut magic) {
        Ok(()) if magic == [0x1f, 0x8b] => {}
        Ok(()) => return Err(ArchiveError::NotGzip),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(ArchiveError::Truncated),
        Err(error) => return Err(ArchiveError::Read(error)),
    }
    let stream = Stream::new((&magic[..]).chain(packed), limits);
    let mut archive = tar::Archive::new(stream);
    let mut contents = Contents { limits, sink, entries: BTreeMap::new(), descriptions: BTreeMap::new() };
    let outcome = contents.read_members(&mut archive);
    let stream = archive.into_inner();
    match outcome {
        Ok(()) => stream.finish()?,
        Err(Fault::Io(error)) => return Err(stream.explain(&error)),
        Err(Fault::Refused(error)) => return Err(error),
    }
    contents.into_archive()
}

/// What was read so far.
struct Contents<'s> {
    limits: Limits,
    sink: &'s mut dyn Sink,
    entries: BTreeMap<MemberPath, EntryKind>,
    /// The content of the few files that say what the release is.
    descriptions: BTreeMap<MemberPath, Vec<u8>>,
}

impl Contents<'_> {
    fn read_members(&mut self, archive: &mut tar::Archive<impl Read>) -> Result<(), Fault> {
        let mut extensions = Extensions::default();
        let mut members = 0;
        for member in archive.entries()?.raw(true) {
            let mut content = member?;
            let header = content.header().clone();
            if extensions.take_in(&header, &mut content)? {
                continue;
            }
            members += 1;
            if members > self.limits.members {
                return Err(ArchiveError::TooManyMembers { limit: self.limits.members }.into());
            }
            self.member(Member::new(&header, std::mem::take(&mut extensions))?, &mut content)?;
        }
        Ok(())
    }

    fn member(&mut self, member: Member, content: &mut dyn Read) -> Result<(), Fault> {
        match member {
            Member::Root => Ok(()),
            Member::Directory(path) => {
                self.sink.directory(&path).map_err(|source| sink_failed(&path, source))?;
                self.insert(path, EntryKind::Directory)
            }
            Member::File { path, mode, size } => {
                self.refuse_duplicate(&path)?;
                let digest = self.file(&path, mode, size, content)?;
                self.insert(path, EntryKind::File { mode, size, digest })
            }
            Member::Symlink { path, target } => {
                self.refuse_duplicate(&path)?;
                self.sink.symlink(&path, &target).map_err(|source| sink_failed(&path, source))?;
                self.insert(path, EntryKind::Symlink { target })
            }
            Member::HardLink { path, original } => {
                self.refuse_duplicate(&path)?;
                let Some(kind @ EntryKind::File { .. }) = self.entries.get(&original).cloned() else {
                    return Err(ArchiveError::HardLink {
                        member: path.to_string(),
                        target: original.to_string(),
                    }
                    .into());
                };
                self.sink.hard_link(&path, &original).map_err(|source| sink_failed(&path, source))?;
                self.insert(path, kind)
            }
        }
    }

    fn refuse_duplicate(&self, path: &MemberPath) -> Result<(), ArchiveError> {
        if self.entries.contains_key(path) {
            Err(ArchiveError::Duplicate { member: path.to_string() })
        } else {
            Ok(())
        }
    }

    fn insert(&mut self, path: MemberPath, kind: EntryKind) -> Result<(), Fault> {
        match self.entries.insert(path.clone(), kind.clone()) {
            Some(earlier) if earlier != kind => {
                Err(ArchiveError::Duplicate { member: path.to_string() }.into())
            }
            _ => Ok(()),
        }
    }

    fn file(
        &mut self,
        path: &MemberPath,
        mode: Mode,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<Digest, Fault> {
        if size > self.limits.member_size {
            let limit = self.limits.member_size;
            return Err(ArchiveError::MemberTooLarge { member: path.to_string(), size, limit }.into());
        }
        let mut watched = Watched {
            content,
            hasher: blake3::Hasher::new(),
            length: 0,
            copy: self.is_description(path, size).then(Vec::new),
            failed: false,
        };
        if let Err(error) = self.sink.file(path, mode, size, &mut watched) {
            let ours = watched.failed;
            return Err(if ours { Fault::Io(error) } else { sink_failed(path, error).into() });
        }
        io::copy(&mut watched, &mut io::sink())?;
        if watched.length != size {
            return Err(ArchiveError::Truncated.into());
        }
        let digest = watched.hasher.finalize().into();
        if let Some(copy) = watched.copy {
            self.descriptions.insert(path.clone(), copy);
        }
        Ok(digest)
    }

    fn is_description(&self, path: &MemberPath, size: u64) -> bool {
        let kept: u64 = self.descriptions.values().map(|copy| copy.len() as u64).sum();
        let in_version = path.as_str().starts_with("releases/") && path.components().count() == 3;
        let describes = path.file_name() == "relup" || path.file_name().ends_with(".rel");
        in_version && describes && kept.saturating_add(size) <= MAX_DESCRIPTIONS
    }

    fn into_archive(self) -> Result<Archive, ArchiveError> {
        let (name, version) = self.release()?;
        let entries = self.entries.into_iter().map(|(path, kind)| Entry { path, kind }).collect();
        let manifest = Manifest::new(name, version, entries)?;
        let info = ReleaseInfo::extract(&manifest, |entry| match self.descriptions.get(&entry.path) {
            Some(content) => Ok(content.clone()),
            None => Err(io::ErrorKind::FileTooLarge.into()),
        })
        .map_err(ArchiveError::Release)?;
        Ok(Archive { manifest, info })
    }

    /// The release whose `releases/VSN/NAME.rel` is there and says the same itself.
    fn release(&self) -> Result<(ReleaseName, ReleaseVersion), ArchiveError> {
        let mut found = Vec::new();
        let mut unreadable = None;
        for (path, content) in self.descriptions.iter().filter(|(path, _)| path.file_name() != "relup") {
            match Rel::parse(content) {
                Ok(rel) if format!("releases/{}/{}.rel", rel.version, rel.name) == path.as_str() => {
                    found.push((rel.name, rel.version));
                }
                // OTP's own start_clean.rel and the like: not named after what they say.
                Ok(_) => {}
                Err(source) => unreadable = Some(ReleaseError::Format { path: path.to_string(), source }),
            }
        }
        match (found.len(), unreadable) {
            (0, Some(error)) => Err(ArchiveError::Release(error)),
            (0, None) => Err(ArchiveError::NotARelease),
            (1, _) => Ok(found.remove(0)),
            (_, _) => {
                let candidates = found.iter().map(|(name, version)| format!("{name} {version}")).collect();
                Err(ArchiveError::SeveralReleases { candidates })
            }
        }
    }
}

fn sink_failed(path: &MemberPath, source: io::Error) -> ArchiveError {
    ArchiveError::Sink { member: path.to_string(), source }
}

/// A member's content on its way to the sink.
struct Watched<'c> {
    content: &'c mut dyn Read,
    hasher: blake3::Hasher,
    length: u64,
    copy: Option<Vec<u8>>,
    /// Whether an error came from the archive, and not from the sink.
    failed: bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer).inspect_err(|error| {
            self.failed |= error.kind() != io::ErrorKind::Interrupted;
        })?;
        let bytes = &buffer[..read];
        self.hasher.update(bytes);
        self.length += read as u64;
        if let Some(copy) = &mut self.copy {
            copy.extend_from_slice(bytes);
        }
        Ok(read)
    }
}
