//! Programs of the machine, run to their end.

use anyhow::{Context as _, bail};
use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Runs a program that must end well; what it printed.
pub(super) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> anyhow::Result<String> {
    let words = || arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
    let ended = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !ended.status.success() {
        bail!("{program} {} failed: {}", words(), String::from_utf8_lossy(&ended.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// Whether there is such a program.
pub(super) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|at| at.join(program).is_file())
}
