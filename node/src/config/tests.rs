use super::*;
use std::time::Duration;

const EXAMPLE: &str = include_str!("../../../docs/examples/relupd.toml");
const SMALLEST: &str = "listen = \"10.0.0.7:7400\"\n";

fn settings(text: &str) -> Settings {
    parse(text, "web-1", &Overrides::default()).expect("a good config")
}

/// Asserts that there is exactly one problem, with this key, that mentions the word.
fn one_problem(text: &str, key: &str, word: &str) {
    let problems = parse(text, "web-1", &Overrides::default()).expect_err("the config has a mistake");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].key, key);
    assert!(problems[0].message.contains(word), "{word:?} not in {problems:?}");
}

#[test]
fn the_example_shows_the_defaults() {
    let mut example = settings(EXAMPLE);
    assert_eq!(example.labels["role"], "web");
    example.labels.clear();
    assert_eq!(example, settings(SMALLEST));
    assert_eq!(example.raft.tick, Duration::from_millis(100));
}

#[test]
fn refuses_to_listen_on_every_network() {
    one_problem("listen = \"0.0.0.0:7400\"", "listen", "every network");
    one_problem("listen = \"[::]:7400\"", "listen", "every network");
    one_problem("listen = \"10.0.0.7:0\"", "listen", "port");
    one_problem("listen = \"web-1:7400\"", "listen", "IP address");
    one_problem("", "listen", "missing");
}

#[test]
fn suggests_the_key_that_was_meant() {
    one_problem(&format!("{SMALLEST}stat_dir = \"/x\""), "stat_dir", "did you mean `state_dir`?");
    one_problem(&format!("{SMALLEST}[raft]\nmax_voter = 3"), "raft.max_voter", "did you mean `max_voters`?");
}

#[test]
fn refuses_values_that_cannot_work() {
    one_problem(&format!("{SMALLEST}[raft]\nmax_voters = 4"), "raft.max_voters", "1, 3, 5 or 7");
    one_problem(
        &format!("{SMALLEST}[raft]\nelection_ticks = 3\nheartbeat_ticks = 3"),
        "raft.election_ticks",
        "greater",
    );
    one_problem(&format!("{SMALLEST}[raft]\ntick = \"0s\""), "raft.tick", "out of range");
    one_problem(&format!("{SMALLEST}[log]\nlevel = \"relupd=loud\""), "log.level", "not a level");
    one_problem(&format!("{SMALLEST}[metrics]\nlisten = \"9464\""), "metrics.listen", "off");
    one_problem(&format!("{SMALLEST}[releases]\nroots = [\"/\"]"), "releases.roots", "below `/`");
    one_problem(&format!("{SMALLEST}[node]\nname = \"web 1\""), "node.name", "node's name");
    one_problem(&format!("{SMALLEST}state_dir = \"var\""), "state_dir", "absolute");
    one_problem(&format!("{SMALLEST}run_dir = \"/{}\"", "x".repeat(60)), "run_dir", "too long");
}

#[test]
fn metrics_can_be_off() {
    assert_eq!(settings(&format!("{SMALLEST}[metrics]\nlisten = \"off\"")).metrics, None);
}

#[test]
fn the_command_line_beats_the_file() {
    let overrides = Overrides { state_dir: Some("/tmp/state".into()), run_dir: Some("/tmp/run".into()) };
    let settings =
        parse(&format!("{SMALLEST}state_dir = \"/elsewhere\""), "web-1", &overrides).expect("good");
    assert_eq!(settings.state_dir, Path::new("/tmp/state"));
    assert_eq!(settings.api_socket, Path::new("/tmp/run/relupd.sock"));
}

#[test]
fn a_release_root_must_lie_below_an_allowed_directory() {
    let settings = settings(SMALLEST);
    assert!(settings.allows_root(Path::new("/opt/shop")));
    for elsewhere in ["/opt", "/optional/shop", "/etc/relupd", "/"] {
        assert!(!settings.allows_root(Path::new(elsewhere)), "{elsewhere}");
    }
}

#[test]
fn names_the_file_the_key_and_the_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("relupd.toml");
    std::fs::write(&path, "listen = \"127.0.0.1:7400\"\nintervace = \"eth0\"\n").expect("written");
    let error = load(&path, &Overrides::default()).expect_err("an unknown key").to_string();
    assert!(
        error.contains(
            "relupd.toml cannot be used:\n  line 2: intervace: unknown key; did you mean `interface`?"
        ),
        "{error}"
    );
}

#[test]
fn refuses_an_interface_that_the_host_lacks() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("relupd.toml");
    std::fs::write(&path, "listen = \"127.0.0.1:7400\"\ninterface = \"no-such-if0\"\n").expect("written");
    let error = load(&path, &Overrides::default()).expect_err("a missing interface");
    assert!(matches!(error, ConfigError::NoSuchInterface { .. }), "{error}");
    let missing = load(&directory.path().join("none"), &Overrides::default()).expect_err("no file");
    assert!(matches!(missing, ConfigError::Read { .. }), "{missing}");
}
