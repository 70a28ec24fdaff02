//! Configurations that Elixir completes while it boots (`config/runtime.exs`): a hot install reads the
//! file alone and would wipe what the providers set. So a helper VM completes it beforehand as the boot
//! would, with the app's own environment, and the file then holds all of it. The file as it was shipped
//! is kept beside it: every rendering begins from that.

use super::book::Book;
use super::helper::{Helper, HelperError, clean_boot};
use super::layout::Layout;
use super::{ErlangDriver, config_check};
use crate::driver::files::{At, Locate, blocking, read_optional, replace_durably, replace_durably_for};
use crate::driver::{AppUser, DriverError};
use crate::ids::ReleaseVersion;
use relupd_core::chain;
use relupd_release::contents::provider_init;
use relupd_release::terms::consult_one;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Providers may ask other machines for secrets.
const PATIENCE: Duration = Duration::from_secs(30);

/// The configuration as it was shipped, in the release's own directory.
pub(super) const SHIPPED: &str = ".relupd-shipped-sys.config";

/// The arguments are the shipped configuration and the code path.
const COMPLETE: &str = r#"
    [Config | Path] = init:get_plain_arguments(),
    ok = code:add_pathsa(Path),
    {ok, [Shipped]} = file:consult(Config),
    {elixir, Own} = lists:keyfind(elixir, 1, Shipped),
    {config_provider_init, Init} = lists:keyfind(config_provider_init, 1, Own),
    #{providers := Providers, extra_config := Extra} = Init,
    {ok, _} = application:ensure_all_started(elixir),
    Load = fun({Module, State}, Config0) -> Module:load(Config0, State) end,
    Done = lists:foldl(Load, 'Elixir.Config':'__merge__'(Shipped, Extra), Providers),
    io:format("~n~s~n~w.~n", ["relupd: completed", Done]),
    halt(0)."#;

/// Stands before what `COMPLETE` prints.
const MARK: &str = "\nrelupd: completed\n";

/// A placed release whose configuration is to be completed.
struct Source {
    layout: Layout,
    version: ReleaseVersion,
    /// The shipped file's content.
    shipped: Vec<u8>,
}

impl ErlangDriver {
    /// Completes the configurations of these versions on disk, where somebody completes them at boot.
    pub(super) async fn render_configurations(
        &self,
        what: &'static str,
        versions: [&ReleaseVersion; 2],
    ) -> Result<(), DriverError> {
        let book = self.book(what).await?;
        for version in versions {
            let Some(source) = self.source(what, version).await? else { continue };
            let completed = self.complete(&book, &source).await.map_err(|reason| DriverError::Refused {
                what,
                reason,
                remedy: "correct config/runtime.exs or the app's environment, or go by restart".to_owned(),
            })?;
            let user = self.settings.user.clone();
            blocking(what, move || write(&source, completed.as_bytes(), user.as_ref())).await?;
        }
        Ok(())
    }

    /// Whether the configuration of a version can be completed, without keeping what comes of it.
    /// `None` where nobody completes it.
    pub(super) async fn try_rendering(
        &self,
        what: &'static str,
        book: &Book,
        version: &ReleaseVersion,
    ) -> Result<Option<Result<(), String>>, DriverError> {
        let Some(source) = self.source(what, version).await? else { return Ok(None) };
        if let Some(user) = self.settings.user.as_ref().filter(|user| !can_give_to(user)) {
            return Ok(Some(Err(format!(
                "the configuration of {version} is completed at boot and may hold secrets, and relupd, which is \
                 not root here, cannot hand it to the group of {}: make relupd's user a member of it",
                user.name
            ))));
        }
        Ok(Some(self.complete(book, &source).await.map(drop)))
    }

