//! Looks at disk, process and VM, and boils the VM's modules down to the versions they belong to.

use super::book::Book;
use super::disk;
use super::link::LinkError;
use super::observe::{BookFile, Disk, Process, Sources, VmView, classify};
use super::vm::{HandlerStatus, LoadedModule, Md5};
use super::{ErlangDriver, from_link};
use crate::driver::files::blocking;
use crate::driver::{DriverError, Observation};
use crate::ids::ReleaseVersion;
use crate::service::ServiceState;
use relupd_release::{ApplicationName, ApplicationVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The modules of one application version, by name.
type Beams = Arc<BTreeMap<String, Md5>>;

/// Versions of applications, by name.
type Versions = BTreeMap<ApplicationName, BTreeSet<ApplicationVersion>>;

impl ErlangDriver {
    pub(super) async fn observation(&self) -> Result<Observation, DriverError> {
        Ok(classify(&self.sources().await?))
    }

    pub(super) async fn sources(&self) -> Result<Sources, DriverError> {
        self.sources_within(self.settings.patience.observe).await
    }

    /// The same, with so much time for all that the VM is asked.
    pub(super) async fn sources_within(&self, patience: Duration) -> Result<Sources, DriverError> {
        let disk = self.read_disk().await?;
        let process = self.process(&disk, patience).await?;
        Ok(Sources { disk, process })
    }

    pub(super) async fn read_disk(&self) -> Result<Disk, DriverError> {
        let (layout, name) = (self.layout.clone(), self.settings.release.clone());
        blocking("read the release root", move || disk::read(&layout, &name)).await
    }

    /// The book; a torn or missing one is an error that says what to do.
    pub(super) async fn book(&self, what: &'static str) -> Result<Book, DriverError> {
        let refused = |reason: String| DriverError::Refused {
            what,
            reason,
            remedy: format!("run `relupctl node repair NODE --app {}`", self.settings.app),
        };
        match self.read_disk().await?.book {
            BookFile::Read(book) => Ok(book),
            BookFile::Absent => Err(refused("there is no RELEASES".to_owned())),
            BookFile::Torn { reason } => Err(refused(format!("RELEASES cannot be read: {reason}"))),
        }
    }

    async fn process(&self, disk: &Disk, patience: Duration) -> Result<Process, DriverError> {
        if self.link.boot_nonce().is_some() {
            return Ok(match tokio::time::timeout(patience, self.view(disk)).await {
                Ok(Ok(view)) => Process::Answers(Box::new(view)),
                Ok(Err(error)) => Process::Silent { reason: error.to_string() },
                Err(_) => Process::Silent { reason: LinkError::TimedOut(patience).to_string() },
            });
        }
        Ok(match self.service.state(self.instance()).await? {
            ServiceState::Stopped => {
                self.link.no_process();
                Process::None
            }
            ServiceState::Running { pid, .. } => {
                Process::Silent { reason: format!("process {pid} runs, but its VM has not dialled in") }
            }
        })
    }

    async fn view(&self, disk: &Disk) -> Result<VmView, LinkError> {
        // The handler first: it answers only between installs.
        let releases = self.vm.releases().await?;
        let with = |status| releases.iter().find(|r| r.status == status).map(|r| r.version.clone());
        let code = match &disk.book {
            BookFile::Read(book) => self.code(book).await?,
            BookFile::Absent | BookFile::Torn { .. } => Code::default(),
        };
        let facts = self.vm.facts().await?;
        let current = with(HandlerStatus::Current).or_else(|| with(HandlerStatus::Permanent));
        let environment = match (&disk.book, current, &facts.unfinished) {
            (BookFile::Read(book), Some(current), Some(begun)) => {
                self.foreign_parameters(book, &current, begun).await?
            }
            _ => Vec::new(),
        };
        Ok(VmView {
            boot_nonce: facts.boot_nonce,
            booted: facts.booted,
            has_sasl: facts.running.iter().any(|name| name == "sasl"),
            handler_permanent: with(HandlerStatus::Permanent),
            handler_current: with(HandlerStatus::Current),
            code: code.versions,
            code_detail: code.detail,
            applications: facts.applications,
            environment,
        })
    }

    /// Parameters that an install which did not succeed has left behind: it changes the environment before
    /// it tries the relup. Without such an install nobody asks, for an application may set what it likes.
    async fn foreign_parameters(
        &self,
        book: &Book,
        current: &str,
        begun: &str,
    ) -> Result<Vec<String>, LinkError> {
        let file = |version: &str| {
            let version = version.parse().ok().filter(|version| book.entry(version).is_some())?;
            Some(self.layout.config(&version).with_added_extension("config"))
        };
        let (Some(config), Some(other)) = (file(current), file(begun)) else { return Ok(Vec::new()) };
        let answer = match self.vm.foreign_parameters(&config, Some(&other)).await {
            // The other file may be gone with what had failed.
            Err(LinkError::Failed(_)) => self.vm.foreign_parameters(&config, None).await,
            answer => answer,
        };
        answer.map_err(|error| match error {
            // What Erlang says of a file that it cannot read may quote it.
            LinkError::Failed(_) => {
                LinkError::Failed(format!("it cannot compare its parameters with {}", config.display()))
            }
            error => error,
        })
    }

    async fn code(&self, book: &Book) -> Result<Code, LinkError> {
        let changed = changed_applications(book);
        let mut beams = BTreeMap::new();
        for (application, versions) in &changed {
            for version in versions {
                let key = (application.clone(), version.clone());
                match self.beams_of(application, version).await {
                    Ok(digests) => {
                        beams.insert(key, digests);
                    }
                    // Files of a registered release are missing: then nothing loaded can be of it.
                    Err(LinkError::Failed(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let modules: BTreeSet<_> =
            beams.values().flat_map(|digests| digests.keys().map(String::as_str)).collect();
        let loaded = self.vm.loaded(modules).await?;
        Ok(match_code(book, &changed, &beams, &loaded))
    }

    /// The digests of an application version's modules. Placed directories never change, so they are
    /// read once.
    pub(super) async fn beams_of(
        &self,
        application: &ApplicationName,
        version: &ApplicationVersion,
    ) -> Result<Beams, LinkError> {
        let directory = self.ebin(application, version);
        if let Some(digests) = self.beams.lock().await.get(&directory) {
            return Ok(Arc::clone(digests));
        }
        let digests = Arc::new(self.vm.beams(&directory).await?);
        self.beams.lock().await.insert(directory, Arc::clone(&digests));
        Ok(digests)
    }

    pub(super) fn ebin(&self, application: &ApplicationName, version: &ApplicationVersion) -> PathBuf {
        self.layout.libraries().join(format!("{application}-{version}")).join("ebin")
    }

    /// Modules that are not the same in both versions.
    pub(super) async fn changed_modules(
        &self,
        what: &'static str,
        from: &ReleaseVersion,
        to: &ReleaseVersion,
    ) -> Result<BTreeSet<String>, DriverError> {
        let book = self.book(what).await?;
        let mut changed = BTreeSet::new();
        for (application, versions) in changed_between(&book, from, to) {
            let mut sides = Vec::new();
            for version in versions {
                sides.push(match version {
                    Some(version) => {
                        self.beams_of(&application, &version).await.map_err(|error| from_link(what, error))?
                    }
                    None => Beams::default(),
                });
            }
            if let [from, to] = sides.as_slice() {
                let names: BTreeSet<_> = from.keys().chain(to.keys()).collect();
                changed.extend(names.into_iter().filter(|name| from.get(*name) != to.get(*name)).cloned());
            }
        }
        Ok(changed)
    }
}

/// Applications whose version is not the same in both releases, with both versions.
fn changed_between(
    book: &Book,
    from: &ReleaseVersion,
    to: &ReleaseVersion,
) -> Vec<(ApplicationName, [Option<ApplicationVersion>; 2])> {
    let side = |version| book.entry(version).map(|entry| &entry.applications);
    let (from, to) = (side(from), side(to));
    let names: BTreeSet<_> = from.iter().chain(to.iter()).flat_map(|side| side.keys()).collect();
    names
        .into_iter()
        .map(|name| (name.clone(), [from, to].map(|side| side.and_then(|side| side.get(name)).cloned())))
        .filter(|(_, [from, to])| from != to)
        .collect()
}

/// Applications of which registered releases have different versions, or which some do not have.
fn changed_applications(book: &Book) -> Versions {
    let mut versions = Versions::new();
    let mut releases_with: BTreeMap<ApplicationName, usize> = BTreeMap::new();
    for (_, entry) in book.entries() {
        for (name, version) in &entry.applications {
            versions.entry(name.clone()).or_default().insert(version.clone());
            *releases_with.entry(name.clone()).or_default() += 1;
        }
    }
    let releases = book.entries().count();
    versions.retain(|name, versions| versions.len() > 1 || releases_with.get(name) != Some(&releases));
    versions
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Code {
    versions: BTreeSet<ReleaseVersion>,
    detail: String,
}

/// PURE: the registered releases to which the loaded modules belong, wholly.
fn match_code(
    book: &Book,
    changed: &Versions,
    beams: &BTreeMap<(ApplicationName, ApplicationVersion), Beams>,
    loaded: &[LoadedModule],
) -> Code {
    let mut versions = BTreeSet::new();
    let mut misfits = Vec::new();
    for (version, entry) in book.entries() {
        let of = |(application, of): (&ApplicationName, &ApplicationVersion)| {
            beams.get(&(application.clone(), of.clone()))
        };
        let missing =
            entry.applications.iter().find(|pair| changed.contains_key(pair.0) && of(*pair).is_none());
        if let Some((application, of)) = missing {
            misfits.push(format!("the modules of {application}-{of} cannot be read"));
            continue;
        }
        let expected: BTreeMap<&str, &Md5> = entry
            .applications
            .iter()
            .filter_map(of)
            .flat_map(|digests| digests.iter().map(|(module, md5)| (module.as_str(), md5)))
            .collect();
        let misfit = loaded.iter().find(|module| match &module.md5 {
            Some(md5) => expected.get(module.name.as_str()) != Some(&md5),
            None => false,
        });
        match misfit {
            None => {
                versions.insert(version.clone());
            }
            Some(module) => misfits.push(format!("{} is not of {version}", module.name)),
        }
    }
    Code { versions, detail: misfits.join(", ") }
}
