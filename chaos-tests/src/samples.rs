//! The sample app's releases, built by rebar3.

use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Where the sample app's sources are.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sample");

/// Where tests share what is built.
const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/samples");

/// The built archives.
#[derive(Clone, Debug)]
pub struct Samples(PathBuf);

impl Samples {
    /// Builds what is not built yet.
    pub async fn build(directory: &Path) -> anyhow::Result<Self> {
        let script = Path::new(SOURCES).join("build.sh");
        let built = Command::new(&script)
            .arg(directory)
            .output()
            .await
            .with_context(|| format!("cannot run {}", script.display()))?;
        if !built.status.success() {
            bail!("{} failed:\n{}", script.display(), String::from_utf8_lossy(&built.stderr));
        }
        Ok(Self(std::path::absolute(directory)?))
    }

    /// Those that all tests share.
    pub async fn shared() -> anyhow::Result<Self> {
        Self::build(Path::new(SHARED)).await
    }

    /// The archive of a version.
    #[must_use]
    pub fn archive(&self, version: &str) -> PathBuf {
        self.0.join(format!("shop-{version}.tar.gz"))
    }
}
