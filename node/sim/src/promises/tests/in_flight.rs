//! S2.

use super::*;

#[test]
fn s2_a_node_down_by_our_doing_counts_beside_one_without_a_verdict() {
    let mut rolling = state(Phase::Rolling, &healthy());
    let rollout = Arc::make_mut(rolling.rollouts.get_mut(&ROLLOUT).expect("a rollout"));
    Arc::make_mut(rollout.nodes.get_mut(&node(2)).expect("a node")).step = upgrading();
    let found = |fleet: &Fleet| {
        let mut auditor = Auditor::new(1);
        auditor.applied(AT, node(1), 1, None, &Arc::new(rolling.clone()), fleet);
        auditor.after_event(fleet);
        broken_by(auditor)
    };
    assert_eq!(found(&Fleet::on("1.0.0", "1.0.0")), BTreeSet::new());
    let down = Fleet::on("1.0.0", "1.0.0").change(1, |truth| truth.down_by_us = true);
    assert_eq!(found(&down), BTreeSet::from(["S2"]));
    let same = Fleet::on("1.0.0", "1.0.0").change(2, |truth| truth.down_by_us = true);
    assert_eq!(found(&same), BTreeSet::new());
}

#[test]
fn s2_on_the_way_back_only_nodes_out_of_reach_are_not_counted() {
    let back = state(Phase::Reverting { reason: aborted() }, &reverting());
    let found = |fleet: &Fleet| {
        let mut auditor = Auditor::new(1);
        auditor.applied(AT, node(1), 1, None, &Arc::new(back.clone()), fleet);
        auditor.after_event(fleet);
        broken_by(auditor)
    };
    let mut fleet = Fleet::on("1.0.0", "2.0.0");
    assert_eq!(found(&fleet), BTreeSet::from(["S2"]));
    fleet.cut_off = BTreeSet::from([node(1), node(2)]);
    assert_eq!(found(&fleet), BTreeSet::new());
}
