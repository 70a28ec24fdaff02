//! The first release of an app, on nodes where nothing is installed.

use super::{Stage, ended_as};
use crate::cluster::{APP, SpecConfig};
use anyhow::{Context as _, ensure};

/// Pushes these versions, applies the spec and rolls the first of them out.
pub async fn play(stage: &Stage, spec: &SpecConfig, versions: &[&str]) -> anyhow::Result<()> {
    let show = stage.show;
    let (first, ctl) = stage.at(0);
    for version in versions {
        let archive = stage.samples.archive(version);
        show.run(first, &ctl, &["release", "push", &archive.to_string_lossy()]).await?;
    }
    show.run(first, &ctl, &["release", "list"]).await?;
    let spec = stage.cluster.write_spec(spec)?;
    show.run(first, &ctl, &["app", "apply", &spec.to_string_lossy()]).await?;
    let version = *versions.first().context("a version to install")?;
    let plan = stage.plan(0, version).await?;
    ensure!(plan.steps.iter().all(|step| step.method == "first"), "something was installed already");
    let (rollout, code) = stage.carry_out(0, &plan).await?;
    ended_as(&rollout, "completed")?;
    ensure!(code == 0, "the watch of a completed rollout exits with {code}");
    show.run(first, &ctl, &["app", "list"]).await?;
    for testimony in stage.testimonies().await? {
        ensure!(testimony.info.version == version, "{} answers", testimony.info.version);
    }
    stage.all_settled_on(version).await?;
    show.witnessed(&format!("{APP} {version} answers on every node"));
    Ok(())
}
