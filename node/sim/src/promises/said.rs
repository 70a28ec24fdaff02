//! What a node says of itself, held against its host at the moment at which it says it: verdicts (S6),
//! and that it has arrived (S5). Later anything may have happened to it.

use super::{Violation, broken};
use crate::host::{ProcessTruth, Truth};
use relupd::driver::Running;
use relupd::ids::{AppName, NodeId, ReleaseVersion};
use relupd::spec::AppSpec;
use relupd::state::ClusterState;
use relupd::state::command::Report;
use std::sync::Arc;
use std::time::Duration;

/// A report that a node's agent is about to propose.
#[derive(Debug)]
pub struct Said {
    pub node: NodeId,
    pub app: AppName,
    pub report: Report,
    /// The state as applied there; its newest order is the one that is answered.
    pub applied: Arc<ClusterState>,
    pub truth: Truth,
    /// How far that node's clock has ever leapt.
    pub clock_error: Duration,
}

/// S5, S6. A verdict is about the version and the life that run, has held for the whole bake, and rests
/// on rounds that passed; whoever says that it is there, is there.
pub(super) fn what_a_node_says_of_itself_is_so(said: &Said) -> Option<Violation> {
    let order = said.applied.apps.get(&said.app)?.instances.get(&said.node)?.assignment.as_ref()?;
    let rollout = said.applied.rollouts.get(&order.rollout)?;
    let to = &order.to.version;
    let found = match &said.report {
        Report::Healthy { boot_nonce } => {
            let vm = running(&said.truth, to, Some(&boot_nonce.0));
            vm.and_then(|()| has_baked(said, &rollout.spec)).err().map(|why| ("S6", why))
        }
        Report::ReadyToCommit { boot_nonce } => {
            running(&said.truth, to, Some(&boot_nonce.0)).err().map(|why| ("S6", why))
        }
        Report::Committed => stands(&said.truth, Some(to)).err().map(|why| ("S5", why)),
        Report::Reverted { .. } => {
            let from = order.from.as_ref().map(|from| &from.version);
            stands(&said.truth, from).err().map(|why| ("S5", why))
        }
        Report::Prepared { .. }
        | Report::PrepareFailed { .. }
        | Report::Stage { .. }
        | Report::Failed { .. }
        | Report::CannotFetch { .. }
        | Report::Fetched
        | Report::AskTurn
        | Report::RevertFailed { .. } => None,
    };
    found.map(|(promise, why)| {
        broken(promise, format!("node {} says {:?}, but {why}", said.node, said.report))
    })
}

fn running(truth: &Truth, version: &ReleaseVersion, life: Option<&str>) -> Result<(), String> {
    match &truth.process {
        ProcessTruth::Up(vm) if vm.code.as_ref() != Some(version) => Err(format!("{:?} runs", vm.code)),
        ProcessTruth::Up(vm) if life.is_some_and(|life| life != vm.nonce.0) => {
            Err(format!("{} is its life", vm.nonce))
        }
        ProcessTruth::Up(_) => Ok(()),
        ProcessTruth::None | ProcessTruth::Booting(_) => Err(format!("it is {:?}", Running::Down)),
    }
}

fn has_baked(said: &Said, spec: &AppSpec) -> Result<(), String> {
    let ProcessTruth::Up(vm) = &said.truth.process else { return Ok(()) };
    let (bake, health) = (spec.upgrade.bake, &spec.health);
    // Clocks that run within a thousandth of each other may end a bake that much early.
    if vm.ran_for + said.clock_error + bake / 500 < bake {
        return Err(format!("it runs for {:?} only, its bake is {bake:?}", vm.ran_for));
    }
    if health.checks.is_empty() {
        return Ok(());
    }
    if vm.rounds_passed < u64::from(health.healthy_after) {
        return Err(format!("{} rounds have passed since it runs", vm.rounds_passed));
    }
    if vm.rounds_failed_in_a_row >= u64::from(health.unhealthy_after) {
        return Err(format!("{} rounds in a row have failed", vm.rounds_failed_in_a_row));
    }
    Ok(())
}

/// A look at the disk and the report that rests on it are not of one moment: what somebody tears in between
/// is nobody's lie.
const BETWEEN_LOOK_AND_REPORT: Duration = Duration::from_millis(100);

/// Whether it boots this version, and runs no other.
fn stands(truth: &Truth, version: Option<&ReleaseVersion>) -> Result<(), String> {
    let torn_just_now = truth.pointer_torn_for.is_some_and(|torn| torn < BETWEEN_LOOK_AND_REPORT);
    if truth.permanent.as_ref() != version && !torn_just_now {
        return Err(format!("{:?} is permanent", truth.permanent));
    }
    match (&truth.process, version) {
        (ProcessTruth::Up(vm), version) if vm.code.as_ref() != version => Err(format!("{:?} runs", vm.code)),
        (ProcessTruth::Up(_) | ProcessTruth::Booting(_) | ProcessTruth::None, _) => Ok(()),
    }
}
