//! S12: what was acknowledged.

use super::log::Log;
use super::{Violation, broken};
use relupd::ids::{CommandId, NodeId};
use relupd::state::{ClusterState, Outcome};
use std::collections::BTreeMap;

/// Commands whose proposers were told an outcome.
#[derive(Clone, Debug, Default)]
pub(super) struct Acknowledged(BTreeMap<CommandId, Outcome>);

impl Acknowledged {
    /// S12, asked when an answer arrives: nobody is told an outcome that was not applied, or another one.
    pub(super) fn an_answer_is_what_was_applied(
        &mut self,
        command: CommandId,
        outcome: &Outcome,
        log: &Log,
    ) -> Option<Violation> {
        self.0.insert(command, outcome.clone());
        match log.outcome_of(command) {
            Some(applied) if applied == outcome => None,
            applied => {
                Some(broken("S12", format!("{command} was answered {outcome:?}, applied was {applied:?}")))
            }
        }
    }

    /// S12, asked at the end, after whatever crashes there were: whoever is as far as anybody is has applied
    /// everything that was acknowledged.
    pub(super) fn nothing_acknowledged_is_lost(
        &self,
        node: NodeId,
        applied_up_to: u64,
        log: &Log,
    ) -> Option<Violation> {
        self.0.keys().find_map(|command| match log.index_of(*command) {
            Some(index) if index <= applied_up_to => None,
            found => {
                let detail = format!(
                    "{command} was acknowledged (index {found:?}), node {node} ends at {applied_up_to}"
                );
                Some(broken("S12", detail))
            }
        })
    }
}

/// S12, asked when an entry comes whose command was applied before: the second time changes nothing.
pub(super) fn a_command_takes_effect_once(
    command: CommandId,
    before: &ClusterState,
    after: &ClusterState,
) -> Option<Violation> {
    (before != after).then(|| broken("S12", format!("{command} came again and changed something")))
}

/// S12, asked when a linearizable read returns: everything that anybody had applied when it was asked
/// for is applied there.
pub(super) fn a_read_sees_everything_committed_before_it(
    node: NodeId,
    applied: u64,
    newest_when_asked: u64,
) -> Option<Violation> {
    (applied < newest_when_asked).then(|| {
        let detail =
            format!("node {node} read at index {applied}; {newest_when_asked} was applied before it asked");
        broken("S12", detail)
    })
}
