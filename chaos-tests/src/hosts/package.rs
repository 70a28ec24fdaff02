//! The package under test, made of the programs of this build.

use super::tool;
use crate::binaries::Binaries;
use anyhow::{Context as _, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/debian/build.sh");

/// Makes it in a directory.
pub fn build(binaries: &Binaries, directory: &Path) -> anyhow::Result<PathBuf> {
    let programs = binaries.relupd.parent().context("programs lie in a directory")?;
    made(Command::new(SCRIPT).args([programs, directory]).env("COMPRESSION", "none"))
}

/// Makes one of another daemon, which pretends to be of this version. Compressed: hosts keep what is rolled on
/// small disks.
pub fn of(binaries: &Binaries, relupd: &Path, version: &str, directory: &Path) -> anyhow::Result<PathBuf> {
    let programs = directory.join(format!("programs-{version}"));
    fs::create_dir_all(&programs)?;
    for (from, name) in [(relupd, "relupd"), (binaries.relupctl.as_path(), "relupctl")] {
        fs::copy(from, programs.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    let arguments = [programs.as_path(), directory];
    made(Command::new(SCRIPT).args(arguments).env("COMPRESSION", "zstd").env("VERSION", version))
}

/// Makes one whose daemon exits as soon as it is started.
pub fn broken(from: &Path, version: &str, directory: &Path) -> anyhow::Result<PathBuf> {
    let tree = directory.join("broken");
    let path = |path: &Path| path.to_string_lossy().into_owned();
    tool::run("dpkg-deb", &["--raw-extract", &path(from), &path(&tree)])?;
    fs::write(tree.join("usr/bin/relupd"), "#!/bin/sh\necho this relupd is broken >&2\nexit 1\n")?;
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control)?;
    let lines = text.lines().map(|line| match line.strip_prefix("Version: ") {
        Some(_) => format!("Version: {version}\n"),
        None => format!("{line}\n"),
    });
    let text: String = lines.collect();
    fs::write(&control, text)?;
    let package = directory.join(format!("relupd_{version}_broken.deb"));
    let arguments = ["--root-owner-group", "--no-uniform-compression", "-Zzstd", "--build"];
    tool::run("dpkg-deb", &[&arguments[..], &[&path(&tree), &path(&package)]].concat())?;
    Ok(package)
}

fn made(command: &mut Command) -> anyhow::Result<PathBuf> {
    let made = command.output()?;
    ensure!(made.status.success(), "{SCRIPT} failed: {}", String::from_utf8_lossy(&made.stderr));
    Ok(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()))
}
