//! Becomes an app's program: the version's own, in the version's directory.

use super::layout::{Layout, read_pointer};
use crate::driver::launch::{LaunchError, execute, set_default, there};
use crate::driver::pointer;
use crate::ids::AppName;
use std::convert::Infallible;
use std::path::Path;
use std::process::Command;

/// Tells the program its version, and tells relupd which version a process was launched as.
pub(super) const VERSION: &str = "RELUPD_VERSION";

/// What a shell script may count on where the spec names no search path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the program; returns only where that failed.
pub(in crate::driver) fn launch(
    layout: &Layout,
    app: &AppName,
    program: &Path,
    arguments: &[String],
) -> Result<Infallible, LaunchError> {
    let version = pointer::choose(app, &layout.trial(), layout.permanent(), read_pointer)?;
    let directory = layout.version(&version);
    let mut command = Command::new(there(&version, directory.join(program))?);
    command.args(arguments).env(VERSION, version.as_str()).current_dir(&directory);
    set_default(&mut command, "HOME", layout.root());
    set_default(&mut command, "PATH", PATH);
    Err(execute(&mut command))
}
