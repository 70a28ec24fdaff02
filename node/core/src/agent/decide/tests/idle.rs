use super::case::{Case, seen, torn};
use crate::agent::decide::Action;
use crate::agent::memory::Announcement;
use crate::driver::{Condition, Liveness, Observation, Running};

#[test]
fn the_app_is_kept_as_it_was_decided() {
    let settled = seen(Some(("0.1.0", "a")), Some("0.1.0"));
    let stopped = || Case::idle().sees(seen(None, Some("0.1.0"))).lives(Liveness::Down);
    assert_eq!(Case::idle().name(), "wait for Nothing");
    assert_eq!(stopped().name(), "start");
    assert_eq!(Case::idle().sees(seen(None, None)).name(), "wait for Nothing", "there is nothing to start");
    let mut torn = Case::idle().sees(torn(settled));
    assert_eq!(torn.name(), "wait for Nothing", "a rollout holds the app");
    torn.app.rollout = None;
    assert_eq!(torn.name(), "repair");

    let mut unwanted = stopped();
    unwanted.app.running = false;
    assert_eq!(unwanted.name(), "wait for Nothing");
    let mut running = Case::idle();
    running.app.running = false;
    assert_eq!(running.name(), "wait for Nothing", "a rollout holds the app");
    running.app.rollout = None;
    assert_eq!(running.name(), "stop");
}

#[test]
fn a_repair_is_carried_out_once_for_each_order() {
    let mut case = Case::idle();
    case.instance.repair = 2;
    let decided = Some("0.1.0".parse().unwrap());
    assert_eq!(case.decide(), Action::Repair { decided, ordered: Some(2), by: None });
    case.ledger.repaired = 2;
    assert_eq!(case.name(), "wait for Nothing");
}

#[test]
fn what_is_torn_is_repaired_though_it_hides_which_version_runs() {
    let reason = "modules of no registered release".to_owned();
    let hidden = Observation {
        permanent: Some("0.1.0".parse().unwrap()),
        running: Running::Unknown { reason },
        condition: Condition::TornPointers { detail: "RELEASES cannot be read".to_owned() },
    };
    let mut case = Case::idle().sees(hidden);
    case.app.rollout = None;
    assert_eq!(case.name(), "repair");
    case.liveness = Liveness::Unknown;
    assert_ne!(case.name(), "repair", "a VM that has not dialled in yet is waited for");
}

#[test]
fn an_ordered_repair_does_not_wait_for_ever_for_a_vm_that_hangs_in_its_boot() {
    let mute = || "the VM has not dialled in".to_owned();
    let hung = Observation {
        running: Running::Unknown { reason: mute() },
        condition: Condition::Unknown { reason: mute() },
        ..seen(None, Some("0.1.0"))
    };
    let mut case = Case::idle().sees(hung);
    (case.instance.healthy, case.instance.repair) = (None, 1);
    case.memory.blind = 4;
    assert_eq!(case.name(), "observe");
    case.memory.blind = 5;
    assert_eq!(case.name(), "repair");
    case.ledger.repaired = 1;
    assert_eq!(case.name(), "observe", "once for each order");
}

#[test]
fn what_changed_is_told_once() {
    let other: Observation = seen(Some(("0.1.0", "b")), Some("0.1.0"));
    let mut case = Case::idle();
    case.observation = Some(other.clone());
    let (observation, healthy) = (other, Some(true));
    let told = Action::Announce { observation: observation.clone(), healthy, noted: None };
    assert_eq!(case.decide(), told);
    case.memory.announced = Some(Announcement { observation, healthy, noted: None });
    assert_eq!(case.name(), "wait for Nothing");
    case.instance.healthy = None;
    assert_eq!(Case::idle().blind().decide(), Action::Observe);
}
