//! Where the programs under test are.

use anyhow::{Context as _, bail};
use std::env;
use std::path::{Path, PathBuf};

/// The programs under test, of one build.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The daemon.
    pub relupd: PathBuf,
    /// The operator's command line.
    pub relupctl: PathBuf,
}

impl Binaries {
    /// Those in a directory.
    pub fn in_directory(directory: &Path) -> anyhow::Result<Self> {
        let directory = std::path::absolute(directory)?;
        let found = Self { relupd: directory.join("relupd"), relupctl: directory.join("relupctl") };
        for program in [&found.relupd, &found.relupctl] {
            if !program.is_file() {
                bail!("{} is missing: build it with `cargo build --workspace`", program.display());
            }
        }
        Ok(found)
    }

    /// Those of the build that the running program belongs to: a test lies in `deps`, one below.
    pub fn of_this_build() -> anyhow::Result<Self> {
        let this = env::current_exe()?;
        let beside = this.parent().context("a program lies in a directory")?;
        match Self::in_directory(beside) {
            Ok(found) => Ok(found),
            Err(_) => Self::in_directory(beside.parent().context("a test lies below its target directory")?),
        }
    }
}
