//! S2.

use super::*;

/// What is found where node 2 is at this step in this phase, after whatever the script did before.
fn found(state: &ClusterState, fleet: &Fleet, before: impl FnOnce(&mut Auditor)) -> BTreeSet<&'static str> {
    let mut auditor = Auditor::new(1);
    before(&mut auditor);
    auditor.applied(AT, node(1), 2, None, &Arc::new(state.clone()), fleet);
    auditor.after_event(fleet);
    broken_by(auditor)
}

fn with_step(mut state: ClusterState, number: u64, step: Step) -> ClusterState {
    let rollout = Arc::make_mut(state.rollouts.get_mut(&ROLLOUT).expect("a rollout"));
    rollout.revision += 1;
    Arc::make_mut(rollout.nodes.get_mut(&node(number)).expect("a node")).step = step;
    state
}

fn down(number: u64) -> Fleet {
    Fleet::on("1.0.0", "1.0.0").change(number, |truth| truth.down_by_us = true)
}

#[test]
fn s2_a_node_down_by_our_doing_counts_beside_one_without_a_verdict() {
    let rolling = with_step(state(Phase::Rolling, &healthy()), 2, upgrading());
    let found = |fleet: &Fleet| found(&rolling, fleet, |_| {});
    assert_eq!(found(&Fleet::on("1.0.0", "1.0.0")), BTreeSet::new());
    assert_eq!(found(&down(1)), BTreeSet::from(["S2"]));
    assert_eq!(found(&down(2)), BTreeSet::new());
}

/// Seed 67: an orphan has nobody to ask who else is at work. Whoever was ordered to has.
#[test]
fn s2_an_orphan_on_its_way_back_does_not_count_and_anybody_else_does() {
    let rolling = with_step(state(Phase::Rolling, &healthy()), 2, upgrading());
    let goes_back = |by: Authority| {
        let ladder = Ladder { begun: Some(Rung::Restart), ended: false, tried: vec![] };
        let action = Action::RollBack { transition: orders::transition(), rung: Rung::Restart, ladder, by };
        move |auditor: &mut Auditor| {
            orders::begin(auditor, &action, Some(250), true, Phase::Rolling);
            auditor.take_violations();
        }
    };
    let orphan = goes_back(Authority::Orphan(ROLLOUT));
    assert_eq!(found(&rolling, &down(1), orphan), BTreeSet::new());
    let ordered = goes_back(Authority::Order(Generation(4)));
    assert_eq!(found(&rolling, &down(1), ordered), BTreeSet::from(["S2"]));
}

#[test]
fn s2_on_the_way_back_a_node_counts_until_its_turn_is_taken_away() {
    let turn = |turn| Step::Reverting { generation: Generation(5), turn, tried: vec![] };
    let back = |of_node_1| {
        let back = state(Phase::Reverting { reason: aborted() }, &turn(Turn::Asked));
        with_step(with_step(back, 2, turn(Turn::Given)), 1, turn(of_node_1))
    };
    let given = Arc::new(with_step(back(Turn::Given), 2, turn(Turn::Asked)));
    let had_it = |auditor: &mut Auditor| {
        auditor.applied(AT, node(1), 1, None, &given, &down(1));
        auditor.take_violations();
    };
    assert_eq!(found(&back(Turn::Given), &down(1), had_it), BTreeSet::from(["S2"]));
    assert_eq!(found(&back(Turn::Asked), &down(1), |_| {}), BTreeSet::from(["S2"]));
    assert_eq!(found(&back(Turn::NotAsked), &down(1), had_it), BTreeSet::new());
}

/// Seeds 6301 and 100078: nobody knew that a repair had left an app down.
#[test]
fn s2_a_rollout_that_takes_along_who_is_down_against_its_policy_is_found() {
    let begins = |already_sick, max_unavailable| {
        let [before, after] = [Phase::Preparing, Phase::Rolling].map(|phase| {
            let mut state = state(phase, &Step::Prepared { checks: vec![] });
            let rollout = Arc::make_mut(state.rollouts.get_mut(&ROLLOUT).expect("a rollout"));
            rollout.spec.upgrade.already_sick = already_sick;
            rollout.spec.upgrade.max_unavailable = max_unavailable;
            state
        });
        over(before, after, &down(1))
    };
    assert_eq!(begins(AlreadySick::Refuse, 0), BTreeSet::from(["S2"]));
    assert_eq!(begins(AlreadySick::Count, 0), BTreeSet::from(["S2"]));
    assert_eq!(begins(AlreadySick::Count, 1), BTreeSet::new());
}

/// Seed 4817: it hung in its boot when the rollout turned round, and could not be told.
#[test]
fn s2_who_was_at_work_when_it_turned_round_counts_unless_it_is_out_of_reach() {
    let turn = |turn| Step::Reverting { generation: Generation(5), turn, tried: vec![] };
    let halted = Arc::new(with_step(state(Phase::Halted { reason: aborted() }, &healthy()), 1, upgrading()));
    let back = state(Phase::Reverting { reason: aborted() }, &turn(Turn::Asked));
    let back = with_step(with_step(back, 1, turn(Turn::Asked)), 2, turn(Turn::Given));
    let mut fleet = down(1);
    let turns_round = |fleet: &Fleet| {
        found(&back, fleet, |auditor| {
            auditor.applied(AT, node(1), 1, None, &halted, fleet);
            auditor.take_violations();
        })
    };
    assert_eq!(turns_round(&fleet), BTreeSet::from(["S2"]));
    fleet.cut_off.insert(node(1));
    assert_eq!(turns_round(&fleet), BTreeSet::new());
}

/// Seed 3641: an app that an earlier rollout had left down, and the policy of this one takes along, counts once it is up.
#[test]
fn s2_who_was_taken_along_counts_only_after_it_was_up_again() {
    let at = |phase| {
        let mut state = state(phase, &Step::Prepared { checks: vec![] });
        let rollout = Arc::make_mut(state.rollouts.get_mut(&ROLLOUT).expect("a rollout"));
        Arc::make_mut(rollout.nodes.get_mut(&node(1)).expect("a node")).touched = None;
        state
    };
    let rolling = Arc::new(with_step(at(Phase::Rolling), 2, upgrading()));
    let begins = |then: &[&Fleet]| {
        let mut auditor = Auditor::new(1);
        auditor.applied(AT, node(1), 1, None, &Arc::new(at(Phase::Preparing)), &down(1));
        auditor.applied(AT, node(1), 2, None, &Arc::new(at(Phase::Rolling)), &down(1));
        then.iter().for_each(|fleet| auditor.after_event(*fleet));
        auditor.take_violations();
        auditor.applied(AT, node(1), 3, None, &rolling, &down(1));
        auditor.after_event(&down(1));
        broken_by(auditor)
    };
    assert_eq!(begins(&[]), BTreeSet::new());
    assert_eq!(begins(&[&Fleet::on("1.0.0", "1.0.0")]), BTreeSet::from(["S2"]));
}
