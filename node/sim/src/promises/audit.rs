//! Holds what was noted of the past, and asks each promise when it can be broken.

use super::acknowledged::{
    Acknowledged, a_command_takes_effect_once, a_read_sees_everything_committed_before_it,
};
use super::begins::{a_rollout_begins_on_what_its_plan_rests_on, no_rollout_begins_to_a_quarantined_release};
use super::changed::{changed_instances, changed_nodes, changed_rollouts};
use super::in_flight::{
    Excused, Spent, TakenAlong, Unordered,
    a_rollout_takes_along_no_more_that_are_down_than_its_policy_allows,
    no_more_than_max_in_flight_are_down_or_unjudged_by_our_doing,
};
use super::log::Log;
use super::mixed::{Mixes, a_mix_of_two_versions_is_known_and_repaired};
use super::newest_order::{
    Begun, Effect, Orders, Purpose, a_repair_writes_what_was_decided,
    a_version_changes_only_by_the_newest_order_after_a_linearizable_read,
    an_effect_is_in_the_ledger_before_it_begins,
    only_an_orphan_goes_back_by_itself_and_never_after_the_decision,
};
use super::one_way::{a_way_back_is_never_turned_round, nothing_forward_is_ordered_after_a_halt};
use super::permanent::{Judged, nothing_is_permanent_before_its_verdict_and_the_decision};
use super::reports::a_report_counts_for_the_newest_order_only;
use super::said::{Said, what_a_node_says_of_itself_is_so};
use super::settled::terminal_means_settled_on_the_hosts;
use super::terminal::{
    Survivor, every_rollout_has_ended, every_survivor_runs_and_has_caught_up, no_survivor_still_has_to_go,
};
use super::{Hosts, Violation, broken};
use crate::host::{Cause, Change, OperationId, What};
use relupd::ids::{AppName, CommandId, Digest, NodeId, ReleaseVersion};
use relupd::state::command::Entry;
use relupd::state::{ClusterState, Outcome};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What was noted, and what was found broken.
#[derive(Debug)]
pub struct Auditor {
    log: Log,
    acknowledged: Acknowledged,
    orders: Orders,
    judged: Judged,
    begun: Begun,
    unordered: Unordered,
    spent: Spent,
    taken_along: TakenAlong,
    mixes: Mixes,
    purposes: BTreeMap<(NodeId, AppName, OperationId), Purpose>,
    /// The state as far as anybody has applied it.
    newest: Option<Arc<ClusterState>>,
    /// The whole state is compared at every so many indices.
    digest_every: u64,
    found: Vec<Violation>,
}

impl Auditor {
    #[must_use]
    pub fn new(digest_every: u64) -> Self {
        Self {
            log: Log::default(),
            acknowledged: Acknowledged::default(),
            orders: Orders::default(),
            judged: Judged::default(),
            begun: Begun::default(),
            unordered: Unordered::default(),
            spent: Spent::default(),
            taken_along: TakenAlong::default(),
            mixes: Mixes::default(),
            purposes: BTreeMap::new(),
            newest: None,
            digest_every: digest_every.max(1),
            found: Vec::new(),
        }
    }

