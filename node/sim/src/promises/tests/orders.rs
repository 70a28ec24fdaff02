//! S4: effects and the orders that they rest on.

use super::*;

/// Orders 3 and 4 were given to node 1, at 100 s and 200 s.
fn ordered_twice() -> Auditor {
    let mut auditor = Auditor::new(1);
    for (index, generation) in [(1, 3), (2, 4)] {
        let mut state = state(Phase::Rolling, &healthy());
        order(&mut state, 1, generation, Order::Upgrade);
        auditor.applied(
            AT * u32::try_from(index).expect("small"),
            node(1),
            index,
            Some((&entry(u128::from(index)), &DONE)),
            &Arc::new(state),
            &Fleet::default(),
        );
    }
    auditor.take_violations();
    auditor
}

fn install(generation: u64) -> Action {
    Action::Install { transition: transition(), trial: trial(generation) }
}

pub(super) fn transition() -> Transition {
    let operation = "shop-install".to_owned();
    Transition { from: Some(version("1.0.0")), to: version("2.0.0"), method: Method::Hot, operation }
}

fn trial(generation: u64) -> Trial {
    Trial {
        rollout: ROLLOUT,
        generation: Generation(generation),
        attempt: 1,
        falls: 0,
        method: Method::Hot,
        life_before: None,
        host_boot: String::new(),
        progress: TrialProgress::Begun,
        measured: None,
    }
}

/// What an auditor finds when this begins on node 1, where order 4 is the newest that is applied.
fn begun(action: &Action, read_asked_at: Option<u64>, noted: bool, phase: Phase) -> BTreeSet<&'static str> {
    let mut auditor = ordered_twice();
    begin(&mut auditor, action, read_asked_at, noted, phase);
    broken_by(auditor)
}

pub(super) fn begin(auditor: &mut Auditor, action: &Action, read: Option<u64>, noted: bool, phase: Phase) {
    let mut applied = state(phase, &healthy());
    let newest = match action {
        Action::Install { trial, .. } => trial.generation.0,
        _ => 4,
    };
    order(&mut applied, 1, newest, Order::Upgrade);
    let ledger = LedgerEntry { trial: Some(trial(newest)), ..LedgerEntry::default() };
    auditor.begins(
        OperationId(1),
        &Effect {
            node: node(1),
            app: app(),
            action: action.clone(),
            applied: Arc::new(applied),
            read_asked_at: read.map(Duration::from_secs),
            contact_age: Duration::ZERO,
            noted_before: false,
            on_disk: noted.then_some(ledger),
            truth: truth("1.0.0", "1.0.0"),
        },
    );
}

#[test]
fn s4_an_effect_by_an_order_that_was_overtaken_before_the_read_is_found() {
    let found = |generation, read| begun(&install(generation), read, true, Phase::Rolling);
    assert_eq!(found(4, Some(250)), BTreeSet::new());
    assert_eq!(found(3, Some(150)), BTreeSet::new());
    assert_eq!(found(3, Some(250)), BTreeSet::from(["S4"]));
    assert_eq!(found(4, None), BTreeSet::from(["S4"]));
}

#[test]
fn s4_an_effect_that_is_not_in_the_ledger_is_found() {
    assert_eq!(begun(&install(4), Some(250), false, Phase::Rolling), BTreeSet::from(["S4"]));
}

#[test]
fn s4_an_orphan_that_goes_back_too_soon_or_after_the_decision_is_found() {
    let ladder = Ladder::default();
    let by = Authority::Orphan(ROLLOUT);
    let back = Action::RollBack { transition: transition(), rung: Rung::Restart, ladder, by };
    // The policy of these tests is to hold.
    assert!(begun(&back, None, true, Phase::Rolling).contains("S4"));
    assert!(begun(&back, None, true, Phase::Committing { decided: true }).contains("S4"));
}

/// Seed 5917: the first rung had not led back when contact came. In another the host had refused even that.
#[test]
fn s4_a_way_back_that_an_orphan_has_begun_is_gone_to_its_end() {
    let found = |noted_before: bool, alone: u64| {
        let mut applied = state(Phase::Rolling, &healthy());
        let rollout = Arc::make_mut(applied.rollouts.get_mut(&ROLLOUT).expect("a rollout"));
        let after = Duration::from_secs(15);
        rollout.spec.upgrade.orphan = Orphan::Revert { after, stagger: Duration::ZERO };
        let ladder = Ladder { begun: Some(Rung::Restart), ..Ladder::default() };
        let ledger = LedgerEntry {
            orphan: Some(relupd::agent::ledger::Orphan { rollout: ROLLOUT, ladder: ladder.clone() }),
            ..LedgerEntry::default()
        };
        let by = Authority::Orphan(ROLLOUT);
        let mut auditor = Auditor::new(1);
        auditor.begins(
            OperationId(1),
            &Effect {
                node: node(1),
                app: app(),
                action: Action::RollBack { transition: transition(), rung: Rung::Restart, ladder, by },
                applied: Arc::new(applied),
                read_asked_at: None,
                contact_age: Duration::from_secs(alone),
                noted_before,
                on_disk: Some(ledger),
                truth: truth("1.0.0", "2.0.0"),
            },
        );
        broken_by(auditor)
    };
    assert_eq!(found(false, 15), BTreeSet::new());
    assert_eq!(found(false, 14), BTreeSet::from(["S4"]));
    assert_eq!(found(true, 0), BTreeSet::new());
}

#[test]
fn s4_a_repair_towards_what_nobody_decided_is_found() {
    let repair = |text| Action::Repair { decided: Some(version(text)), ordered: None, by: None };
    let found = |text| {
        let mut auditor = ordered_twice();
        let mut applied = state(Phase::Rolling, &healthy());
        order(&mut applied, 1, 4, Order::Commit);
        auditor.begins(
            OperationId(1),
            &Effect {
                node: node(1),
                app: app(),
                action: repair(text),
                applied: Arc::new(applied),
                read_asked_at: None,
                contact_age: Duration::ZERO,
                noted_before: false,
                on_disk: None,
                truth: truth("1.0.0", "1.0.0"),
            },
        );
        broken_by(auditor)
    };
    assert_eq!(found("2.0.0"), BTreeSet::new());
    assert_eq!(found("1.0.0"), BTreeSet::from(["S4"]));
}

#[test]
fn s4_a_change_that_no_operation_was_for_is_found() {
    let change = |to: &str| Change {
        at: AT,
        what: What::Runs { from: Some(version("1.0.0")), to: Some(version(to)) },
        cause: Cause::Operation(OperationId(1)),
    };
    let changed = |change: &Change| {
        let mut auditor = ordered_twice();
        begin(&mut auditor, &install(4), Some(250), true, Phase::Rolling);
        auditor.changed(node(1), &app(), change);
        broken_by(auditor)
    };
    assert_eq!(changed(&change("2.0.0")), BTreeSet::new());
    assert_eq!(changed(&change("3.0.0")), BTreeSet::from(["S4"]));
    let other = Change { cause: Cause::Operation(OperationId(9)), ..change("2.0.0") };
    assert_eq!(changed(&other), BTreeSet::from(["S4"]));
}
