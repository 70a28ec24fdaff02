//! `erlang/place.rs`: brings a release under the root and registers it, without touching what runs.

use super::super::disk::{Book, Paper};
use super::{Driver, refused};
use relupd::driver::{DriverError, StagedRelease};
use relupd::ids::ReleaseVersion;

const WHAT: &str = "place";

impl Driver {
    pub(super) async fn place(&self, release: &StagedRelease) -> Result<(), DriverError> {
        self.pause(1, 10).await;
        if self.is_placed(release) {
            return self.show_handler(&release.version);
        }
        let book = match self.with(|world| world.disk.book.clone()) {
            Paper::Whole(book) => book,
            Paper::Absent => Book::default(),
            Paper::Torn => {
                return Err(refused(WHAT, "RELEASES cannot be read".to_owned(), "repair the node first"));
            }
        };
        self.expect_no_trial()?;
        let on_disk = self.on_disk();
        let debris = format!("lib/{}", release.version);
        self.write(WHAT, "lib", |world| world.disk.debris.push(debris.clone()))?;
        self.pause(50, 1500).await;
        self.write(WHAT, "releases", |world| {
            world.disk.placed.insert(release.version.clone(), release.manifest);
        })?;
        self.pause(1, 15).await;
        self.write(WHAT, "releases/RELEASES", |world| {
            world.disk.debris.retain(|directory| *directory != debris);
            world.disk.book = Paper::Whole(book.with(&release.version));
        })?;
        drop(on_disk);
        self.pause(1, 5).await;
        self.show_handler(&release.version)
    }

    fn is_placed(&self, release: &StagedRelease) -> bool {
        self.with(|world| {
            let registered = world.disk.book.whole().is_some_and(|book| book.has(&release.version));
            registered && world.disk.placed.get(&release.version) == Some(&release.manifest)
        })
    }

    /// Lets the living handler read the book, where it does not know the release yet.
    fn show_handler(&self, version: &ReleaseVersion) -> Result<(), DriverError> {
        let unknown =
            self.with(|world| world.linked_vm().is_some_and(|vm| !vm.handler.known.contains(version)));
        if !unknown {
            return Ok(());
        }
        self.expect_no_trial()?;
        self.with(|world| {
            let handler = world.read_book(version);
            if let Some(vm) = world.vm_mut() {
                vm.handler = handler;
            }
        });
        Ok(())
    }

    /// The handler keeps `current` in memory only, and forgets it when it reads the book again.
    fn expect_no_trial(&self) -> Result<(), DriverError> {
        match self.with(|world| world.linked_vm().and_then(|vm| vm.handler.current.clone())) {
            None => Ok(()),
            Some(trial) => Err(refused(WHAT, format!("{trial} runs on trial"), "commit it or take it back")),
        }
    }
}
