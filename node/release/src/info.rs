//! What a release is, from its manifest and the two files in it that say so: everything that plans and
//! operators want to know without opening a file.

use crate::manifest::{Entry, EntryKind, Manifest};
use crate::rel::{Application, Rel};
use crate::relup::Relup;
use crate::shape::FormatError;
use crate::terms::MAX_BYTES;
use crate::version::{ErtsVersion, ReleaseName, ReleaseVersion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;

/// What a release is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseInfo {
    /// Its name.
    pub name: ReleaseName,
    /// Its version.
    pub version: ReleaseVersion,
    /// The runtime system it was built for.
    pub erts: ErtsVersion,
    /// Whether it brings that runtime system.
    pub includes_erts: bool,
    /// Its applications, in the order of its `.rel` file.
    pub applications: Vec<Application>,
    /// Whether `sasl`, and with it the release handler, is among them: without it nothing is hot.
    pub has_sasl: bool,
    /// Versions from which its relup leads up to it without a restart of the emulator.
    pub hot_up_from: BTreeSet<ReleaseVersion>,
    /// Versions to which its relup leads back down in the same way.
    pub hot_down_to: BTreeSet<ReleaseVersion>,
    /// How its `sys.config` is shipped.
    pub configuration: Configuration,
    /// Bytes, unpacked.
    pub size: u64,
    /// Number of files.
    pub files: u64,
}

/// How the system configuration is shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Configuration {
    /// `sys.config`, ready to use.
    Ready,
    /// Only `sys.config.src`: the start script renders it. To install it hot without rendering it first
    /// would wipe the application's environment.
    Template,
    /// Neither.
    Absent,
}

/// A tree of files that is no usable release.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    #[error("cannot read {path} of the release")]
    Content {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{path} of the release is not as OTP writes it")]
    Format {
        path: String,
        #[source]
        source: FormatError,
    },
    #[error("{path} is missing; build the release again")]
    Missing { path: String },
    #[error("{path} describes {found} instead; build the release again from a clean directory")]
    Describes { path: String, found: String },
    #[error(
        "application {application} is missing: there is no {path}; \
         build the release with include_erts and without system_libs or dev_mode settings"
    )]
    MissingApplication { application: Application, path: String },
    #[error("there is no boot file in releases/{version}; build the release again")]
    NoBootFile { version: ReleaseVersion },
}

impl ReleaseInfo {
    /// What the release of this manifest is; `read` gives the content of an entry's file, and has made
    /// sure that it is what the manifest says.
    ///
    /// # Errors
    /// If the release's own description is missing, unreadable or of something else, or if a part that
    /// the description names is not there.
    pub fn extract(
        manifest: &Manifest,
        mut read: impl FnMut(&Entry) -> io::Result<Vec<u8>>,
    ) -> Result<Self, ReleaseError> {
        let rel_path = manifest.rel_path();
        let content = content(manifest, &rel_path, &mut read)?
            .ok_or_else(|| ReleaseError::Missing { path: rel_path.clone() })?;
        let rel = Rel::parse(&content).map_err(|source| format(&rel_path, source))?;
        if rel.name != *manifest.name() || rel.version != *manifest.version() {
            let found = format!("{} {}", rel.name, rel.version);
            return Err(ReleaseError::Describes { path: rel_path, found });
        }
        check_parts(manifest, &rel)?;
        let relup = relup(manifest, &mut read)?;
        Ok(Self {
            includes_erts: manifest.entry(&format!("erts-{}/bin/erlexec", rel.erts)).is_some(),
            has_sasl: rel.application("sasl").is_some(),
            hot_up_from: relup.as_ref().map(Relup::hot_up_from).unwrap_or_default(),
            hot_down_to: relup.as_ref().map(Relup::hot_down_to).unwrap_or_default(),
            configuration: configuration(manifest),
            size: manifest.size(),
            files: manifest.file_count() as u64,
            name: rel.name,
            version: rel.version,
            erts: rel.erts,
            applications: rel.applications,
        })
    }

    /// Versions that can be reached and left hot: the only ones from which a hot upgrade has a way back.
    #[must_use]
    pub fn hot_both_ways(&self) -> BTreeSet<&ReleaseVersion> {
        if self.has_sasl {
            self.hot_up_from.intersection(&self.hot_down_to).collect()
        } else {
            BTreeSet::new()
        }
    }
}

fn format(path: &str, source: FormatError) -> ReleaseError {
    ReleaseError::Format { path: path.to_owned(), source }
}

/// The content of the file at `path`, if there is one.
pub(crate) fn content(
    manifest: &Manifest,
    path: &str,
    read: &mut impl FnMut(&Entry) -> io::Result<Vec<u8>>,
) -> Result<Option<Vec<u8>>, ReleaseError> {
    let Some(entry) = manifest.entry(path).filter(|entry| matches!(entry.kind, EntryKind::File { .. }))
    else {
        return Ok(None);
    };
    // The manifest may come from anybody, and what it calls a relup may be of any size.
    if entry.size() > MAX_BYTES as u64 {
        let source = io::ErrorKind::FileTooLarge.into();
        return Err(ReleaseError::Content { path: path.to_owned(), source });
    }
    read(entry).map(Some).map_err(|source| ReleaseError::Content { path: path.to_owned(), source })
}

/// Every application that the `.rel` file names, and something to boot from.
fn check_parts(manifest: &Manifest, rel: &Rel) -> Result<(), ReleaseError> {
    for application in &rel.applications {
        let path = format!("lib/{application}/ebin/{}.app", application.name);
        if manifest.entry(&path).is_none() {
            return Err(ReleaseError::MissingApplication { application: application.clone(), path });
        }
    }
    let boot_files = [rel.name.as_str(), "start"].map(|stem| format!("releases/{}/{stem}.boot", rel.version));
    if boot_files.iter().any(|path| manifest.entry(path).is_some()) {
        Ok(())
    } else {
        Err(ReleaseError::NoBootFile { version: rel.version.clone() })
    }
}

pub(crate) fn relup(
    manifest: &Manifest,
    read: &mut impl FnMut(&Entry) -> io::Result<Vec<u8>>,
) -> Result<Option<Relup>, ReleaseError> {
    let path = format!("releases/{}/relup", manifest.version());
    let Some(content) = content(manifest, &path, read)? else { return Ok(None) };
    let relup = Relup::parse(&content).map_err(|source| format(&path, source))?;
    if relup.version == *manifest.version() {
        Ok(Some(relup))
    } else {
        Err(ReleaseError::Describes { path, found: format!("version {}", relup.version) })
    }
}

fn configuration(manifest: &Manifest) -> Configuration {
    let has = |name: &str| manifest.entry(&format!("releases/{}/{name}", manifest.version())).is_some();
    if has("sys.config") {
        Configuration::Ready
    } else if has("sys.config.src") {
        Configuration::Template
    } else {
        Configuration::Absent
    }
}