    async fn source(
        &self,
        what: &'static str,
        version: &ReleaseVersion,
    ) -> Result<Option<Source>, DriverError> {
        let (layout, version) = (self.layout.clone(), version.clone());
        blocking(what, move || {
            let release = layout.release(&version);
            let kept = release.join(SHIPPED);
            let shipped = match read_optional(&kept).at(&kept)? {
                Some(shipped) => Some(shipped),
                None => {
                    let path = release.join("sys.config");
                    read_optional(&path).at(&path)?
                }
            };
            let completed_at_boot = |shipped: &Vec<u8>| {
                consult_one(shipped).is_ok_and(|configuration| provider_init(&configuration).is_some())
            };
            Ok(shipped.filter(completed_at_boot).map(|shipped| Source { layout, version, shipped }))
        })
        .await
    }

    async fn complete(&self, book: &Book, source: &Source) -> Result<String, String> {
        let Source { layout, version, shipped: _ } = source;
        let entry = book.entry(version).ok_or_else(|| format!("{version} is not registered in RELEASES"))?;
        let release = layout.release(version);
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        // What the living VM was started with is what its next boot would have, whoever starts it.
        let environment = self.vm.process_environment().await.map_err(|error| error.to_string())?;
        let mut helper = Helper { boot: clean_boot(&release), environment, ..self.helper(entry) };
        for (name, value) in [
            ("RELEASE_ROOT", text(layout.root().to_owned())),
            ("RELEASE_NAME", self.settings.release.to_string()),
            ("RELEASE_VSN", version.to_string()),
            ("RELEASE_SYS_CONFIG", text(layout.config(version))),
        ] {
            helper.environment.insert(name.to_owned(), value);
        }
        let kept = release.join(SHIPPED);
        let config = if kept.exists() { kept } else { release.join("sys.config") };
        let libraries = entry.directories().map(|directory| layout.libraries().join(directory).join("ebin"));
        let mut arguments: Vec<OsString> = vec![config.into()];
        arguments.extend(libraries.map(OsString::from));
        let completed = helper.eval(COMPLETE, &arguments, PATIENCE).await.map_err(|error| {
            format!("the configuration of {version} cannot be completed: {}", told(&error))
        })?;
        // Providers may print, too: the configuration is what follows the mark.
        let completed = completed.rsplit_once(MARK).map_or("", |(_, term)| term);
        match consult_one(completed.as_bytes()) {
            Ok(term) if config_check::is_configuration(&term) => Ok(completed.to_owned()),
            Ok(_) | Err(_) => Err(format!(
                "the configuration of {version}, completed by its providers, holds what no file can"
            )),
        }
    }
}

/// What failed, without what the helper printed: a provider that crashes prints its arguments, and with them
/// the configuration's secrets.
fn told(error: &HelperError) -> String {
    match error {
        HelperError::Ended { status, .. } => {
            format!("its providers ended with {status}; start them by hand to see why")
        }
        HelperError::Start { .. } | HelperError::TimedOut { .. } => chain(error),
    }
}

/// Whether a file can be given to the app's group.
fn can_give_to(user: &AppUser) -> bool {
    let groups = rustix::process::getgroups().unwrap_or_default();
    rustix::process::geteuid().is_root() || groups.iter().any(|group| group.as_raw() == user.gid)
}

/// It may hold secrets now: the app's group reads it, and nobody else.
fn write(source: &Source, completed: &[u8], user: Option<&AppUser>) -> Result<(), At> {
    let release = source.layout.release(&source.version);
    let (kept, path) = (release.join(SHIPPED), release.join("sys.config"));
    if !kept.exists() {
        replace_durably(&kept, &source.shipped, 0o644).at(&kept)?;
    }
    let gid = user.map(|user| user.gid);
    if read_optional(&path).at(&path)?.as_deref() == Some(completed) && is_readable_by(&path, gid) {
        return Ok(());
    }
    replace_durably_for(&path, completed, 0o640, gid).at(&path)
}

/// Whether the group reads the file: one that an earlier step left without it is written again.
fn is_readable_by(path: &Path, gid: Option<u32>) -> bool {
    gid.is_none_or(|gid| path.metadata().is_ok_and(|found| found.gid() == gid && found.mode() & 0o040 != 0))
}
