//! S4, for answers: an order is answered by whoever carries it out, and not by what is left of an older one.

use super::{Violation, broken};
use relupd::state::command::{Command, Entry};
use relupd::state::{ClusterState, Outcome};

/// S4. Asked over every entry: what a node reports counts only for the newest order to it.
pub(super) fn a_report_counts_for_the_newest_order_only(
    entry: &Entry,
    outcome: &Outcome,
    before: &ClusterState,
) -> Option<Violation> {
    let Command::Report { node, app, generation, report } = &entry.command else { return None };
    let instance = before.apps.get(app).and_then(|app| app.instances.get(node));
    let newest = instance.and_then(|instance| instance.assignment.as_ref()).map(|order| order.generation);
    (outcome.is_ok() && newest != Some(*generation)).then(|| {
        let detail = format!("node {node} answered {generation} with {report:?}, its newest was {newest:?}");
        broken("S4", detail)
    })
}
