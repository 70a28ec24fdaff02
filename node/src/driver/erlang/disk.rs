//! Reads and writes what is under the release root beside the releases themselves: the book, the
//! pointers, the script in `bin/`.

use super::book::Book;
use super::layout::{Layout, read_pointer};
use super::observe::{BookFile, Disk, ScriptFile};
use crate::driver::files::{
    At, Locate, directories, exists, read_optional, remove_durably, remove_tree, replace_durably,
};
use crate::ids::{ReleaseName, ReleaseVersion};
use relupd_release::pointer::{self, StartErl};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub(super) fn read(layout: &Layout, name: &ReleaseName) -> Result<Disk, At> {
    let pointer = |path: PathBuf| read_pointer(&path).at(&path);
    let book = book_file(layout, name)?;
    let unregistered = match &book {
        BookFile::Read(book) => unregistered(layout, book)?,
        BookFile::Absent => unregistered(layout, &Book::default())?,
        // What is registered cannot be told.
        BookFile::Torn { .. } => Vec::new(),
    };
    let permanent = pointer(layout.permanent())?;
    let placed = permanent.target().map(|pointer| layout.script_of(name, &pointer.release));
    Ok(Disk {
        trial: pointer(layout.trial())?,
        script: script_file(&layout.script(name), placed.as_deref())?,
        permanent,
        book,
        unregistered,
    })
}

fn book_file(layout: &Layout, name: &ReleaseName) -> Result<BookFile, At> {
    let path = layout.book();
    Ok(match read_optional(&path).at(&path)? {
        None => BookFile::Absent,
        Some(bytes) => match Book::parse(&bytes, name) {
            Ok(book) => BookFile::Read(book),
            Err(reason) => BookFile::Torn { reason },
        },
    })
}

/// The script in `bin/`, which a commit makes last, from the one that was placed with the permanent version:
/// where that is there, the script is, too, and one without a version of its own is the same.
fn script_file(script: &Path, placed: Option<&Path>) -> Result<ScriptFile, At> {
    let placed = match placed {
        Some(placed) => read_optional(placed).at(placed)?,
        None => None,
    };
    let torn = |what: &str| ScriptFile::Torn { reason: format!("{} {what}", script.display()) };
    let Some(bytes) = read_optional(script).at(script)? else {
        return Ok(if placed.is_some() { torn("is missing") } else { ScriptFile::Follows });
    };
    Ok(match pointer::script_version(&bytes) {
        Ok(None) if placed.is_some_and(|placed| placed != bytes) => torn("is that of another version"),
        Ok(None) => ScriptFile::Follows,
        Ok(Some(version)) => ScriptFile::Names(version),
        Err(error) => ScriptFile::Torn { reason: error.to_string() },
    })
}

fn unregistered(layout: &Layout, book: &Book) -> Result<Vec<String>, At> {
    let releases: BTreeSet<_> = book.entries().map(|(version, _)| version.to_string()).collect();
    let libraries: BTreeSet<_> = book.entries().flat_map(|(_, entry)| entry.directories()).collect();
    let mut found = Vec::new();
    for (directory, known) in [(layout.releases(), &releases), (layout.libraries(), &libraries)] {
        for name in directories(&directory)? {
            if !known.contains(&name) {
                found.push(directory.join(name).to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

pub(super) fn write_book(layout: &Layout, book: &Book) -> Result<(), At> {
    let path = layout.book();
    replace_durably(&path, book.render(&layout.libraries()).as_bytes(), 0o644).at(&path)
}

/// Makes `version` permanent in book and pointers, in an order in which every cut is seen as torn
/// pointers and healed. The last one moves the script, which only people use.
pub(super) fn point_at(
    layout: &Layout,
    book: &Book,
    name: &ReleaseName,
    version: &ReleaseVersion,
) -> Result<(), At> {
    write_book(layout, &book.with_permanent(version))?;
    if let Some(entry) = book.entry(version) {
        let pointer = StartErl { erts: entry.erts.clone(), release: version.clone() };
        let path = layout.permanent();
        replace_durably(&path, pointer.to_string().as_bytes(), 0o644).at(&path)?;
    }
    let script = layout.script_of(name, version);
    if let Some(content) = read_optional(&script).at(&script)? {
        let path = layout.script(name);
        replace_durably(&path, &content, 0o755).at(&path)?;
    }
    Ok(())
}

pub(super) fn write_trial(layout: &Layout, pointer: &StartErl) -> Result<(), At> {
    let path = layout.trial();
    replace_durably(&path, format!("{pointer}\n").as_bytes(), 0o644).at(&path)
}

/// Takes away what `book` does not name any more; with the last release go the pointers.
pub(super) fn unplace(layout: &Layout, book: &Book, name: &ReleaseName) -> Result<(), At> {
    if book.is_empty() {
        // The pointers first: what cannot boot must not be pointed at.
        for path in [layout.permanent(), layout.book(), layout.script(name)] {
            if exists(&path)? {
                remove_durably(&path).at(&path)?;
            }
        }
    } else {
        write_book(layout, book)?;
    }
    remove_all(&unregistered(layout, book)?)
}

pub(super) fn remove_all(directories: &[String]) -> Result<(), At> {
    directories.iter().map(Path::new).try_for_each(remove_tree)
}
