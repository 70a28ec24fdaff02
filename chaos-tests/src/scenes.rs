//! What the demo shows and the end-to-end tests hold it to, one file a scene. A scene fails where
//! something is not as promised; what it counted comes back as figures.

pub mod code_change_crashes;
pub mod falls_ill;
pub mod first;
pub mod form;
pub mod hot;
pub mod leader_dies;

use crate::cluster::{APP, Cluster};
use crate::ctl::{Ctl, Plan, Rollout};
use crate::load::{Load, Record};
use crate::samples::Samples;
use crate::show::Show;
use crate::wait;
use crate::witness::Testimony;
use anyhow::{Context as _, ensure};
use std::path::PathBuf;
use std::time::Duration;

/// Health is judged over some rounds, and then has to get around.
const HEALTH_PATIENCE: Duration = Duration::from_secs(60);

/// A request that nobody forgets is answered within this, on a busy machine too.
const REQUEST_PATIENCE: Duration = Duration::from_secs(60);

/// Where scenes are played.
#[derive(Debug)]
pub struct Stage {
    /// The daemons.
    pub cluster: Cluster,
    /// The releases.
    pub samples: Samples,
    /// Who looks on.
    pub show: Show,
}

impl Stage {
    /// Makes a plan and shows it. What a program reads of it is read from a second one, which is the
    /// same but for its id.
    async fn plan(&self, at: usize, version: &str) -> anyhow::Result<Plan> {
        let (name, ctl) = self.at(at);
        let shown = self.show.run(name, &ctl, &["plan", APP, version]).await?.stdout;
        let id =
            shown.strip_prefix("plan ").and_then(|rest| rest.split_once(':')).context("a plan has an id")?.0;
        Ok(Plan { id: id.to_owned(), ..ctl.plan(APP, version).await? })
    }

    /// Starts a plan, shows it until it ends, and gives how it ended with the exit code of the watch.
    async fn carry_out(&self, at: usize, plan: &Plan) -> anyhow::Result<(Rollout, i32)> {
        let (name, ctl) = self.at(at);
        let id = ctl.start(plan).await?;
        self.show.prompt(name, &["rollout", "start", &plan.id]);
        let code = self.show.follow(name, &ctl, &["rollout", "watch", &id, "--timeout", "150s"]).await?;
        Ok((ctl.rollout(&id).await?, code))
    }

    /// A node's name, and the command line on it.
    fn at(&self, index: usize) -> (&str, Ctl) {
        (self.cluster.members()[index].name(), self.cluster.ctl(index))
    }

    async fn testimonies(&self) -> anyhow::Result<Vec<Testimony>> {
        Testimony::take_all(&self.cluster.apps()).await
    }

    fn load(&self, scene: &str) -> anyhow::Result<Load> {
        Load::start_within(&self.cluster.apps(), &self.load_log(scene), REQUEST_PATIENCE)
    }

    fn load_log(&self, scene: &str) -> PathBuf {
        self.cluster.directory().join(format!("load-{scene}.log"))
    }

    /// Waits until every node, as relupd has it, runs this version, boots into it and is healthy.
    pub async fn all_settled_on(&self, version: &str) -> anyhow::Result<()> {
        let what = format!("every node runs {version}, boots into it and is healthy");
        wait::until(&what, HEALTH_PATIENCE, async || {
            let status = self.cluster.ctl(0).status().await?;
            for member in self.cluster.members() {
                let instance = status.instance(member.name(), APP)?;
                let settled = instance.permanent == version && instance.running == version;
                ensure!(settled && instance.health == "healthy", "on {}: {instance:?}", member.name());
            }
            Ok(Some(()))
        })
        .await
    }

    /// Waits until the app on a node is healthy, as relupd has it.
    pub async fn healthy(&self, index: usize) -> anyhow::Result<()> {
        let name = self.cluster.members()[index].name();
        wait::until(&format!("{APP} on {name} is healthy"), HEALTH_PATIENCE, async || {
            let status = self.cluster.ctl(index).status().await?;
            Ok((status.instance(name, APP)?.health == "healthy").then_some(()))
        })
        .await
    }

    /// No request failed and no count was lost.
    fn judge_load(&self, record: &Record) -> anyhow::Result<()> {
        let failures = record.failures();
        if let Some((node, why)) = failures.first() {
            anyhow::bail!(
                "{} of {} requests failed, the first on {node}: {why}",
                failures.len(),
                record.requests()
            );
        }
        ensure!(record.counters_lost() == 0, "{} counts were lost", record.counters_lost());
        self.show.witnessed(&format!(
            "load client: {} requests, none failed, no count lost, longest silence of a node {} ms",
            record.requests(),
            record.longest_gap().as_millis()
        ));
        Ok(())
    }
}

/// The phase that a rollout must have ended in, with its reason where it has another.
fn ended_as(rollout: &Rollout, phase: &str) -> anyhow::Result<()> {
    let summary = &rollout.summary;
    ensure!(
        summary.phase == phase,
        "rollout {} is {} and not {phase}: {}",
        summary.id,
        summary.phase,
        summary.reason
    );
    Ok(())
}

/// Each node by the place it has in a plan.
fn in_order(stage: &Stage, plan: &Plan) -> anyhow::Result<Vec<usize>> {
    plan.order()
        .into_iter()
        .map(|name| stage.cluster.index_of(name))
        .collect::<Result<_, _>>()
        .context("the plan")
}
