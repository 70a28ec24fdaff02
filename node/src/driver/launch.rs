//! `relupd launch APP`: becomes the app's process, in the foreground. Works without the daemon and
//! without quorum. The version is the trial's where there is one, else the permanent one.

use super::{erlang, restart};
use crate::ids::AppName;
use std::convert::Infallible;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What to launch, from where.
#[derive(Clone, Debug, clap::Args)]
pub struct LaunchArgs {
    /// The app to launch
    pub app: AppName,
    /// Its release root [default: /opt/APP]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// The directory for what must not survive a reboot
    #[arg(long, value_name = "DIR", default_value = "/run/relupd")]
    pub run_directory: PathBuf,
    /// For apps of the driver `restart`: the program, relative to the version's directory
    #[arg(long, value_name = "PATH")]
    pub program: Option<PathBuf>,
    /// The program's arguments
    #[arg(last = true, requires = "program")]
    pub arguments: Vec<String>,
}

/// Why an app could not be launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Nothing is installed.
    #[error("{app} is not installed: there is no {path}; roll a release out to this node first")]
    NotInstalled { app: AppName, path: PathBuf },
    /// The pointer does not point.
    #[error(
        "{path} does not say what to launch: {reason}; `relupctl node repair NODE --app {app}` writes it again"
    )]
    Torn { app: AppName, path: PathBuf, reason: String },
    /// The release is not complete.
    #[error(
        "{path} is missing: release {version} is not complete; restore it from its archive, or roll another version out to this node"
    )]
    Incomplete { version: String, path: PathBuf },
    /// The operating system refused something.
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Becomes the app's process; returns only where that failed.
///
/// # Errors
/// Why it did not become the app.
pub fn launch(args: &LaunchArgs) -> Result<Infallible, LaunchError> {
    let root = args.root.clone().unwrap_or_else(|| Path::new("/opt").join(args.app.as_str()));
    let root = std::path::absolute(&root).map_err(|source| io_error("find", &root, source))?;
    let run = std::path::absolute(&args.run_directory)
        .map_err(|source| io_error("find", &args.run_directory, source))?;
    match &args.program {
        None => erlang::launch::launch(&erlang::layout::Layout::new(&root, &run, &args.app), &args.app),
        Some(program) => {
            let layout = restart::layout::Layout::new(&root, &run, &args.app);
            restart::launch::launch(&layout, &args.app, program, &args.arguments)
        }
    }
}

/// Becomes the program; returns only where that failed.
pub(super) fn execute(command: &mut Command) -> LaunchError {
    let error = command.exec();
    io_error("execute", Path::new(command.get_program()), error)
}

/// The path, if it is there.
pub(super) fn there(version: &impl ToString, path: PathBuf) -> Result<PathBuf, LaunchError> {
    if path.exists() { Ok(path) } else { Err(LaunchError::Incomplete { version: version.to_string(), path }) }
}

/// Sets a variable that programs rely on, where the app's spec does not.
pub(super) fn set_default(command: &mut Command, name: &str, value: impl AsRef<std::ffi::OsStr>) {
    if std::env::var_os(name).is_none() {
        command.env(name, value);
    }
}

pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> LaunchError {
    LaunchError::Io { what, path: path.to_owned(), source }
}
