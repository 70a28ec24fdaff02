//! RELEASES, the release handler's book, as the driver thinks of it: releases by version, one of them
//! permanent at most. relupd writes it whole; the handler reads it when it starts.

use crate::ids::{ReleaseName, ReleaseVersion};
use relupd_release::rel::{Application, Rel};
use relupd_release::releases_file::{self, InstalledApplication, Releases, Status};
use relupd_release::{ApplicationName, ApplicationVersion, ErtsVersion};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Book {
    entries: BTreeMap<ReleaseVersion, Entry>,
}

/// One registered release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: ReleaseName,
    pub(super) erts: ErtsVersion,
    /// Each lies in `lib/NAME-VSN`.
    pub(super) applications: BTreeMap<ApplicationName, ApplicationVersion>,
    status: Status,
}

impl Entry {
    /// A release as it is when it has just been placed.
    pub(super) fn unpacked(rel: &Rel) -> Self {
        let applications = rel.applications.iter().map(|a| (a.name.clone(), a.version.clone())).collect();
        Self { name: rel.name.clone(), erts: rel.erts.clone(), applications, status: Status::Unpacked }
    }

    /// The names of its directories under `lib/`.
    pub(super) fn directories(&self) -> impl Iterator<Item = String> {
        self.applications.iter().map(|(name, version)| format!("{name}-{version}"))
    }

    pub(super) fn is_permanent(&self) -> bool {
        self.status == Status::Permanent
    }
}

impl Book {
    /// Reads RELEASES; the error says what is wrong with it.
    pub(super) fn parse(bytes: &[u8], name: &ReleaseName) -> Result<Self, String> {
        let releases = Releases::parse(bytes).map_err(|error| error.to_string())?;
        let mut entries = BTreeMap::new();
        for entry in releases.entries {
            if &entry.name != name {
                return Err(format!(
                    "it registers {} of the release {}, not of {name}",
                    entry.version, entry.name
                ));
            }
            let erts = entry.erts.ok_or("an entry names no ERTS: the release handler made it up")?;
            let applications = entry.applications.into_iter().map(|installed| installed.application);
            let known = Entry {
                name: entry.name,
                erts,
                applications: applications.map(|a| (a.name, a.version)).collect(),
                status: entry.status,
            };
            entries.insert(entry.version, known);
        }
        Ok(Self { entries })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&ReleaseVersion, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn entry(&self, version: &ReleaseVersion) -> Option<&Entry> {
        self.entries.get(version)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The permanent release; more than one is an error that names them.
    pub(super) fn permanent(&self) -> Result<Option<&ReleaseVersion>, String> {
        let mut permanent = self.entries.iter().filter(|(_, entry)| entry.is_permanent());
        match (permanent.next(), permanent.next()) {
            (None, _) => Ok(None),
            (Some((version, _)), None) => Ok(Some(version)),
            (Some((first, _)), Some((second, _))) => Err(format!("{first} and {second}")),
        }
    }

    /// The same book with this release in it; one that is there already keeps its status.
    #[must_use]
    pub(super) fn with(&self, version: &ReleaseVersion, entry: Entry) -> Self {
        let mut book = self.clone();
        let status = self.entry(version).map_or(entry.status, |known| known.status);
        book.entries.insert(version.clone(), Entry { status, ..entry });
        book
    }

    #[must_use]
    pub(super) fn without(&self, version: &ReleaseVersion) -> Self {
        let mut book = self.clone();
        book.entries.remove(version);
        book
    }

    /// The same book with this release as the only permanent one.
    #[must_use]
    pub(super) fn with_permanent(&self, permanent: &ReleaseVersion) -> Self {
        let mut book = self.clone();
        for (version, entry) in &mut book.entries {
            entry.status = match entry.status {
                _ if version == permanent => Status::Permanent,
                Status::Permanent => Status::Old,
                // What an install was cut off in is unpacked to the handler, too.
                Status::Current | Status::TmpCurrent => Status::Unpacked,
                status @ (Status::Unpacked | Status::Old) => status,
            };
        }
        book
    }

    /// RELEASES; the permanent release comes first, as OTP writes it.
    pub(super) fn render(&self, libraries: &Path) -> String {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| !entry.is_permanent());
        let entries = entries.into_iter().map(|(version, entry)| entry.to_file(version, libraries)).collect();
        Releases { entries }.to_string()
    }
}

impl Entry {
    fn to_file(&self, version: &ReleaseVersion, libraries: &Path) -> releases_file::Entry {
        let installed = |(name, version): (&ApplicationName, &ApplicationVersion)| {
            let application = Application { name: name.clone(), version: version.clone() };
            let directory = libraries.join(application.to_string()).to_string_lossy().into_owned();
            InstalledApplication { application, directory }
        };
        releases_file::Entry {
            name: self.name.clone(),
            version: version.clone(),
            erts: Some(self.erts.clone()),
            applications: self.applications.iter().map(installed).collect(),
            status: self.status,
        }
    }
}
