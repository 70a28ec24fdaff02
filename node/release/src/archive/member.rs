//! The members of a tar file, one header at a time. Extension headers (long names) are read here and not
//! by the tar crate, which would read them into memory whatever they claim to be long.

use super::error::ArchiveError;
use crate::manifest::{LinkTarget, MemberPath, Mode};
use std::borrow::Cow;
use std::io::{self, Read};
use tar::{EntryType, Header, PaxExtensions};

/// Names are the only thing of interest in extension headers.
const MAX_EXTENSION: u64 = 64 * 1024;

/// What a member is, after all checks that need no other member.
pub(super) enum Member {
    /// The release's own directory, `./`.
    Root,
    Directory(MemberPath),
    File {
        path: MemberPath,
        mode: Mode,
        size: u64,
    },
    Symlink {
        path: MemberPath,
        target: LinkTarget,
    },
    HardLink {
        path: MemberPath,
        original: MemberPath,
    },
}

/// What extension headers said about the member that follows them.
#[derive(Default)]
pub(super) struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

/// Damage, or an error of the stream below.
pub(super) enum Fault {
    Io(io::Error),
    Refused(ArchiveError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ArchiveError> for Fault {
    fn from(error: ArchiveError) -> Self {
        Self::Refused(error)
    }
}

impl Extensions {
    /// Takes an extension header in. Returns whether it was one.
    pub(super) fn take_in(&mut self, header: &Header, content: impl Read) -> Result<bool, Fault> {
        match header.entry_type() {
            EntryType::XHeader => self.pax(&extension(header, content)?)?,
            EntryType::XGlobalHeader => Self::pax_global(&extension(header, content)?)?,
            EntryType::GNULongName => set(&mut self.path, long_name(extension(header, content)?))?,
            EntryType::GNULongLink => set(&mut self.link, long_name(extension(header, content)?))?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn pax(&mut self, content: &[u8]) -> Result<(), Fault> {
        for pair in PaxExtensions::new(content) {
            let pair = pair?;
            let value = pair.value_bytes();
            match pair.key_bytes() {
                b"path" => set(&mut self.path, value.to_vec())?,
                b"linkpath" => set(&mut self.link, value.to_vec())?,
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    self.size = Some(size.ok_or_else(|| damaged("an extended size that is no number"))?);
                }
                key if key.starts_with(b"GNU.sparse") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// Such a header speaks of all members that follow. Nobody means it to name or to size them.
    fn pax_global(content: &[u8]) -> Result<(), Fault> {
        for pair in PaxExtensions::new(content) {
            if matches!(pair?.key_bytes(), b"path" | b"linkpath" | b"size") {
                return Err(damaged("a global header that names all members").into());
            }
        }
        Ok(())
    }
}

impl Member {
    /// The member that `header` begins, given the extension headers before it.
    pub(super) fn new(header: &Header, extensions: Extensions) -> Result<Self, Fault> {
        let size = header.entry_size()?;
        let name = extensions.path.map_or_else(|| header.path_bytes(), Cow::Owned);
        let name = std::str::from_utf8(&name)
            .map_err(|_| ArchiveError::NameNotUtf8 { member: String::from_utf8_lossy(&name).into_owned() })?;
        if extensions.sparse {
            return Err(special(name, "a sparse file").into());
        }
        // Two readers that disagree about a size see two different archives.
        if extensions.size.is_some_and(|extended| extended != size) {
            return Err(damaged("a member with two sizes").into());
        }
        let link = extensions.link.map(Cow::Owned).or_else(|| header.link_name_bytes());
        let link = String::from_utf8_lossy(&link.unwrap_or_default()).into_owned();
        Self::of_kind(header, name, size, link)
    }

    fn of_kind(header: &Header, name: &str, size: u64, link: String) -> Result<Self, Fault> {
        match header.entry_type() {
            EntryType::Directory => Ok(directory(name)?),
            // The oldest tar files tell a directory by its slash.
            EntryType::Regular if name.ends_with('/') && size == 0 => Ok(directory(name)?),
            EntryType::Regular => {
                let mode = header.mode()?;
                if mode & 0o6000 != 0 {
                    return Err(ArchiveError::Privileged { member: name.to_owned(), mode }.into());
                }
                Ok(Self::File { path: path(name)?, mode: Mode::from_bits(mode), size })
            }
            EntryType::Symlink => {
                let path = path(name)?;
                let target = LinkTarget::new(&path, link.trim_end_matches('/'))
                    .map_err(|_| ArchiveError::UnsafeLink { member: path.to_string(), target: link })?;
                Ok(Self::Symlink { path, target })
            }
            EntryType::Link => {
                let path = path(name)?;
                let original = without_dot(&link)
                    .parse()
                    .map_err(|_| ArchiveError::HardLink { member: path.to_string(), target: link })?;
                Ok(Self::HardLink { path, original })
            }
            EntryType::Char | EntryType::Block => Err(special(name, "a device").into()),
            EntryType::Fifo => Err(special(name, "a named pipe").into()),
            EntryType::GNUSparse => Err(special(name, "a sparse file").into()),
            _ => Err(special(name, "of a kind that is not known").into()),
        }
    }
}

fn extension(header: &Header, content: impl Read) -> Result<Vec<u8>, Fault> {
    let size = header.entry_size()?;
    if size > MAX_EXTENSION {
        return Err(damaged("an extended header of absurd length").into());
    }
    let mut bytes = Vec::new();
    content.take(MAX_EXTENSION).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(ArchiveError::Truncated.into()) }
}

/// GNU tar ends long names with a zero byte.
fn long_name(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

fn set(slot: &mut Option<Vec<u8>>, value: Vec<u8>) -> Result<(), ArchiveError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(damaged("a member with two names")),
    }
}

fn directory(name: &str) -> Result<Member, ArchiveError> {
    match without_dot(name).trim_end_matches('/') {
        "" | "." => Ok(Member::Root),
        bare => path(bare).map(Member::Directory),
    }
}

fn path(name: &str) -> Result<MemberPath, ArchiveError> {
    without_dot(name).parse().map_err(|source| ArchiveError::UnsafeName { member: name.to_owned(), source })
}

/// `tar c .` writes `./` before every name.
fn without_dot(name: &str) -> &str {
    name.strip_prefix("./").unwrap_or(name)
}

fn damaged(detail: &str) -> ArchiveError {
    ArchiveError::Damaged { detail: detail.to_owned() }
}

fn special(name: &str, kind: &'static str) -> ArchiveError {
    ArchiveError::Special { member: name.to_owned(), kind }
}
