//! S1, S3, S7, S11: what rollouts begin on and become.

use super::*;

#[test]
fn s1_two_rollouts_of_an_app_are_found() {
    let mut twice = state(Phase::Rolling, &healthy());
    let second = Rollout { id: RolloutId(2), ..twice.rollouts[&ROLLOUT].as_ref().clone() };
    assert_eq!(over(state(Phase::Rolling, &healthy()), twice.clone(), &Fleet::default()), BTreeSet::new());
    twice.rollouts.insert(RolloutId(2), Arc::new(second));
    assert_eq!(over(state(Phase::Rolling, &healthy()), twice, &Fleet::default()), BTreeSet::from(["S1"]));
}

#[test]
fn s3_an_upgrade_that_is_ordered_after_a_halt_is_found() {
    let halted = state(Phase::Reverting { reason: aborted() }, &healthy());
    let mut after = halted.clone();
    after.next.generation = 11;
    order(&mut after, 1, 10, Order::Revert);
    assert_eq!(over(halted.clone(), after.clone(), &Fleet::default()), BTreeSet::new());
    order(&mut after, 1, 10, Order::Upgrade);
    assert!(over(halted, after, &Fleet::default()).contains("S3"));
}

#[test]
fn s3_an_order_that_nobody_has_begun_does_not_outlive_the_halt() {
    let assigned = Step::Upgrading { generation: Generation(1), stage: Stage::Assigned };
    let mut halted = state(Phase::Halted { reason: aborted() }, &assigned);
    assert!(!halted.violations().iter().any(|violation| violation.promise == "S3"));
    order(&mut halted, 1, 1, Order::Upgrade);
    assert!(halted.violations().iter().any(|violation| violation.promise == "S3"));
}

#[test]
fn a_rollout_of_a_stale_plan_or_to_a_quarantined_release_is_found() {
    let after = state(Phase::Preparing, &Step::Planned);
    let mut before = after.clone();
    before.rollouts.clear();
    before.apps.get_mut(&app()).expect("the app").rollout = None;
    assert_eq!(over(before.clone(), after.clone(), &Fleet::default()), BTreeSet::new());
    let mut moved = before.clone();
    moved.apps.get_mut(&app()).expect("the app").basis = 7;
    assert_eq!(over(moved, after.clone(), &Fleet::default()), BTreeSet::from(["plan"]));
    let known = Quarantine {
        name: "shop".parse().expect("a name"),
        version: version("2.0.0"),
        rollout: RolloutId(0),
        reason: "did harm".to_owned(),
        since: Default::default(),
    };
    before.quarantine.insert(release("2.0.0").manifest, known);
    assert_eq!(over(before, after, &Fleet::default()), BTreeSet::from(["quarantine"]));
}

#[test]
fn s7_a_way_back_that_is_turned_round_is_found() {
    let back = || state(Phase::Reverting { reason: aborted() }, &reverting());
    let found = |phase| over(back(), state(phase, &healthy()), &Fleet::default());
    assert!(found(Phase::Rolling).contains("S7"));
    assert!(!found(Phase::Halted { reason: aborted() }).contains("S7"));
    let ended = state(Phase::Reverted { reason: aborted() }, &Step::Reverted { by: None });
    let reopened = over(ended, back(), &Fleet::default());
    assert!(reopened.contains("S7"));
}

#[test]
fn s11_a_rollout_that_never_ends_is_found() {
    let end = |phase, step: &Step| {
        let mut auditor = Auditor::new(1);
        auditor.at_the_end(&[(node(1), 0, Arc::new(state(phase, step)))], &[], 0, &Fleet::default());
        broken_by(auditor)
    };
    assert_eq!(end(Phase::Completed, &Step::Committed), BTreeSet::new());
    assert_eq!(end(Phase::Rolling, &healthy()), BTreeSet::from(["S11"]));
}

#[test]
fn s11_a_survivor_without_a_daemon_or_behind_or_with_an_order_is_found() {
    let end = |applied: Option<u64>, ordered: Option<Order>| {
        let mut state = state(Phase::Completed, &Step::Committed);
        if let Some(to) = ordered {
            order(&mut state, 2, 3, to);
        }
        let mut auditor = Auditor::new(1);
        let survivors = [Survivor { node: node(2), applied }];
        auditor.at_the_end(&[(node(1), 9, Arc::new(state))], &survivors, 7, &Fleet::default());
        broken_by(auditor)
    };
    assert_eq!(end(Some(7), None), BTreeSet::new());
    assert_eq!(end(None, None), BTreeSet::from(["S11"]));
    assert_eq!(end(Some(6), None), BTreeSet::from(["S11"]));
    assert_eq!(end(Some(7), Some(Order::Upgrade)), BTreeSet::new());
    assert_eq!(end(Some(7), Some(Order::Revert)), BTreeSet::from(["S11"]));
}

#[test]
fn s4_a_report_that_answers_an_older_order_is_found() {
    let answers = |generation| {
        let mut state = state(Phase::Rolling, &upgrading());
        order(&mut state, 1, 3, Order::Upgrade);
        let mut auditor = Auditor::new(1);
        auditor.applied(
            AT,
            node(1),
            1,
            Some((&entry(1), &DONE)),
            &Arc::new(state.clone()),
            &Fleet::default(),
        );
        auditor.take_violations();
        let report = Report::Healthy { boot_nonce: life() };
        let command =
            Command::Report { node: node(1), app: app(), generation: Generation(generation), report };
        let said = Entry { command, ..entry(2) };
        auditor.applied(AT, node(1), 2, Some((&said, &DONE)), &Arc::new(state), &Fleet::default());
        broken_by(auditor)
    };
    assert_eq!(answers(3), BTreeSet::new());
    assert_eq!(answers(2), BTreeSet::from(["S4"]));
}
