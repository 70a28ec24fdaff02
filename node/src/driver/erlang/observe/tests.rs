use super::*;
use relupd_release::pointer::StartErl;

fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

fn pointer(text: &str) -> PointerFile {
    PointerFile::Points(StartErl::parse(format!("13.1.5 {text}").as_bytes()).unwrap())
}

/// A host with 0.1.0 and 0.2.0 registered, and this one permanent.
fn disk(permanent: &str) -> Disk {
    let status = |this: &str| if this == permanent { "permanent" } else { "old" };
    let entry = |v: &str| {
        format!("{{release,\"shop\",\"{v}\",\"13.1.5\",[{{shop,\"{v}\",\"lib/shop-{v}\"}}],{}}}", status(v))
    };
    let text = format!("[{},{}].", entry("0.1.0"), entry("0.2.0"));
    Disk {
        permanent: pointer(permanent),
        trial: PointerFile::Absent,
        book: BookFile::Read(Book::parse(text.as_bytes(), &"shop".parse().unwrap()).unwrap()),
        script: ScriptFile::Names(version(permanent)),
        unregistered: Vec::new(),
    }
}

/// A VM on which everything says this version.
fn vm(v: &str) -> VmView {
    VmView {
        boot_nonce: BootNonce("n1".to_owned()),
        booted: v.to_owned(),
        has_sasl: true,
        handler_permanent: Some(v.to_owned()),
        handler_current: None,
        code: BTreeSet::from([version(v)]),
        code_detail: String::new(),
        applications: BTreeMap::from([("shop".to_owned(), v.to_owned())]),
        environment: Vec::new(),
    }
}

fn hot_trial() -> VmView {
    VmView {
        handler_permanent: Some("0.1.0".to_owned()),
        handler_current: Some("0.2.0".to_owned()),
        ..vm("0.2.0")
    }
}

#[track_caller]
fn seen(disk: Disk, vm: VmView) -> Observation {
    classify(&Sources { disk, process: Process::Answers(Box::new(vm)) })
}

fn is_up(observation: &Observation, v: &str) -> bool {
    matches!(&observation.running, Running::Up { version, .. } if version.as_str() == v)
}

#[test]
fn agreement_is_clean() {
    let observed = seen(disk("0.1.0"), vm("0.1.0"));
    assert!(is_up(&observed, "0.1.0"));
    assert_eq!(observed.condition, Condition::Clean);
}

#[test]
fn a_committed_hot_upgrade_is_clean_although_the_vm_was_booted_as_the_old_version() {
    let observed = seen(disk("0.2.0"), VmView { booted: "0.1.0".to_owned(), ..vm("0.2.0") });
    assert_eq!(observed.condition, Condition::Clean);
}

#[test]
fn what_the_handler_calls_current_is_a_trial() {
    let observed = seen(disk("0.1.0"), hot_trial());
    assert!(is_up(&observed, "0.2.0"));
    assert_eq!((observed.condition, observed.permanent), (Condition::Trial, Some(version("0.1.0"))));
}

#[test]
fn what_the_trial_file_booted_is_a_trial() {
    let on_trial = Disk { trial: pointer("0.2.0"), ..disk("0.1.0") };
    let booted = VmView { handler_permanent: Some("0.1.0".to_owned()), ..vm("0.2.0") };
    assert_eq!(seen(on_trial, booted).condition, Condition::Trial);
}

#[test]
fn new_environment_over_old_code_is_told_by_the_code() {
    let claims = BTreeMap::from([("shop".to_owned(), "0.2.0".to_owned())]);
    let observed = seen(disk("0.1.0"), VmView { applications: claims, ..vm("0.1.0") });
    assert!(is_up(&observed, "0.1.0"));
    assert!(matches!(observed.condition, Condition::HalfEnvironment { .. }), "{observed:?}");
}

#[test]
fn an_environment_that_an_install_left_behind_is_told_where_the_code_is_the_same() {
    let both = BTreeSet::from([version("0.1.0"), version("0.2.0")]);
    let left = vec!["shop greeting has the value of the other version".to_owned()];
    let observed = seen(disk("0.1.0"), VmView { code: both, environment: left, ..vm("0.1.0") });
    assert!(is_up(&observed, "0.1.0"));
    assert!(
        matches!(&observed.condition, Condition::HalfEnvironment { detail } if detail.contains("greeting"))
    );
}

