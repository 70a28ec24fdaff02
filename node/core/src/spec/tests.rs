use super::template::NodeVariables;
use super::*;
use crate::ids::NodeId;
use crate::toml_reader::Problem;

const EXAMPLE: &str = include_str!("../../../../docs/examples/app.toml");
const SMALLEST: &str = "name = \"shop\"\nroot = \"/opt/shop\"\n";

fn problems_of(extra: &str) -> Vec<String> {
    let errors = parse(&format!("{SMALLEST}{extra}")).expect_err("the spec has mistakes");
    errors.problems.iter().map(|problem: &Problem| format!("{}: {}", problem.key, problem.message)).collect()
}

fn node(labels: &[(&str, &str)]) -> NodeVariables {
    NodeVariables {
        id: NodeId::from_parts(1, 2),
        name: "web-1".to_owned(),
        address: "10.0.0.7".parse().expect("an address"),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

/// Asserts that there is exactly one problem, with this key, that mentions all of the words.
fn one_problem(extra: &str, key: &str, words: &[&str]) {
    let problems = problems_of(extra);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with(&format!("{key}: ")), "{problems:?}");
    for word in words {
        assert!(problems[0].contains(word), "{word:?} not in {problems:?}");
    }
}

#[test]
fn a_node_that_bakes_has_the_time_of_everything_that_it_waits_for() {
    let mut spec = parse(SMALLEST).expect("the smallest spec");
    spec.upgrade.progress_deadline = Duration::from_secs(1);
    spec.upgrade.bake = Duration::from_secs(2);
    spec.health.start_grace = Duration::from_secs(4);
    assert_eq!(spec.verdict_deadline(), Duration::from_secs(7));
}

#[test]
fn two_lines_are_enough() {
    let spec = parse(SMALLEST).expect("the smallest spec");
    assert_eq!(spec.release.as_str(), "shop");
    assert_eq!(spec.driver, DriverKind::Erlang);
    assert_eq!(spec.service, ServiceKind::Child);
    assert_eq!(spec.health.start_grace, Duration::from_secs(30));
    assert_eq!(spec.health.checks, []);
    assert_eq!(
        spec.upgrade,
        UpgradePolicy {
            method: MethodPolicy::Auto,
            canary: 1,
            promote: Promote::Auto,
            max_in_flight: 1,
            max_unavailable: 0,
            bake: Duration::from_secs(30),
            permanent: Permanent::AtEnd,
            on_failure: OnFailure::Revert,
            already_sick: AlreadySick::Refuse,
            unreachable: Unreachable::Refuse,
            progress_deadline: Duration::from_secs(300),
            rollout_deadline: Duration::from_secs(7200),
            revert_deadline: Duration::from_secs(600),
            orphan: Orphan::Revert { after: Duration::from_secs(1800), stagger: Duration::from_secs(60) },
            preflight: Box::default(),
            hot: Box::default(),
        }
    );
}

#[test]
fn the_example_shows_the_defaults() {
    let example = parse(EXAMPLE).expect("the example");
    let smallest = parse(SMALLEST).expect("the smallest spec");
    assert_eq!(example.upgrade, smallest.upgrade);
    assert_eq!(example.stop_grace, smallest.stop_grace);
    assert_eq!(example.health.checks.len(), 3);
    assert_eq!(HealthPolicy { checks: Vec::new(), ..example.health }, smallest.health);
}

#[test]
fn survives_being_written_and_read_again() {
    let restart = "user = \"shop\"\ndriver = \"restart\"\n[restart]\ncommand = \"bin/server\"\n\
                   arguments = [\"-n\", \"{{node.name}}\"]\n[service]\nkind = \"systemd\"\n\
                   [upgrade]\norphan = \"hold\"\nchecks = { P7 = \"warn\" }\nrequire_hardening = [\"pie\"]\nold_code = \"revert\"\nmax_suspend = \"50ms\"\nalready_sick = \"count\"\nmax_unavailable = 2\n\
                   bake = \"0s\"\npermanent = \"per-node\"\n";
    for text in [SMALLEST, EXAMPLE, &format!("{SMALLEST}{restart}")] {
        let spec = parse(text).expect("a good spec");
        let written = to_toml(&spec);
        assert_eq!(parse(&written).as_ref(), Ok(&spec), "{written}");
    }
}

#[test]
fn reports_all_mistakes_with_their_lines() {
    let errors =
        parse("name = \"Shop\"\n[health]\ninterval = \"0s\"\n[upgrade]\nbake = \"soon\"\ncanari = 1\n")
            .expect_err("five mistakes");
    let keys: Vec<_> = errors.problems.iter().map(|problem| (problem.line, problem.key.as_str())).collect();
    assert_eq!(
        keys,
        [
            (None, "root"),
            (Some(1), "name"),
            (Some(3), "health.interval"),
            (Some(5), "upgrade.bake"),
            (Some(6), "upgrade.canari"),
        ]
    );
    assert!(errors.to_string().contains("\n  line 6: upgrade.canari: unknown key; did you mean `canary`?"));
}

#[test]
fn refuses_intervals_and_timeouts_of_zero() {
    one_problem("[health]\ninterval = \"0s\"", "health.interval", &["from 1ms"]);
    one_problem(
        "[[health.check]]\ntcp = \"127.0.0.1:1\"\ntimeout = \"0s\"",
        "health.check[0].timeout",
        &["from 1ms"],
    );
    one_problem("[upgrade]\nprogress_deadline = \"0s\"", "upgrade.progress_deadline", &["from 1ms"]);
}

#[test]
fn refuses_a_body_that_is_no_regular_expression() {
    one_problem(
        "[[health.check]]\nhttp = \"http://127.0.0.1/\"\nbody = \"(\"",
        "health.check[0].body",
        &["not a regular expression"],
    );
}

#[test]
fn refuses_urls_and_addresses_that_do_not_parse() {
    one_problem(
        "[[health.check]]\nhttp = \"127.0.0.1:80\"",
        "health.check[0].http",
        &["not a URL", "http://"],
    );
    one_problem("[[health.check]]\nhttp = \"https://a/\"", "health.check[0].http", &["plain HTTP"]);
    one_problem("[[health.check]]\ntcp = \"localhost\"", "health.check[0].tcp", &["port"]);
    one_problem("[[health.check]]\nexec = [\"true\"]", "health.check[0].exec", &["absolute"]);
}

#[test]
fn refuses_variables_that_nobody_knows() {
    one_problem(
        "[environment]\nX = \"{{node.port}}\"",
        "environment",
        &["X", "`node.port`", "node.labels.KEY"],
    );
    one_problem(
        "[[health.check]]\nhttp = \"http://{{nod.name}}/\"",
        "health.check[0].http",
        &["unknown variable", "`nod.name`"],
    );
}

#[test]
fn refuses_checks_that_ask_nothing_or_too_much() {
    one_problem("[[health.check]]\nname = \"x\"", "health.check[0]", &["asks nothing"]);
    one_problem(
        "[[health.check]]\ntcp = \"a:1\"\nexec = [\"/bin/true\"]",
        "health.check[0]",
        &["more than one"],
    );
    one_problem(
        "[[health.check]]\ntcp = \"a:1\"\n[[health.check]]\ntcp = \"a:2\"",
        "health.check[1].name",
        &["taken"],
    );
}

#[test]
fn a_check_without_a_name_is_called_after_what_it_asks() {
    let checks = "[[health.check]]\nhttp = \"http://a/\"\n[[health.check]]\ntcp = \"a:1\"\n\
                  [[health.check]]\nexec = [\"/bin/true\"]\n[[health.check]]\nname = \"port\"\ntcp = \"a:2\"\n";
    let spec = parse(&format!("{SMALLEST}{checks}")).expect("a good spec");
    let names: Vec<_> = spec.health.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["http", "tcp", "exec", "port"]);
}

