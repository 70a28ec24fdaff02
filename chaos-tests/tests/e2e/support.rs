//! What every test begins with.

use chaos_tests::binaries::Binaries;
use chaos_tests::cluster::{APP, Cluster, SpecConfig};
use chaos_tests::ctl::Ctl;
use chaos_tests::samples::Samples;
use chaos_tests::scenes::{Stage, first};
use chaos_tests::show::Show;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// A stage with a directory of its own, which stays where a test fails.
pub(crate) struct Play {
    stage: Stage,
    directory: TempDir,
}

impl Play {
    /// Daemons that are not part of a cluster yet, and do not run.
    pub(crate) async fn prepared(size: u8) -> Self {
        let directory = tempfile::Builder::new().prefix("relupd-e2e-").tempdir().unwrap();
        let binaries = Binaries::of_this_build().unwrap();
        let cluster = Cluster::prepare(directory.path(), binaries, size).unwrap();
        let samples = Samples::shared().await.unwrap();
        Self { stage: Stage { cluster, samples, show: Show::Silent }, directory }
    }

    /// A running cluster.
    pub(crate) async fn formed(size: u8) -> Self {
        let mut play = Self::prepared(size).await;
        play.stage.cluster.form().await.unwrap();
        play
    }

    /// A running cluster with these releases pushed and the first of them rolled out.
    pub(crate) async fn installed(size: u8, versions: &[&str]) -> Self {
        Self::installed_as(size, versions, &quick()).await
    }

    /// The same with another spec.
    pub(crate) async fn installed_as(size: u8, versions: &[&str], spec: &SpecConfig) -> Self {
        let play = Self::formed(size).await;
        first::play(&play.stage, spec, versions).await.unwrap();
        play
    }

    /// Pushes these releases and rolls the first of them out, on whatever nodes there are.
    pub(crate) async fn install(&self, versions: &[&str], spec: &SpecConfig) {
        let ctl = self.ctl();
        for version in versions {
            let archive = self.samples.archive(version);
            ctl.run(&["release", "push", &archive.to_string_lossy()]).await.unwrap();
        }
        self.apply(spec).await;
        let rolled = ctl.roll(APP, versions[0]).await.unwrap();
        assert_eq!(rolled.summary.phase, "completed", "{}", rolled.summary.reason);
        self.healthy(0).await.unwrap();
    }

    /// What the app's spec says from now on.
    pub(crate) async fn apply(&self, spec: &SpecConfig) {
        let path = self.cluster.write_spec(spec).unwrap();
        self.ctl().run(&["app", "apply", &path.to_string_lossy()]).await.unwrap();
    }

    /// The command line on the first node.
    pub(crate) fn ctl(&self) -> Ctl {
        self.stage.cluster.ctl(0)
    }

    /// A place for a test's own files.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Deref for Play {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl DerefMut for Play {
    fn deref_mut(&mut self) -> &mut Stage {
        &mut self.stage
    }
}

impl Drop for Play {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.directory.disable_cleanup(true);
            eprintln!("logs and states are below {}", self.directory.path().display());
        }
    }
}

/// Policy and checks that do not let a test wait, and take no busy machine for an ill app.
pub(crate) fn quick() -> SpecConfig {
    SpecConfig {
        bake: Duration::from_millis(800),
        interval: Duration::from_millis(200),
        probe_timeout: Duration::from_secs(20),
        ..SpecConfig::default()
    }
}

/// The same for a node that is to be met while it bakes, on a busy machine too, and does not come to its end.
pub(crate) fn bakes_for_long() -> SpecConfig {
    SpecConfig { bake: Duration::from_secs(60), ..quick() }
}

/// The same for nodes that have to come to its end as well.
pub(crate) fn bakes_for_a_while() -> SpecConfig {
    SpecConfig { bake: Duration::from_secs(12), ..quick() }
}

/// An error must name the thing and what to do.
#[track_caller]
pub(crate) fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
}
