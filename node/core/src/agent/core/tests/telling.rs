//! What is told to the cluster: once, until the cluster knows something else.

use super::*;
use crate::agent::decide::tests::case::ROLLOUT;
use crate::agent::ledger::{Ladder, Orphan as OrphanNote};
use crate::driver::{Measured, Rung};
use crate::state::rejection::Rejection;
use crate::state::rollout::Notes;

/// What the cluster has of this node.
type Known = (Instance, Notes);

fn known(script: &Script) -> Known {
    (script.case.instance.clone(), script.case.rollout.nodes[&node(2)].notes.clone())
}

fn knows(script: &mut Script, (instance, notes): Known) {
    script.case.instance = instance;
    script.case.note(notes);
}

/// Another life than the cluster believes runs; health that it does not know of; what an installation cost.
fn news() -> [(Script, Observation); 3] {
    let mut sick = Case::idle();
    sick.instance.healthy = None;
    let mut measured = Case::ordered(Order::Upgrade).verified().baking();
    measured.rollout.spec.upgrade.bake = Duration::from_secs(1000);
    let cost = Measured { suspended: 3, ..Measured::default() };
    measured.ledger.trial.as_mut().expect("it is on trial").measured = Some(Box::new(cost));
    [
        (Script::new(Case::idle()), seen(Some(("0.1.0", "b")), Some("0.1.0"))),
        (Script::new(sick), stands()),
        (Script::new(measured), trial()),
    ]
}

#[test]
fn what_was_heard_is_not_told_again_on_its_way_into_the_state_but_when_the_state_loses_it() {
    for (mut script, sight) in news() {
        script.looks(&sight);
        let before = known(&script);
        let Action::Announce { observation, healthy, noted } = script.says("announce") else { panic!() };
        assert_eq!(script.moves(), None, "{sight:?}: not applied here yet");
        let notes = noted.map_or_else(|| before.1.clone(), |noted| noted.notes);
        let instance = Instance { observed: Some(observation), healthy, ..before.0.clone() };
        knows(&mut script, (instance, notes));
        assert_eq!(script.moves(), None, "{sight:?}: applied");
        knows(&mut script, before);
        script.expect("announce");
    }
}

#[test]
fn an_answer_that_the_cluster_has_heard_is_not_given_again_even_if_it_was_refused() {
    for outcome in [Ok(Applied::Done), Err(Rejection::NoSuchApp(spec().name))] {
        let mut script = Script::new(Case::ordered(Order::Upgrade).verified().baking());
        script.looks(&trial());
        let healthy = script.expect("Healthy");
        script.ends(&healthy, Ended::Answered(Ok(outcome)));
        assert_eq!(script.moves(), None);
    }
}

#[test]
fn an_orphan_that_is_back_is_heard_once() {
    let mut case = Case::ordered(Order::Upgrade).verified().sees(stands());
    let ladder = Ladder { begun: Some(Rung::RelupDown), ended: true, tried: vec![] };
    case.ledger.orphan = Some(OrphanNote { rollout: ROLLOUT, ladder });
    let mut script = Script::new(case);
    script.looks(&stands());
    script.says("reportorphan");
    assert_eq!(script.moves(), None);
}

#[test]
fn what_claims_nothing_is_said_again_without_another_look() {
    let step = Step::Reverting { generation: GENERATION, turn: Turn::NotAsked, tried: vec![] };
    let mut script = Script::new(Case::ordered(Order::Revert).at(step));
    script.looks(&trial());
    script.says_in_vain("AskTurn");
    assert_eq!(script.moves(), None, "it is not said again at once");
    script.later(1);
    script.expect("AskTurn");
}
