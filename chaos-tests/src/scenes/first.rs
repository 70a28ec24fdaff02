//! The first release of an app, on nodes where nothing is installed.

use super::{Stage, ended_as};
use crate::cluster::{APP, SpecConfig};
use anyhow::ensure;

/// What is pushed.
pub const VERSIONS: [&str; 5] = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0"];

/// Pushes every version, applies the spec and rolls 0.1.0 out.
pub async fn play(stage: &Stage, spec: &SpecConfig) -> anyhow::Result<()> {
    let show = stage.show;
    let (first, ctl) = stage.at(0);
    for version in VERSIONS {
        let archive = stage.samples.archive(version);
        show.run(first, &ctl, &["release", "push", &archive.to_string_lossy()]).await?;
    }
    show.run(first, &ctl, &["release", "list"]).await?;
    let spec = stage.cluster.write_spec(spec)?;
    show.run(first, &ctl, &["app", "apply", &spec.to_string_lossy()]).await?;
    let plan = stage.plan(0, "0.1.0").await?;
    ensure!(plan.steps.iter().all(|step| step.method == "first"), "something was installed already");
    let (rollout, code) = stage.carry_out(0, &plan).await?;
    ended_as(&rollout, "completed")?;
    ensure!(code == 0, "the watch of a completed rollout exits with {code}");
    show.run(first, &ctl, &["app", "list"]).await?;
    for testimony in stage.testimonies().await? {
        ensure!(testimony.info.version == "0.1.0", "{} answers", testimony.info.version);
    }
    stage.all_settled_on("0.1.0").await?;
    show.witnessed(&format!("{APP} 0.1.0 answers on every node"));
    Ok(())
}
