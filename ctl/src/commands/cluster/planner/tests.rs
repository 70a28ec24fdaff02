use super::*;

const OLD: &str = "0.1.0-1";
const NEW: &str = "0.2.0-1";

fn target() -> Target {
    Target { version: NEW.to_owned(), architecture: "amd64".to_owned(), format: 2, key: "ada".to_owned() }
}

fn answer(version: &str) -> Answer {
    Answer {
        version: version.to_owned(),
        architecture: "amd64".to_owned(),
        confirmed: true,
        trusted: vec!["ada".to_owned()],
        busy: false,
    }
}

fn node(name: &str, role: Role, leads: bool) -> Node {
    Node { name: name.to_owned(), role, leads, answer: Ok(answer(OLD)) }
}

/// Three voters, led by the first, and two learners.
fn five() -> View {
    let nodes = vec![
        node("n1", Role::Voter, true),
        node("n2", Role::Voter, false),
        node("n3", Role::Voter, false),
        node("n4", Role::Learner, false),
        node("n5", Role::Learner, false),
    ];
    View { format: 1, rollouts: Vec::new(), nodes }
}

fn silent(view: &mut View, name: &str) {
    let node = view.nodes.iter_mut().find(|node| node.name == name).unwrap();
    node.answer = Err("no answer within 5s".to_owned());
}

fn at<'v>(view: &'v mut View, name: &str) -> &'v mut Answer {
    let node = view.nodes.iter_mut().find(|node| node.name == name).unwrap();
    node.answer.as_mut().unwrap()
}

/// `n4` for an upgrade of it, `n1>n2` for a change of leader.
fn order(view: View) -> Vec<String> {
    let name = |step: Step| match step {
        Step::Upgrade { node, .. } => node,
        Step::HandOver { from, to } => format!("{from}>{to}"),
        Step::Wait { reason } => format!("wait: {reason}"),
        Step::Refuse { reason } => format!("refuse: {reason}"),
        Step::Done { left } => format!("done {}", left.join(" ")).trim_end().to_owned(),
    };
    steps(view, &target()).into_iter().map(name).collect()
}

fn refusal(view: &View) -> String {
    match next_step(view, &target()) {
        Step::Refuse { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn learners_come_first_voters_next_and_the_leader_last_after_handing_over() {
    assert_eq!(order(five()), ["n4", "n5", "n2", "n3", "n1>n2", "n1", "done"]);
}

#[test]
fn leadership_goes_to_a_voter_that_is_done_and_is_handed_over_once() {
    for leader in 0..3 {
        let mut view = five();
        for (index, node) in view.nodes.iter_mut().enumerate() {
            node.leads = index == leader;
        }
        let order = order(view);
        assert_eq!(order.iter().filter(|step| step.contains('>')).count(), 1, "{order:?}");
        let name = format!("n{}", leader + 1);
        assert_eq!(order[order.len() - 2], name, "the leader is not the last: {order:?}");
    }
}

#[test]
fn one_that_is_stopped_in_the_middle_goes_on_where_it_was() {
    let whole = order(five());
    let mut view = five();
    for done in ["n4", "n5", "n2"] {
        at(&mut view, done).version = NEW.to_owned();
    }
    assert_eq!(order(view), whole[3..]);
}

#[test]
fn what_runs_everywhere_is_done() {
    let mut view = five();
    for name in ["n1", "n2", "n3", "n4", "n5"] {
        at(&mut view, name).version = NEW.to_owned();
    }
    assert_eq!(order(view), ["done"]);
}

#[test]
fn nobody_is_stopped_whose_absence_would_cost_the_quorum() {
    let mut view = five();
    silent(&mut view, "n3");
    // Learners cost nothing.
    assert_eq!(order(view.clone())[..2], ["n4", "n5"]);
    for done in ["n4", "n5"] {
        at(&mut view, done).version = NEW.to_owned();
    }
    let reason = refusal(&view);
    assert!(reason.contains("without n2 only 1 of 3 voters would answer, and 2 are needed"), "{reason}");
    assert!(reason.contains("n3 (no answer within 5s)"), "{reason}");
}

#[test]
fn a_silent_learner_holds_nobody_up_and_is_named_at_the_end() {
    let mut view = five();
    silent(&mut view, "n4");
    assert_eq!(order(view), ["n5", "n2", "n3", "n1>n2", "n1", "done n4"]);
}

#[test]
fn an_only_voter_is_upgraded_last_and_says_what_that_costs() {
    let mut view = five();
    view.nodes.retain(|node| ["n1", "n5"].contains(&node.name.as_str()));
    assert_eq!(order(view.clone()), ["n5", "n1", "done"]);
    at(&mut view, "n5").version = NEW.to_owned();
    let Step::Upgrade { because, .. } = next_step(&view, &target()) else { panic!("it can be upgraded") };
    assert!(because.contains("the only voter"), "{because}");
}

#[test]
fn a_rollout_on_its_way_refuses() {
    let view = View { rollouts: vec!["r7".to_owned()], ..five() };
    assert!(refusal(&view).contains("rollout r7 is on its way"));
}

#[test]
fn a_package_that_cannot_read_what_is_written_refuses() {
    let view = View { format: 3, ..five() };
    assert!(refusal(&view).contains("reads format 2, and the cluster writes 3"));
}

#[test]
fn another_processor_and_a_host_that_does_not_trust_refuse_before_anything_is_changed() {
    let mut view = five();
    at(&mut view, "n3").architecture = "arm64".to_owned();
    assert!(refusal(&view).contains("the package is for amd64, and n3 is arm64"));
    let mut view = five();
    at(&mut view, "n2").trusted = vec!["bob".to_owned()];
    assert!(refusal(&view).contains("n2 does not take packages signed by this key"));
    let mut view = five();
    at(&mut view, "n1").architecture.clear();
    assert!(refusal(&view).contains("came by no package"));
    // Those that are done need nothing.
    let mut view = five();
    at(&mut view, "n2").version = NEW.to_owned();
    at(&mut view, "n2").trusted.clear();
    assert_eq!(order(view)[0], "n4");
}

#[test]
fn elections_installers_and_those_that_catch_up_are_waited_for() {
    let waits = |view: &View, reason: &str| match next_step(view, &target()) {
        Step::Wait { reason: given } => assert!(given.contains(reason), "{given}"),
        other => panic!("{reason}: {other:?}"),
    };
    let mut view = five();
    view.nodes[0].leads = false;
    waits(&view, "nobody leads");
    let mut view = five();
    at(&mut view, "n2").confirmed = false;
    waits(&view, "n2 has not caught up");
    let mut view = five();
    at(&mut view, "n5").busy = true;
    waits(&view, "the installer of n5");
}
