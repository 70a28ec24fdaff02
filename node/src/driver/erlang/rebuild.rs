//! Makes RELEASES anew where it is torn or missing. What belongs into it lies beside it: every release
//! that was placed to the end has its `.rel` file and relupd's marker.

use super::ErlangDriver;
use super::book::{Book, Entry};
use super::disk;
use super::layout::Layout;
use super::observe::{BookFile, Disk};
use super::place::{marker, missing};
use crate::driver::DriverError;
use crate::driver::files::{At, Locate, blocking, directories, read_optional};
use crate::ids::{ReleaseName, ReleaseVersion};
use relupd_release::rel::Rel;

impl ErlangDriver {
    /// Writes a readable book where there is none, and tells whether it did. The decided version is its
    /// permanent one, where it is placed; the pointers are written by whoever repairs.
    pub(super) async fn mend_book(
        &self,
        what: &'static str,
        disk: &Disk,
        decided: &ReleaseVersion,
    ) -> Result<bool, DriverError> {
        let torn = match disk.book {
            BookFile::Read(_) => return Ok(false),
            BookFile::Absent => false,
            BookFile::Torn { .. } => true,
        };
        let (layout, name, decided) = (self.layout.clone(), self.settings.release.clone(), decided.clone());
        blocking(what, move || {
            let book = rebuilt(&layout, &name, &decided)?;
            // No book is right for a host on which nothing is placed. A torn one never is: it would
            // refuse the placing that is the cure.
            let needed = torn || book.entry(&decided).is_some();
            if needed {
                disk::write_book(&layout, &book.with_permanent(&decided))?;
            }
            Ok(needed)
        })
        .await
    }

    /// The same for a way back, which cannot place what is missing: where this version does not lie there whole it
    /// is refused, and the book stays as it is.
    pub(super) async fn mend_book_towards(
        &self,
        what: &'static str,
        disk: &Disk,
        version: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        if matches!(disk.book, BookFile::Read(_)) {
            return Ok(());
        }
        let (layout, name, wanted) = (self.layout.clone(), self.settings.release.clone(), version.clone());
        let is_whole =
            blocking(what, move || Ok(rebuilt(&layout, &name, &wanted)?.entry(&wanted).is_some())).await?;
        if !is_whole {
            return Err(DriverError::Refused {
                what,
                reason: format!("RELEASES cannot be read, and {version} does not lie there whole"),
                remedy: format!("place {version} again: run `relupctl node repair`, then roll it out"),
            });
        }
        self.mend_book(what, disk, version).await.map(drop)
    }
}

/// The releases that lie there whole. The decided one needs no marker: whoever installed it before
/// relupd came wrote none.
fn rebuilt(layout: &Layout, name: &ReleaseName, decided: &ReleaseVersion) -> Result<Book, At> {
    let mut book = Book::default();
    for directory in directories(&layout.releases())? {
        let Ok(version) = directory.parse::<ReleaseVersion>() else { continue };
        let release = layout.release(&version);
        let path = release.join(format!("{name}.rel"));
        let Some(bytes) = read_optional(&path).at(&path)? else { continue };
        let Ok(rel) = Rel::parse(&bytes) else { continue };
        let placed = &version == decided || marker(&release)?.is_some();
        let entry = Entry::unpacked(&rel);
        if placed
            && &rel.name == name
            && rel.version == version
            && missing(layout, &version, &entry)?.is_none()
        {
            book = book.with(&version, entry);
        }
    }
    Ok(book)
}
