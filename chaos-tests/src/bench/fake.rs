//! A cluster whose apps are fakes: everything but the driver is real.

use super::Bench;
use super::api::Api;
use super::journal::{self, Journal};
use crate::cluster::Cluster;
use anyhow::{Context as _, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release that every fake app runs; its versions differ in nothing that matters here.
const RELEASE: &str = "bench";

/// The two versions that apps are rolled to and fro between.
pub(super) const VERSIONS: [&str; 2] = ["0.1.0", "0.2.0"];

/// Three daemons, their logs, and connections to their APIs.
pub(super) struct FakeCluster {
    pub(super) cluster: Cluster,
    pub(super) journal: Journal,
    pub(super) apis: Vec<Api>,
}

impl FakeCluster {
    pub(super) async fn start(bench: &Bench) -> anyhow::Result<Self> {
        let mut cluster = Cluster::prepare(&bench.directory.join("fake"), bench.binaries.clone(), 3)?;
        cluster.configure(journal::SETTINGS)?;
        cluster.form().await?;
        for version in VERSIONS {
            let archive = tarball(cluster.directory(), version)?;
            cluster.ctl(0).run(&["release", "push", text(&archive)?]).await?;
        }
        let apis = (0..3).map(|index| Api::at(cluster.ctl(index).socket())).collect::<Result<_, _>>()?;
        let journal = Journal::of(&cluster);
        Ok(Self { cluster, journal, apis })
    }

    /// Makes an app, and installs it for the first time on every node.
    pub(super) async fn add_app(&mut self, name: &str, health: &str, bake: &str) -> anyhow::Result<()> {
        let path = self.apply(name, health, bake).await?;
        ensure!(path.is_file(), "a spec was written");
        self.roll(0, name, VERSIONS[0]).await?;
        Ok(())
    }

    /// Makes an app that nothing is installed of.
    pub(super) async fn apply(&self, name: &str, health: &str, bake: &str) -> anyhow::Result<PathBuf> {
        let directory = self.cluster.directory();
        let path = directory.join(format!("{name}.toml"));
        let root = format!("{}/{{{{node.name}}}}/opt/{name}", directory.display());
        let spec = format!(
            "name = \"{name}\"\nrelease = \"{RELEASE}\"\ndriver = \"fake\"\nroot = \"{root}\"\n\n\
             [nodes]\nlabels = {{ role = \"web\" }}\n\n{health}\n\
             [upgrade]\ncanary = 1\nmax_in_flight = 1\nbake = \"{bake}\"\npermanent = \"at-end\"\n\
             on_failure = \"revert\"\n"
        );
        fs::write(&path, spec)?;
        self.cluster.ctl(0).run(&["app", "apply", text(&path)?]).await?;
        Ok(path)
    }

    /// Rolls an app by one node's API, and waits until the rollout is completed.
    pub(super) async fn roll(&mut self, by: usize, app: &str, version: &str) -> anyhow::Result<()> {
        self.journal.begin()?;
        let plan = self.apis[by].plan(app, version).await?;
        let id = self.apis[by].start(&plan).await?;
        let ended = self.journal.until("a rollout ends", |entry| {
            entry.text("rollout") == id
                && (entry.decided("Complete") || entry.decided("Refuse") || entry.decided("Halt"))
        });
        let ended = ended.await?;
        ensure!(ended.decided("Complete"), "rollout {id} did not go well: {}", ended.text("decisions"));
        Ok(())
    }

    /// Who leads, as this node sees it.
    pub(super) async fn leader(&self, asked: usize) -> anyhow::Result<usize> {
        let status = self.cluster.ctl(asked).status().await?;
        self.cluster.index_of(status.leader()?)
    }
}

pub(super) fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// The smallest release that there can be.
fn tarball(directory: &Path, version: &str) -> anyhow::Result<PathBuf> {
    let root = directory.join(format!("release-{version}"));
    let rel = format!(
        "{{release,{{\"{RELEASE}\",\"{version}\"}},{{erts,\"13.1.5\"}},\
         [{{kernel,\"8.5.3\"}},{{sasl,\"4.2\"}},{{{RELEASE},\"{version}\",permanent}}]}}.\n"
    );
    let files = [
        (format!("bin/{RELEASE}"), "#!/bin/sh\n"),
        ("erts-13.1.5/bin/erlexec".to_owned(), "erlexec"),
        ("lib/kernel-8.5.3/ebin/kernel.app".to_owned(), "kernel"),
        ("lib/sasl-4.2/ebin/sasl.app".to_owned(), "sasl"),
        (format!("lib/{RELEASE}-{version}/ebin/{RELEASE}.app"), "bench"),
        (format!("releases/{version}/{RELEASE}.rel"), &rel),
        (format!("releases/{version}/start.boot"), "boot"),
        (format!("releases/{version}/sys.config"), "[].\n"),
    ];
    for (name, content) in &files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().context("a file lies in a directory")?)?;
        fs::write(path, content)?;
    }
    let archive = directory.join(format!("{RELEASE}-{version}.tar.gz"));
    let packed = Command::new("tar")
        .args(["--owner=0", "--group=0", "-czf", text(&archive)?, "-C", text(&root)?])
        .args(["bin", "erts-13.1.5", "lib", "releases"])
        .status()
        .context("cannot run tar")?;
    ensure!(packed.success(), "tar failed");
    Ok(archive)
}
