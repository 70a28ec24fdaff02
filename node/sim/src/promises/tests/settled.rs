//! S5, S6, S9: what hosts boot and run, and when.

use super::*;

#[test]
fn s5_completed_means_that_every_host_boots_and_runs_the_new_version() {
    let found = |fleet: &Fleet| {
        let before = state(Phase::Committing { decided: true }, &Step::Committed);
        over(before, state(Phase::Completed, &Step::Committed), fleet)
    };
    assert_eq!(found(&Fleet::on("2.0.0", "2.0.0")), BTreeSet::new());
    assert_eq!(found(&Fleet::on("1.0.0", "2.0.0")), BTreeSet::from(["S5"]));
    assert_eq!(found(&Fleet::on("2.0.0", "1.0.0")), BTreeSet::from(["S5"]));
    let down = Fleet::on("2.0.0", "2.0.0").change(2, |truth| truth.process = ProcessTruth::None);
    assert_eq!(found(&down), BTreeSet::new());
}

#[test]
fn s5_whoever_is_elsewhere_at_the_end_is_named() {
    let found = |named: Vec<NodeId>| {
        let held = Phase::Held { reason: aborted(), elsewhere: named };
        let fleet = Fleet::on("1.0.0", "1.0.0").change(2, |on| *on = truth("1.0.0", "2.0.0"));
        let back = Step::Reverted { by: None };
        over(state(Phase::Halted { reason: aborted() }, &back), state(held, &back), &fleet)
    };
    assert_eq!(found(vec![node(2)]), BTreeSet::new());
    assert_eq!(found(vec![]), BTreeSet::from(["S5"]));
}

#[test]
fn s5_a_host_that_is_gone_for_good_is_named_where_its_step_says_that_it_is_elsewhere() {
    let found = |named: &[u64], step: &Step| {
        let stranded = |number: &u64| Stranded {
            node: node(*number),
            reason: "it is out of reach".to_owned(),
            remedy: "bring it back".to_owned(),
        };
        let nodes = named.iter().map(stranded).collect();
        let end = Phase::NeedsOperator { reason: Some(aborted()), nodes };
        let before = state(Phase::Reverting { reason: aborted() }, step);
        // No host is left to look at.
        over(before, state(end, step), &Fleet::default())
    };
    assert_eq!(found(&[1, 2, 3], &reverting()), BTreeSet::new());
    assert_eq!(found(&[1, 3], &reverting()), BTreeSet::from(["S5"]));
    assert_eq!(found(&[], &Step::Reverted { by: None }), BTreeSet::new());
}

#[test]
fn s5_reverted_means_that_every_host_is_back() {
    let found = |fleet: &Fleet| {
        let back = Step::Reverted { by: None };
        let before = state(Phase::Reverting { reason: aborted() }, &back);
        over(before, state(Phase::Reverted { reason: aborted() }, &back), fleet)
    };
    assert_eq!(found(&Fleet::on("1.0.0", "1.0.0")), BTreeSet::new());
    let one_left = Fleet::on("1.0.0", "1.0.0").change(3, |on| *on = truth("2.0.0", "2.0.0"));
    assert_eq!(found(&one_left), BTreeSet::from(["S5"]));
}

#[test]
fn s6_a_pointer_that_moves_before_the_decision_is_found() {
    let moved = |phase: Phase, step: Step| {
        let mut auditor = Auditor::new(1);
        let judged = Arc::new(state(Phase::Committing { decided: false }, &step));
        auditor.applied(AT, node(1), 1, None, &judged, &Fleet::default());
        let at = Step::Committing { generation: Generation(6), turn: Turn::NotAsked };
        auditor.applied(AT, node(1), 2, None, &Arc::new(state(phase, &at)), &Fleet::default());
        auditor.take_violations();
        let what = What::Permanent { from: Some(version("1.0.0")), to: Some(version("2.0.0")) };
        auditor.changed(node(1), &app(), &Change { at: AT, what, cause: Cause::Manager });
        broken_by(auditor)
    };
    let ready = Step::ReadyToCommit { boot_nonce: life() };
    assert_eq!(moved(Phase::Committing { decided: true }, ready.clone()), BTreeSet::new());
    assert_eq!(moved(Phase::Committing { decided: false }, ready), BTreeSet::from(["S6"]));
    assert_eq!(moved(Phase::Committing { decided: true }, upgrading()), BTreeSet::from(["S6"]));
}

#[test]
fn s9_a_mix_that_lasts_is_found_unless_it_is_known_and_left_to_an_operator() {
    let found = |known: bool, waits: bool| {
        let mut end = state(Phase::Held { reason: aborted(), elsewhere: vec![] }, &healthy());
        let instance = end.apps.get_mut(&app()).and_then(|app| app.instances.get_mut(&node(1)));
        let instance = instance.expect("an instance");
        let instance = Arc::make_mut(instance);
        instance.settled = Some(release("1.0.0"));
        instance.observed = known.then(|| Observation {
            permanent: Some(version("1.0.0")),
            running: Running::Up { version: version("1.0.0"), boot_nonce: life() },
            condition: Condition::HalfEnvironment { detail: String::new() },
        });
        if waits {
            order(&mut end, 1, 1, Order::Drain);
        }
        let half = Fleet::on("1.0.0", "1.0.0").change(1, |truth| {
            if let ProcessTruth::Up(vm) = &mut truth.process {
                vm.environment = version("2.0.0");
            }
        });
        let mut auditor = Auditor::new(1);
        auditor.at_the_end(&[(node(1), 0, Arc::new(end.clone()))], &[], 0, &half);
        let at_the_end = broken_by(auditor);
        let mut auditor = Auditor::new(1);
        auditor.applied(AT, node(1), 1, None, &Arc::new(end), &half);
        auditor.looked(AT, &half);
        auditor.take_violations();
        auditor.looked(AT + Duration::from_secs(300), &half);
        (at_the_end, broken_by(auditor))
    };
    let s9 = BTreeSet::from(["S9"]);
    assert_eq!(found(true, true), (BTreeSet::new(), BTreeSet::new()));
    assert_eq!(found(true, false), (s9.clone(), BTreeSet::new()));
    assert_eq!(found(false, true), (s9.clone(), s9));
}

#[test]
fn s11_an_order_that_is_left_is_found_unless_its_vm_never_comes_up_and_its_node_is_named() {
    let found = |named: &[u64], fleet: &Fleet| {
        let stranded = |number: &u64| Stranded {
            node: node(*number),
            reason: "it does not get the release permanent".to_owned(),
            remedy: "remove it".to_owned(),
        };
        let nodes = named.iter().map(stranded).collect();
        let mut end = state(Phase::NeedsOperator { reason: None, nodes }, &Step::Committed);
        order(&mut end, 1, 1, Order::Commit);
        let survivors = [Survivor { node: node(1), applied: Some(0) }];
        let mut auditor = Auditor::new(1);
        auditor.at_the_end(&[(node(1), 0, Arc::new(end))], &survivors, 0, fleet);
        broken_by(auditor)
    };
    let runs = || Fleet::on("1.0.0", "1.0.0");
    let hangs = runs().change(1, |truth| truth.process = ProcessTruth::Booting(version("2.0.0")));
    assert_eq!(found(&[1], &hangs), BTreeSet::new());
    assert_eq!(found(&[], &hangs), BTreeSet::from(["S11"]));
    assert_eq!(found(&[1], &runs()), BTreeSet::from(["S11"]));
}
