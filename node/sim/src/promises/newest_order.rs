//! S4.

use super::{Violation, broken};
use relupd::ids::{AppName, Generation, NodeId, ReleaseVersion, RolloutId};
use std::collections::BTreeMap;
use std::time::Duration;

/// An effect that a node's agent is about to have on its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    pub node: NodeId,
    pub app: AppName,
    pub deed: Deed,
    pub warrant: Warrant,
    /// When its last linearizable read that succeeded was asked for; `None` where there was none for
    /// this effect.
    pub read_asked_at: Option<Duration>,
    /// The newest order in the state as applied there.
    pub newest_applied: Option<Generation>,
}

/// What is about to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    Install { to: ReleaseVersion },
    Commit { to: ReleaseVersion },
    RollBack { from: Option<ReleaseVersion> },
    Repair { decided: Option<ReleaseVersion> },
    Start,
    Stop,
}

/// What entitles to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warrant {
    Order(Generation),
    Orphan(RolloutId),
    /// Keeping the app as it was decided: it takes no order.
    Upkeep,
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
    let Warrant::Order(order) = effect.warrant else { return None };
    let violation =
        |why: String| Some(broken("S4", format!("node {} {:?} by {order}: {why}", effect.node, effect.deed)));
    if effect.newest_applied != Some(order) {
        return violation(format!("the newest applied there is {:?}", effect.newest_applied));
    }
    let needs_read = match effect.deed {
        Deed::Install { .. } | Deed::Commit { .. } | Deed::RollBack { .. } => true,
        Deed::Repair { .. } | Deed::Start | Deed::Stop => false,
    };
    match effect.read_asked_at {
        None if needs_read => violation("without a linearizable read".to_owned()),
        None => None,
        Some(asked) => match orders.overtaken(effect, order, asked) {
            None => None,
            Some(newer) => violation(format!("{newer:?} was committed before its read was asked for")),
        },
    }
}
