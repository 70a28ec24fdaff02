//! S4, and what keeps it true after a crash: the ledger.

use super::{Violation, broken};
use crate::host::{ProcessTruth, Truth};
use relupd::agent::decide::{Action, Authority};
use relupd::agent::ledger::LedgerEntry;
use relupd::driver::Method;
use relupd::ids::{AppName, BootNonce, Generation, NodeId, ReleaseVersion};
use relupd::spec::{Orphan, Permanent};
use relupd::state::ClusterState;
use relupd::state::app::Order;
use relupd::state::rollout::Phase;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// An effect that a node's agent begins, with everything it rests on there and then.
#[derive(Debug)]
pub struct Effect {
    pub node: NodeId,
    pub app: AppName,
    pub action: Action,
    /// The state as applied there.
    pub applied: Arc<ClusterState>,
    /// When the linearizable read that it was fenced by was asked for, in true time.
    pub read_asked_at: Option<Duration>,
    /// How long the node had no contact with a proven leader when it decided, as it measures it itself.
    pub contact_age: Duration,
    /// An orphan's way back that the ledger held already when this was decided.
    pub noted_before: bool,
    /// The ledger as it is on disk.
    pub on_disk: Option<LedgerEntry>,
    pub truth: Truth,
}

impl Effect {
    /// By which order, where it is by one.
    fn order(&self) -> Option<Generation> {
        match &self.action {
            Action::Install { trial, .. } => Some(trial.generation),
            Action::RollBack { by: Authority::Order(generation), .. }
            | Action::Repair { by: Some(generation), .. } => Some(*generation),
            Action::Commit { .. } => self.newest().map(|(generation, _)| generation),
            Action::RollBack { by: Authority::Orphan(_), .. }
            | Action::Repair { by: None, .. }
            | Action::Observe
            | Action::Place { .. }
            | Action::Preflight { .. }
            | Action::Verify { .. }
            | Action::Drain { .. }
            | Action::Start
            | Action::Stop
            | Action::Report { .. }
            | Action::ReportOrphan { .. }
            | Action::Announce { .. }
            | Action::Wait { .. } => None,
        }
    }

    fn newest(&self) -> Option<(Generation, Order)> {
        let instance = self.applied.apps.get(&self.app)?.instances.get(&self.node)?;
        instance.assignment.as_ref().map(|order| (order.generation, order.order))
    }

    fn broken(&self, why: String) -> Option<Violation> {
        Some(broken("S4", format!("node {}: {:?}: {why}", self.node, self.action)))
    }
}

/// When the newest order to each node was first known to be committed, and which it was; `None` is an
/// order that was taken back.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders(BTreeMap<(AppName, NodeId), History>);

type History = Vec<(Duration, Option<Generation>)>;

impl Orders {
    pub(super) fn note(&mut self, at: Duration, app: &AppName, node: NodeId, newest: Option<Generation>) {
        let known = self.0.entry((app.clone(), node)).or_default();
        if known.last().map(|(_, last)| *last) != Some(newest) {
            known.push((at, newest));
        }
    }

    /// What came after this order and was committed by then.
    fn overtaken(&self, effect: &Effect, order: Generation, by: Duration) -> Option<Option<Generation>> {
        let known = self.0.get(&(effect.app.clone(), effect.node))?;
        let mut after = known.iter().skip_while(|(_, newest)| *newest != Some(order)).skip(1);
        after.find(|(at, _)| *at < by).map(|(_, newest)| *newest)
    }
}

/// S4. Asked when an effect begins, because what comes later cannot call it back: the order must be the
/// newest that is applied there, and the read before must have been asked for at a time by which nothing
/// newer was committed. An order that is committed after the read was asked for is nobody's fault.
pub(super) fn a_version_changes_only_by_the_newest_order_after_a_linearizable_read(
    effect: &Effect,
    orders: &Orders,
) -> Option<Violation> {
    let order = effect.order()?;
    let newest = effect.newest().map(|(generation, _)| generation);
    if newest != Some(order) {
        return effect.broken(format!("by {order}; the newest applied there is {newest:?}"));
    }
    let Some(asked) = effect.read_asked_at else {
        return effect.broken("without a linearizable read".to_owned());
    };
    let newer = orders.overtaken(effect, order, asked)?;
    effect.broken(format!("by {order}; {newer:?} was committed before its read was asked for"))
}

/// S4. What takes no order must agree with what was decided: a repair writes the version that the
/// cluster decided on for this node, never merely the one that happens to run.
pub(super) fn a_repair_writes_what_was_decided(effect: &Effect) -> Option<Violation> {
    let Action::Repair { decided: Some(written), .. } = &effect.action else { return None };
    let instance = effect.applied.apps.get(&effect.app)?.instances.get(&effect.node)?;
    let order = instance.assignment.as_ref();
    let decided = match order.map(|order| (order, order.order)) {
        Some((order, Order::Commit)) => Some(&order.to),
        Some((order, Order::Revert)) => order.from.as_ref(),
        Some((_, Order::Prepare | Order::Upgrade | Order::Drain)) | None => instance.settled.as_ref(),
    };
    let decided = decided.map(|release| &release.version);
    if decided == Some(written) { None } else { effect.broken(format!("{decided:?} was decided")) }
}