    /// What was found broken since the last call.
    pub fn take_violations(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.found)
    }

    /// The newest index that anybody has applied: what a read that is asked for now must see.
    #[must_use]
    pub fn newest_index(&self) -> u64 {
        self.log.newest()
    }

    /// The newest state that anybody has applied.
    #[must_use]
    pub fn newest_state(&self) -> Option<&Arc<ClusterState>> {
        self.newest.as_ref()
    }

    /// A node has applied an entry (`None` is one without a command, e.g. a leader's first), and `state`
    /// is what it holds now: its own, or what a replica of the log came to.
    pub fn applied(
        &mut self,
        at: Duration,
        node: NodeId,
        index: u64,
        entry: Option<(&Entry, &Outcome)>,
        state: &Arc<ClusterState>,
        hosts: &dyn Hosts,
    ) {
        let is_new = self.log.is_new(index);
        let command = entry.map(|(entry, _)| entry.id);
        let again = command.is_some_and(|command| self.log.index_of(command).is_some());
        let outcome = entry.map(|(_, outcome)| outcome);
        let same =
            self.log.every_node_applies_the_same_entry_with_the_same_outcome(node, index, command, outcome);
        self.found.extend(same);
        if index.is_multiple_of(self.digest_every) {
            self.compare(node, index, state);
        }
        if !is_new {
            return;
        }
        let before = self.newest.replace(Arc::clone(state));
        self.note(at, before.as_deref(), state);
        if let (true, Some(before), Some(command)) = (again, &before, command) {
            self.found.extend(a_command_takes_effect_once(command, before, state));
        }
        self.found.extend(state.violations());
        // Sent twice, it is answered as the first time.
        if let (false, Some(before), Some((entry, outcome))) = (again, &before, entry) {
            self.found.extend(a_report_counts_for_the_newest_order_only(entry, outcome, before));
        }
        if let Some(before) = before {
            self.spent.note(&before, state, hosts);
            self.taken_along.note(&before, state, hosts);
            self.found.extend(nothing_forward_is_ordered_after_a_halt(&before, state));
            self.found.extend(a_way_back_is_never_turned_round(&before, state));
            self.found.extend(a_rollout_begins_on_what_its_plan_rests_on(&before, state));
            self.found.extend(no_rollout_begins_to_a_quarantined_release(&before, state));
            self.found.extend(a_rollout_takes_along_no_more_that_are_down_than_its_policy_allows(
                &before, state, hosts,
            ));
            self.found.extend(terminal_means_settled_on_the_hosts(&before, state, hosts));
        }
    }

    fn note(&mut self, at: Duration, before: Option<&ClusterState>, state: &ClusterState) {
        for (name, app) in &state.apps {
            for (node, instance) in changed_instances(before, app) {
                let newest = instance.assignment.as_ref().map(|order| order.generation);
                self.orders.note(at, name, *node, newest);
            }
        }
        for rollout in changed_rollouts(before, state).filter(|rollout| !rollout.phase.is_terminal()) {
            self.judged.note(rollout.id, changed_nodes(before, rollout));
        }
    }

    /// Compares the whole state that a node holds at an index: at some of them, and at the end.
    fn compare(&mut self, node: NodeId, index: u64, state: &ClusterState) {
        let same = self.log.every_node_holds_the_same_state_at_an_index(node, index, state.digest());
        self.found.extend(same);
    }

    /// A node took a snapshot of this state. `index` is the newest entry in it, where that is known.
    pub fn took_a_snapshot(&mut self, node: NodeId, index: Option<u64>, state: Digest) {
        self.log.took_a_snapshot(state);
        let same =
            index.and_then(|index| self.log.every_node_holds_the_same_state_at_an_index(node, index, state));
        self.found.extend(same);
    }

    /// A node took a snapshot over.
    pub fn took_over(&mut self, node: NodeId, written: Digest, state: Digest) {
        self.found.extend(self.log.what_is_taken_over_is_what_was_written_down(node, written, state));
    }

    /// Every few seconds.
    pub fn looked(&mut self, now: Duration, hosts: &dyn Hosts) {
        if let Some(state) = &self.newest {
            self.found.extend(self.mixes.a_mix_that_lasts_is_known_and_named(now, state, hosts));
        }
    }

    /// A proposer was told an outcome.
    pub fn answered(&mut self, command: CommandId, outcome: &Outcome) {
        self.found.extend(self.acknowledged.an_answer_is_what_was_applied(command, outcome, &self.log));
    }

    /// A linearizable read has returned.
    pub fn read(&mut self, node: NodeId, applied: u64, newest_when_asked: u64) {
        self.found.extend(a_read_sees_everything_committed_before_it(node, applied, newest_when_asked));
    }

    /// An agent begins an effect on its host.
    pub fn begins(&mut self, operation: OperationId, effect: &Effect) {
        let orders = &self.orders;
        self.found
            .extend(a_version_changes_only_by_the_newest_order_after_a_linearizable_read(effect, orders));
        self.found.extend(an_effect_is_in_the_ledger_before_it_begins(effect));
        self.found.extend(a_repair_writes_what_was_decided(effect));
        self.found.extend(only_an_orphan_goes_back_by_itself_and_never_after_the_decision(effect));
        self.found.extend(self.begun.an_installation_is_begun_once(effect));
        self.unordered.note(&effect.app, effect.node, &effect.action, effect.truth.down_by_us);
        let key = (effect.node, effect.app.clone(), operation);
        self.purposes.insert(key, Purpose::of(&effect.action));
    }

    /// An agent says something of its node.
    pub fn says(&mut self, said: &Said) {
        self.found.extend(what_a_node_says_of_itself_is_so(said));
    }

    /// A version changed on a host.
    pub fn changed(&mut self, node: NodeId, app: &AppName, change: &Change) {
        let (to, is_pointer) = match &change.what {
            What::Runs { to, .. } => (to.as_ref(), false),
            What::Permanent { to, .. } => (to.as_ref(), true),
        };
        if let Cause::Operation(operation) = change.cause {
            let purpose = self.purposes.get(&(node, app.clone(), operation));
            self.found.extend(a_change_is_what_its_operation_was_for(node, to, change, purpose));
        }
        if let (true, Some(to), Some(state)) = (is_pointer, to, &self.newest) {
            let judged = &self.judged;
            self.found.extend(nothing_is_permanent_before_its_verdict_and_the_decision(
                node, app, to, state, judged,
            ));
        }
    }

    /// After every event.
    pub fn after_event(&mut self, hosts: &dyn Hosts) {
        if let Some(state) = &self.newest {
            self.unordered.look(hosts);
            self.taken_along.look(state, hosts);
            let excused =
                Excused { unordered: &self.unordered, spent: &self.spent, taken_along: &self.taken_along };
            self.found
                .extend(no_more_than_max_in_flight_are_down_or_unjudged_by_our_doing(state, hosts, &excused));
        }
    }

    /// At the end of the liveness phase; `nodes` are those on which a daemon runs, with what each has applied,
    /// `survivors` those that belong to the cluster and are not gone for good, and `due` what these have had the
    /// time to apply.
    pub fn at_the_end(
        &mut self,
        nodes: &[(NodeId, u64, Arc<ClusterState>)],
        survivors: &[Survivor],
        due: u64,
        hosts: &dyn Hosts,
    ) {
        for (node, applied, state) in nodes {
            self.compare(*node, *applied, state);
        }
        self.found.extend(every_survivor_runs_and_has_caught_up(survivors, due));
        if let Some((node, applied, state)) = nodes.iter().max_by_key(|(_, applied, _)| *applied) {
            self.found.extend(self.acknowledged.nothing_acknowledged_is_lost(*node, *applied, &self.log));
            self.found.extend(every_rollout_has_ended(state));
            self.found.extend(no_survivor_still_has_to_go(state, survivors, hosts));
            self.found.extend(a_mix_of_two_versions_is_known_and_repaired(state, hosts));
        }
    }
}

/// S4: what changes on a host is what the operation was about, and not something else beside it.
fn a_change_is_what_its_operation_was_for(
    node: NodeId,
    to: Option<&ReleaseVersion>,
    change: &Change,
    purpose: Option<&Purpose>,
) -> Option<Violation> {
    if purpose.is_some_and(|purpose| purpose.allows(to)) {
        return None;
    }
    Some(broken("S4", format!("node {node}: {:?}, by an operation for {purpose:?}", change.what)))
}
