//! S5 and S6: what nodes say of themselves.

use super::*;

/// What is found when node 1 says this of itself.
fn says(report: &Report, truth: &Truth) -> BTreeSet<&'static str> {
    let mut applied = state(Phase::Rolling, &upgrading());
    order(&mut applied, 1, 4, Order::Upgrade);
    let mut auditor = Auditor::new(1);
    auditor.says(&Said {
        node: node(1),
        app: app(),
        report: report.clone(),
        applied: Arc::new(applied),
        truth: truth.clone(),
        clock_error: Duration::ZERO,
    });
    broken_by(auditor)
}

#[test]
fn s6_a_verdict_on_another_life_another_version_or_half_a_bake_is_found() {
    let report = Report::Healthy { boot_nonce: life() };
    let good = truth("1.0.0", "2.0.0");
    let with = |change: &dyn Fn(&mut VmTruth)| {
        let mut truth = good.clone();
        if let ProcessTruth::Up(vm) = &mut truth.process {
            change(vm);
        }
        says(&report, &truth)
    };
    assert_eq!(with(&|_| {}), BTreeSet::new());
    assert_eq!(with(&|vm| vm.nonce = BootNonce("another".to_owned())), BTreeSet::from(["S6"]));
    assert_eq!(with(&|vm| vm.code = Some(version("1.0.0"))), BTreeSet::from(["S6"]));
    assert_eq!(with(&|vm| vm.ran_for = Duration::from_secs(5)), BTreeSet::from(["S6"]));
}

#[test]
fn s5_a_node_that_says_it_is_there_is_there() {
    assert_eq!(says(&Report::Committed, &truth("2.0.0", "2.0.0")), BTreeSet::new());
    assert_eq!(says(&Report::Committed, &truth("1.0.0", "2.0.0")), BTreeSet::from(["S5"]));
    let back = Report::Reverted { by: None, tried: vec![] };
    assert_eq!(says(&back, &truth("1.0.0", "1.0.0")), BTreeSet::new());
    assert_eq!(says(&back, &truth("1.0.0", "2.0.0")), BTreeSet::from(["S5"]));
}
