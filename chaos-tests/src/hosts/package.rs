//! The package under test, made of the programs of this build.

use crate::binaries::Binaries;
use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/debian/build.sh");

/// Makes it in a directory.
pub fn build(binaries: &Binaries, directory: &Path) -> anyhow::Result<PathBuf> {
    let programs = binaries.relupd.parent().context("programs lie in a directory")?;
    let made = Command::new(SCRIPT).args([programs, directory]).env("COMPRESSION", "none").output()?;
    ensure!(made.status.success(), "{SCRIPT} failed: {}", String::from_utf8_lossy(&made.stderr));
    Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()))
}
