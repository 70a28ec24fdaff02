//! The one encoding of a manifest: lines of text, entries sorted by path. Paths hold no control
//! characters, so a tab or a newline always separates.
//!
//! ```text
//! relupd manifest 1
//! name shop
//! version 0.2.0
//! file 755 35985 <digest> bin/shop
//! link bin/start<TAB>shop
//! directory log
//! ```

use super::{Entry, EntryKind, LinkTarget, MAX_ENTRIES, Manifest, ManifestError, Mode};
use crate::version::InvalidReleaseText;
use std::fmt::Write as _;
use std::str::FromStr;

const FORMAT: &str = "relupd manifest 1";

impl Manifest {
    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{FORMAT}\nname {}\nversion {}\n", self.name, self.version);
        for entry in &self.entries {
            let path = &entry.path;
            // Writing to a String cannot fail.
            let _ = match &entry.kind {
                EntryKind::File { mode, size, digest } => {
                    writeln!(text, "file {:o} {size} {digest} {path}", mode.bits())
                }
                EntryKind::Symlink { target } => writeln!(text, "link {path}\t{target}"),
                EntryKind::Directory => writeln!(text, "directory {path}"),
            };
        }
        text.into_bytes()
    }

    /// Reads a manifest from anybody: it is checked as if every byte of it were hostile.
    ///
    /// # Errors
    /// If the bytes are not the canonical encoding of a valid manifest.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ManifestError::Format)?;
        let mut lines = text.lines().zip(1..);
        if lines.next().map(|(line, _)| line) != Some(FORMAT) {
            return Err(ManifestError::Format);
        }
        let name = header(lines.next(), "name ")?;
        let version = header(lines.next(), "version ")?;
        let mut entries = Vec::new();
        for (line, number) in lines {
            if entries.len() == MAX_ENTRIES {
                return Err(ManifestError::TooManyEntries { limit: MAX_ENTRIES });
            }
            entries.push(entry(line, number)?);
        }
        let manifest = Self::new(name, version, entries)?;
        if manifest.to_bytes() == bytes { Ok(manifest) } else { Err(ManifestError::NotCanonical) }
    }
}

fn header<T>(line: Option<(&str, usize)>, key: &str) -> Result<T, ManifestError>
where
    T: FromStr<Err = InvalidReleaseText>,
{
    let (line, number) = line.ok_or(ManifestError::Format)?;
    let value = line.strip_prefix(key).ok_or(ManifestError::Line { line: number })?;
    value.parse().map_err(|source| ManifestError::Text { line: number, source })
}

fn entry(text: &str, line: usize) -> Result<Entry, ManifestError> {
    let malformed = || ManifestError::Line { line };
    let path = |text: &str| text.parse().map_err(|source| ManifestError::Path { line, source });
    let (kind, rest) = text.split_once(' ').ok_or_else(malformed)?;
    match kind {
        "file" => {
            let mut fields = rest.splitn(4, ' ');
            let mut field = || fields.next().ok_or_else(malformed);
            let mode = u32::from_str_radix(field()?, 8).map_err(|_| malformed())?;
            let size = field()?.parse().map_err(|_| malformed())?;
            let digest = field()?.parse().map_err(|source| ManifestError::Digest { line, source })?;
            let path = path(field()?)?;
            Ok(Entry { path, kind: EntryKind::File { mode: Mode::from_bits(mode), size, digest } })
        }
        "link" => {
            let (link, target) = rest.split_once('\t').ok_or_else(malformed)?;
            let path = path(link)?;
            let target =
                LinkTarget::new(&path, target).map_err(|source| ManifestError::Link { line, source })?;
            Ok(Entry { path, kind: EntryKind::Symlink { target } })
        }
        "directory" => Ok(Entry { path: path(rest)?, kind: EntryKind::Directory }),
        _ => Err(malformed()),
    }
}