/// S4. The orphan rule is for a node that was left alone for long enough, the longer the earlier its place in
/// the plan, so that orphans go one after the other; and never once the decision is applied there: from then
/// on it goes forward. How long it was alone is asked when its way back begins. One
/// that is in the ledger is gone to its end, rung by rung, also where contact came meanwhile: halfway down
/// is worse than either end, and nobody but this node knows how far it has come.
pub(super) fn only_an_orphan_goes_back_by_itself_and_never_after_the_decision(
    effect: &Effect,
) -> Option<Violation> {
    let Action::RollBack { by: Authority::Orphan(id), .. } = &effect.action else { return None };
    let rollout = effect.applied.rollouts.get(id)?;
    if matches!(rollout.phase, Phase::Committing { decided: true }) {
        return effect.broken("commit is decided".to_owned());
    }
    let order = effect.applied.apps.get(&effect.app).and_then(|app| {
        app.instances.get(&effect.node)?.assignment.as_ref().map(|assignment| assignment.order)
    });
    if order == Some(Order::Commit) && rollout.spec.upgrade.permanent == Permanent::AtEnd {
        return effect.broken("commit was decided, and turned round since: that takes an order".to_owned());
    }
    match rollout.spec.upgrade.orphan {
        Orphan::Hold => effect.broken("its policy is to hold".to_owned()),
        Orphan::Revert { after, stagger } => {
            let position = rollout.nodes.get(&effect.node)?.position;
            let behind = rollout.nodes.values().filter(|other| other.position > position).count();
            let deadline = after + stagger * u32::try_from(behind).unwrap_or(u32::MAX);
            if !effect.noted_before && effect.contact_age < deadline {
                return effect
                    .broken(format!("after {:?}, its deadline is {deadline:?}", effect.contact_age));
            }
            None
        }
    }
}

/// S4. Asked when an effect begins: what a crash would interrupt must be on disk by then, or nobody would
/// know afterwards that it may have been begun.
pub(super) fn an_effect_is_in_the_ledger_before_it_begins(effect: &Effect) -> Option<Violation> {
    let on_disk = effect.on_disk.as_ref();
    let noted = match &effect.action {
        Action::Install { trial, .. } => on_disk
            .and_then(|ledger| ledger.trial.as_ref())
            .is_some_and(|noted| noted.generation == trial.generation && noted.attempt == trial.attempt),
        Action::RollBack { rung, by: Authority::Order(generation), .. } => on_disk
            .and_then(|ledger| ledger.ladder_of(*generation))
            .is_some_and(|ladder| ladder.begun == Some(*rung)),
        Action::RollBack { rung, by: Authority::Orphan(rollout), .. } => on_disk
            .and_then(|ledger| ledger.orphaned(*rollout))
            .is_some_and(|ladder| ladder.begun == Some(*rung)),
        _ => true,
    };
    if noted { None } else { effect.broken(format!("the ledger on disk says {on_disk:?}")) }
}

/// In which life of the VM each relup was begun first.
#[derive(Clone, Debug, Default)]
pub(super) struct Begun(BTreeMap<(NodeId, AppName, Generation, u32), BootNonce>);

impl Begun {
    /// S4. A relup that is begun again in another life of the VM is another installation: the first one
    /// was interrupted, and an interrupted installation is a failed verdict.
    pub(super) fn an_installation_is_begun_once(&mut self, effect: &Effect) -> Option<Violation> {
        let Action::Install { trial, transition } = &effect.action else { return None };
        let ProcessTruth::Up(vm) = &effect.truth.process else { return None };
        let key = (effect.node, effect.app.clone(), trial.generation, trial.attempt);
        let first = self.0.entry(key).or_insert_with(|| vm.nonce.clone());
        let again = transition.method == Method::Hot && *first != vm.nonce;
        let first = first.clone();
        if again { effect.broken(format!("it was begun in {first}, now it is {}", vm.nonce)) } else { None }
    }
}

/// What an operation was begun for, to be held against what changes because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// This version, or nothing, is to run and be permanent.
    To(Option<ReleaseVersion>),
    /// Whatever the pointers say.
    Anything,
}

impl Purpose {
    pub(super) fn of(action: &Action) -> Self {
        match action {
            Action::Install { transition, .. } | Action::Commit { transition } => {
                Self::To(Some(transition.to.clone()))
            }
            Action::RollBack { transition, .. } => Self::To(transition.from.clone()),
            Action::Repair { decided: Some(decided), .. } => Self::To(Some(decided.clone())),
            _ => Self::Anything,
        }
    }

    pub(super) fn allows(&self, version: Option<&ReleaseVersion>) -> bool {
        match self {
            Self::To(meant) => version == meant.as_ref(),
            Self::Anything => true,
        }
    }
}
