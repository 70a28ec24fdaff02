//! `relupd launch APP`: becomes the app's VM, in the foreground. Works without the daemon and without
//! quorum. The version is the trial's where there is one, else the permanent one.
//!
//! The VM is started by its own `erlexec` and not by the release's script: the script has its version
//! compiled in, writes below the release root, and insists on distribution.

use super::layout::{Layout, PointerFile, read_pointer};
use crate::ids::AppName;
use relupd_release::pointer::StartErl;
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The VM's end of the link, compiled; its source lies beside it.
const LINK_MODULE: &[u8] = include_bytes!("relupd_link.beam");

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
}

/// Why an app could not be launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Nothing is installed.
    #[error("{app} is not installed: there is no {path}; roll a release out to this node first")]
    NotInstalled { app: AppName, path: PathBuf },
    /// The pointer does not point.
    #[error(
        "{path} does not say what to launch: {reason}; `relupctl node repair` on this node writes it again"
    )]
    Torn { path: PathBuf, reason: String },
    /// The release is not complete.
    #[error(
        "{path} is missing: release {version} is not complete; `relupctl node repair` on this node places it again"
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

/// Becomes the app's VM; returns only where that failed.
pub fn launch(args: &LaunchArgs) -> Result<std::convert::Infallible, LaunchError> {
    let root = args.root.clone().unwrap_or_else(|| Path::new("/opt").join(args.app.as_str()));
    let root = std::path::absolute(&root).map_err(|source| io_error("find", &root, source))?;
    let run = std::path::absolute(&args.run_directory)
        .map_err(|source| io_error("find", &args.run_directory, source))?;
    let layout = Layout::new(&root, &run, &args.app);
    let pointer = choose(&layout, &args.app)?;
    // It stays open in the VM: `init:restart` evaluates the command line again.
    let module =
        sealed_module().map_err(|source| io_error("prepare", Path::new("the link's module"), source))?;
    let mut command = command(&layout, &pointer, &link_flag(&module, &layout.socket()))?;
    let error = command.exec();
    Err(io_error("execute", Path::new(command.get_program()), error))
}

/// The trial's version where there is one, else the permanent one. A torn trial file is as good as
/// none: the permanent version is the one that a host can always boot.
fn choose(layout: &Layout, app: &AppName) -> Result<StartErl, LaunchError> {
    let trial = layout.trial();
    if let PointerFile::Points(pointer) =
        read_pointer(&trial).map_err(|source| io_error("read", &trial, source))?
    {
        return Ok(pointer);
    }
    let path = layout.permanent();
    match read_pointer(&path).map_err(|source| io_error("read", &path, source))? {
        PointerFile::Points(pointer) => Ok(pointer),
        PointerFile::Absent => Err(LaunchError::NotInstalled { app: app.clone(), path }),
        PointerFile::Torn { reason } => Err(LaunchError::Torn { path, reason }),
    }
}

fn command(layout: &Layout, pointer: &StartErl, link: &str) -> Result<Command, LaunchError> {
    let there = |path: PathBuf| {
        if path.exists() {
            Ok(path)
        } else {
            Err(LaunchError::Incomplete { version: pointer.release.to_string(), path })
        }
    };
    let binaries = there(layout.root().join(format!("erts-{}", pointer.erts)).join("bin"))?;
    let boot = layout.boot(&pointer.release);
    there(boot.with_added_extension("boot"))?;
    let config = layout.config(&pointer.release);
    there(config.with_added_extension("config"))?;
    let vm_args = layout.release(&pointer.release).join("vm.args");

    let mut command = Command::new(there(binaries.join("erlexec"))?);
    command
        .env("ROOTDIR", layout.root())
        .env("BINDIR", &binaries)
        .env("EMU", "beam")
        .env("PROGNAME", "relupd");
    if std::env::var_os("HOME").is_none() {
        command.env("HOME", layout.root());
    }
    // The handler looks for its book below the root, whatever the environment says.
    command.env_remove("RELDIR");
    command.args(["-noshell", "-noinput", "+Bd", "-mode", "embedded"]);
    command.arg("-boot").arg(boot).arg("-config").arg(config);
    // Boot scripts made by relx and by mix name the library directory by these variables.
    for variable in ["ERTS_LIB_DIR", "RELEASE_LIB"] {
        command.args(["-boot_var", variable]).arg(layout.libraries());
    }
    if vm_args.exists() {
        command.arg("-args_file").arg(vm_args);
    }
    // On the command line and not in ERL_FLAGS: a VM that the app starts must not inherit it.
    command.args(["-eval", link]);
    Ok(command)
}

/// The module in memory that nobody can change, inherited by the VM: nothing to install, to clean up
/// or to write for the app's user.
fn sealed_module() -> io::Result<File> {
    let descriptor = rustix::fs::memfd_create("relupd_link.beam", MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(descriptor);
    file.write_all(LINK_MODULE)?;
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file)
}

/// The expression that starts the link. Whatever goes wrong in it, the app boots.
fn link_flag(module: &File, socket: &Path) -> String {
    let file = erlang_string(&format!("/proc/self/fd/{}", module.as_raw_fd()));
    let socket = erlang_string(&socket.to_string_lossy());
    format!(
        "try {{ok,B}}=file:read_file({file}),\
         {{module,M}}=code:load_binary(relupd_link,\"relupd_link.beam\",B),\
         ok=M:start({socket}) \
         catch C:R -> logger:error(\"relupd cannot reach this VM: ~p\",[{{C,R}}]) end."
    )
}

fn erlang_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> LaunchError {
    LaunchError::Io { what, path: path.to_owned(), source }
}