#[test]
fn a_handler_that_forgot_its_current_release_lies() {
    let observed = seen(disk("0.1.0"), VmView { handler_current: None, ..hot_trial() });
    assert!(is_up(&observed, "0.2.0"));
    assert!(matches!(observed.condition, Condition::HandlerLies { .. }), "{observed:?}");
}

#[test]
fn a_handler_that_believes_in_another_permanent_release_lies() {
    let observed = seen(disk("0.2.0"), VmView { handler_permanent: Some("0.1.0".to_owned()), ..vm("0.2.0") });
    assert!(matches!(observed.condition, Condition::HandlerLies { .. }), "{observed:?}");
}

#[test]
fn code_of_no_release_is_mixed_and_what_runs_is_unknown() {
    let observed = seen(disk("0.1.0"), VmView { code: BTreeSet::new(), ..vm("0.1.0") });
    assert!(matches!(observed.condition, Condition::MixedCode { .. }), "{observed:?}");
    assert!(matches!(observed.running, Running::Unknown { .. }), "{observed:?}");
}

#[test]
fn versions_of_equal_code_are_told_apart_by_the_other_sources() {
    let both = BTreeSet::from([version("0.1.0"), version("0.2.0")]);
    assert!(is_up(&seen(disk("0.1.0"), VmView { code: both.clone(), ..vm("0.1.0") }), "0.1.0"));
    assert!(is_up(&seen(disk("0.1.0"), VmView { code: both, ..hot_trial() }), "0.2.0"));
}

#[test]
fn pointers_that_disagree_are_torn_whatever_runs() {
    let script = Disk { script: ScriptFile::Names(version("0.2.0")), ..disk("0.1.0") };
    let start = Disk { permanent: pointer("0.2.0"), ..disk("0.1.0") };
    let absent = Disk { permanent: PointerFile::Absent, ..disk("0.1.0") };
    let book = Disk { book: BookFile::Torn { reason: "RELEASES: empty".to_owned() }, ..disk("0.1.0") };
    for torn in [script, start, absent, book] {
        let observed = seen(torn, vm("0.1.0"));
        assert!(matches!(observed.condition, Condition::TornPointers { .. }), "{observed:?}");
    }
}

#[test]
fn a_silent_process_is_neither_up_nor_down() {
    let process = Process::Silent { reason: "it boots".to_owned() };
    let observed = classify(&Sources { disk: disk("0.1.0"), process });
    assert!(matches!(observed.running, Running::Unknown { .. }));
    assert!(matches!(observed.condition, Condition::Unknown { .. }));
}

#[test]
fn an_empty_host_is_absent_and_debris_on_it_is_named() {
    let empty = Disk {
        permanent: PointerFile::Absent,
        book: BookFile::Absent,
        script: ScriptFile::Follows,
        ..disk("0.1.0")
    };
    let observed = classify(&Sources { disk: empty.clone(), process: Process::None });
    assert_eq!((observed.condition, observed.permanent), (Condition::Absent, None));
    let littered = Disk { unregistered: vec!["lib/shop-0.3.0".to_owned()], ..empty };
    let observed = classify(&Sources { disk: littered, process: Process::None });
    assert!(matches!(observed.condition, Condition::Debris { detail } if detail.contains("shop-0.3.0")));
}

#[test]
fn a_release_without_sasl_has_no_handler_that_could_lie() {
    let without = VmView { has_sasl: false, handler_permanent: None, ..vm("0.1.0") };
    assert_eq!(seen(disk("0.1.0"), without).condition, Condition::Clean);
}

#[test]
fn a_trial_file_beside_what_is_permanent_is_torn() {
    for left in [pointer("0.1.0"), pointer("0.2.0"), PointerFile::Torn { reason: "empty".to_owned() }] {
        let observed = seen(Disk { trial: left, ..disk("0.1.0") }, vm("0.1.0"));
        assert!(matches!(observed.condition, Condition::TornPointers { .. }), "{observed:?}");
        assert!(is_up(&observed, "0.1.0"), "{observed:?}");
    }
}