#[test]
fn refuses_to_compare_what_only_http_answers() {
    for setting in ["status = 204", "body = \"ok\""] {
        let check = format!("[[health.check]]\ntcp = \"a:1\"\n{setting}");
        one_problem(&check, "health.check[0]", &["only for `http`"]);
    }
}

#[test]
fn a_unit_is_named_in_full_and_without_a_path() {
    let unit = |name| format!("[service]\nkind = \"systemd\"\nunit = \"{name}\"");
    for name in ["shop", "shop.socket", "system/shop.service"] {
        one_problem(&unit(name), "service.unit", &[name, "full name of a service unit"]);
    }
    let spec = parse(&format!("{SMALLEST}{}", unit("shop@2.service"))).expect("a good spec");
    assert_eq!(spec.service, ServiceKind::Systemd { unit: "shop@2.service".to_owned() });
    let spec = parse(&format!("{SMALLEST}[service]\nkind = \"systemd\"")).expect("a good spec");
    assert_eq!(spec.service, ServiceKind::Systemd { unit: "relupd-app@shop.service".to_owned() });
}

#[test]
fn refuses_roots_that_lead_astray() {
    for root in ["/", "opt/shop", "/opt/../etc", ""] {
        let text = format!("name = \"shop\"\nroot = \"{root}\"");
        let errors = parse(&text).expect_err(root);
        assert_eq!(errors.problems[0].key, "root");
    }
}

