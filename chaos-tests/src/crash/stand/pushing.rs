//! A push that is broken: its operator pushes again, and the release is rolled out. Had anything half-taken
//! passed for whole, the second push would not bring it, and the release would not be its archive's.

use super::breaking::REACH;
use super::{SETTLE, Stand};
use crate::crash::cell::{Cell, Verdict};
use crate::ctl::Ended;
use crate::wait;
use relupd::clock::monotonic;
use std::time::Duration;

impl Stand {
    /// Brings a version into the node's store.
    pub(super) async fn push(&self, version: &str) -> anyhow::Result<Ended> {
        self.ctl().run(&["release", "push", &self.samples.archive(version).to_string_lossy()]).await
    }

    /// What is passed while a version comes.
    pub(super) async fn record_push(&self, version: &str) -> anyhow::Result<Vec<String>> {
        self.points.record()?;
        self.push(version).await?;
        let mut trace = self.points.trace()?;
        self.points.disarm()?;
        // The agent looks after its app meanwhile.
        trace.retain(|point| point.contains(" store/"));
        Ok(trace)
    }

    pub(super) async fn play_push(&mut self, cell: &Cell) -> anyhow::Result<(Verdict, Duration)> {
        let transition = &cell.transition;
        self.points.arm(&cell.point, None, cell.passage, cell.fault.action())?;
        let (ctl, archive) = (self.ctl(), self.samples.archive(transition.to));
        let pushing =
            tokio::spawn(async move { ctl.try_run(&["release", "push", &archive.to_string_lossy()]).await });
        let reached = wait::closely("the point is reached", REACH, async || {
            let ended = pushing.is_finished();
            Ok(if self.points.is_hit() { Some(true) } else { ended.then_some(false) })
        });
        if !reached.await? {
            let why = "the push ended without it".to_owned();
            return Ok((Verdict::NotReached { why }, Duration::ZERO));
        }
        if let Err(why) = self.break_it(cell.fault, None).await? {
            return Ok((Verdict::NotReached { why }, Duration::ZERO));
        }
        let over = monotonic();
        let ended = pushing.await??;
        if ended.code != 0 && ended.stderr.trim().is_empty() {
            let why = format!("a push ends with {} and does not say why", ended.code);
            return Ok((Verdict::Wrong { why }, Duration::ZERO));
        }
        wait::until("the push, repeated", SETTLE, async || self.push(transition.to).await.map(Some)).await?;
        let recovery = monotonic().since(over);
        let plan = self.plan(transition).await?;
        let id = self.ctl().start(&plan).await?;
        let verdict = match self.settle(transition, &id, SETTLE).await {
            Verdict::Ok { on: None, phase } => {
                Verdict::Wrong { why: format!("nothing is broken any more, and the rollout is {phase}") }
            }
            verdict => verdict,
        };
        Ok((self.confirm(transition, verdict).await?, recovery))
    }
}
