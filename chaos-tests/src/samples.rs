//! The sample apps' releases, built by rebar3 and mix.

use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Where the sample app's sources are.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sample");

/// Where the sample's sources in Elixir are.
const ELIXIR_SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sample/elixir");

/// Where tests share what is built of them.
const ELIXIR_SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/samples-elixir");

/// Where tests share what is built.
const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/samples");

/// The built archives.
#[derive(Clone, Debug)]
pub struct Samples(PathBuf);

impl Samples {
    /// Builds what is not built yet.
    pub async fn build(directory: &Path) -> anyhow::Result<Self> {
        build(SOURCES, directory).await.map(Self)
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

/// What mix makes of the sample in Elixir.
#[derive(Clone, Debug)]
pub struct ElixirSamples(PathBuf);

impl ElixirSamples {
    /// Those that all tests share, built where they are not yet; `None` without mix.
    pub async fn shared() -> anyhow::Result<Option<Self>> {
        if Command::new("mix").arg("--version").output().await.is_err() {
            return Ok(None);
        }
        build(ELIXIR_SOURCES, Path::new(ELIXIR_SHARED)).await.map(|built| Some(Self(built)))
    }

    /// The archive of a version with sasl, which can go hot.
    #[must_use]
    pub fn with_sasl(&self, version: &str) -> PathBuf {
        self.0.join(format!("greeter-{version}.tar.gz"))
    }

    /// The archive of a version as mix makes it by itself, which goes by restart.
    #[must_use]
    pub fn without_sasl(&self, version: &str) -> PathBuf {
        self.0.join(format!("plain-{version}.tar.gz"))
    }

    /// From each version to the other.
    #[must_use]
    pub fn appup(&self) -> PathBuf {
        self.0.join("greeter.appup")
    }
}

/// Runs the script of these sources; where it has put what it built.
async fn build(sources: &str, into: &Path) -> anyhow::Result<PathBuf> {
    let script = Path::new(sources).join("build.sh");
    let built = Command::new(&script)
        .arg(into)
        .output()
        .await
        .with_context(|| format!("cannot run {}", script.display()))?;
    if !built.status.success() {
        bail!("{} failed:\n{}", script.display(), String::from_utf8_lossy(&built.stderr));
    }
    Ok(std::path::absolute(into)?)
}