#[test]
fn says_what_a_hot_upgrade_may_cost() {
    let upgrade = "[upgrade]\nold_code = \"kill\"\nold_code_wait = \"5s\"\nmax_suspend = \"50ms\"";
    let hot = parse(&format!("{SMALLEST}{upgrade}")).expect("a good spec").upgrade.hot;
    let (wait, limit) = (Duration::from_secs(5), Duration::from_millis(50));
    assert_eq!(*hot, HotPolicy { old_code: OldCode::Kill, old_code_wait: wait, max_suspend: Some(limit) });
    one_problem("[upgrade]\nold_code = \"purge\"", "upgrade.old_code", &["revert"]);
    one_problem("[upgrade]\nmax_suspend = \"0s\"", "upgrade.max_suspend", &["from 1ms"]);
    one_problem(
        "[upgrade]\nold_code = \"revert\"\nold_code_wait = \"5m\"",
        "upgrade.old_code_wait",
        &["progress_deadline"],
    );
}

#[test]
fn a_check_refuses_unless_the_spec_says_that_it_only_warns() {
    let checks = "[upgrade.checks]\nP7 = \"refuse\"\nP8 = \"warn\"";
    let policies = parse(&format!("{SMALLEST}{checks}")).expect("a good spec").upgrade.preflight.checks;
    assert_eq!(policies, BTreeMap::from([("P8".to_owned(), CheckPolicy::Warn)]));
}

#[test]
fn refuses_settings_that_have_no_effect() {
    one_problem("[restart]\ncommand = \"bin/x\"", "restart", &["driver"]);
    one_problem("[service]\nunit = \"x.service\"", "service.unit", &["systemd"]);
    one_problem("[upgrade]\nmax_unavailable = 1", "upgrade.max_unavailable", &["already_sick"]);
    one_problem("[upgrade.checks]\nP1 = \"warn\"", "upgrade.checks", &["P1", "P7"]);
    one_problem("[upgrade.checks]\nP7 = \"ignore\"", "upgrade.checks", &["P7", "ignore"]);
    one_problem("[upgrade]\nrequire_hardening = [\"asbestos\"]", "upgrade.require_hardening", &["pie"]);
    one_problem("[upgrade]\norphan = \"hold\"\norphan_after = \"1m\"", "upgrade.orphan", &["orphan_after"]);
}

#[test]
fn resolves_to_the_values_of_the_node() {
    let text = "name = \"shop\"\nroot = \"/opt/{{node.labels.tier}}/shop\"\n\
                [environment]\nWHO = \"{{node.name}}\"\n\
                [[health.check]]\nhttp = \"http://{{node.address}}:{{node.labels.port}}/\"\n";
    let spec = parse(text).expect("a good spec");
    let resolved = resolve(&spec, &node(&[("tier", "a"), ("port", "8080")])).expect("all labels are there");
    assert_eq!(resolved.root, PathBuf::from("/opt/a/shop"));
    assert_eq!(resolved.environment["WHO"], "web-1");
    let url = "http://10.0.0.7:8080/".to_owned();
    assert_eq!(resolved.health.checks[0].probe, Probe::Http { url, status: 200, body: None });
}

#[test]
fn arguments_and_programs_of_checks_are_resolved_one_by_one() {
    let text = "name = \"shop\"\nroot = \"/opt/shop\"\ndriver = \"restart\"\n[restart]\ncommand = \"bin/server\"\n\
                arguments = [\"-n\", \"{{node.name}}\"]\n\
                [[health.check]]\nexec = [\"/opt/ask\", \"{{node.address}}\"]\n";
    let spec = parse(text).expect("a good spec");
    let resolved = resolve(&spec, &node(&[])).expect("nothing is missing");
    assert_eq!(resolved.arguments, ["-n", "web-1"]);
    let command = ["/opt/ask", "10.0.0.7"].map(str::to_owned).to_vec();
    assert_eq!(resolved.health.checks[0].probe, Probe::Exec { command });
}

#[test]
fn a_label_that_is_missing_or_leads_out_of_the_root_is_an_error() {
    let spec = parse("name = \"shop\"\nroot = \"/opt/{{node.labels.tier}}/shop\"\n").expect("a good spec");
    assert!(matches!(resolve(&spec, &node(&[])), Err(ResolveError::Template { .. })));
    assert!(matches!(resolve(&spec, &node(&[("tier", "../..")])), Err(ResolveError::Invalid { .. })));
}
