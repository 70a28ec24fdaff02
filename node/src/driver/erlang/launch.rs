//! Becomes an app's VM. It is started by its own `erlexec` and not by the release's script: the script has its version
//! compiled in, writes below the release root, and insists on distribution.

use super::layout::{Layout, read_pointer};
use crate::driver::launch::{LaunchError, execute, io_error, set_default, there};
use crate::driver::pointer;
use crate::ids::AppName;
use relupd_release::pointer::StartErl;
use rustix::fs::{MemfdFlags, SealFlags};
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

/// The VM's end of the link, compiled; its source lies beside it.
const LINK_MODULE: &[u8] = include_bytes!("relupd_link.beam");

/// Becomes the app's VM; returns only where that failed.
pub(in crate::driver) fn launch(layout: &Layout, app: &AppName) -> Result<Infallible, LaunchError> {
    let pointer = pointer::choose(app, &layout.trial(), layout.permanent(), read_pointer)?;
    // It stays open in the VM: `init:restart` evaluates the command line again.
    let module =
        sealed_module().map_err(|source| io_error("prepare", Path::new("the link's module"), source))?;
    let mut command = command(layout, &pointer, &link_flag(&module, &layout.socket()))?;
    Err(execute(&mut command))
}

fn command(layout: &Layout, pointer: &StartErl, link: &str) -> Result<Command, LaunchError> {
    let there = |path| there(&pointer.release, path);
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
    set_default(&mut command, "HOME", layout.root());
    // What the start script of mix sets, and the configuration providers of Elixir read.
    command
        .env("RELEASE_ROOT", layout.root())
        .env("RELEASE_VSN", pointer.release.as_str())
        .env("RELEASE_SYS_CONFIG", &config)
        .env("RELEASE_VM_ARGS", &vm_args)
        .env("RELEASE_MODE", "embedded");
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
