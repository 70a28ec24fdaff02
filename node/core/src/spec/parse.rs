//! An app's TOML -> `AppSpec`. Reports every mistake at once; what is optional has its default
//! here and nowhere else. `docs/examples/app.toml` shows the layout.

use super::{
    AlreadySick, AppSpec, CheckPolicy, DriverKind, HealthCheck, HealthPolicy, HotPolicy, MethodPolicy,
    OldCode, OnFailure, Orphan, Permanent, PreflightPolicy, Probe, Promote, SOFT_CHECKS, ServiceKind,
    Unreachable, UpgradePolicy, check, template,
};
use crate::ids::{AppName, ReleaseName};
use crate::toml_reader::{self, NOT_NEGATIVE, POSITIVE, Problem, Section};
use relupd_release::elf::QUESTIONS;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// No cluster that relupd is meant for has more nodes.
const MAX_NODES: u32 = 10_000;

/// Everything that is wrong with an app's spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SpecErrors {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the app's spec cannot be used:")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Parses and checks an app's spec.
pub fn parse(text: &str) -> Result<AppSpec, SpecErrors> {
    toml_reader::read(text, app).map_err(|problems| SpecErrors { problems })
}

fn app(root: &mut Section<'_, '_>) -> Option<AppSpec> {
    let name = app_name(root);
    let release = release_name(root, name.as_ref());
    let release_root = root.required("root", "\"/opt/shop\"");
    if let Some(text) = &release_root {
        check_text(root, "root", text, |text| check::root(text).map(drop));
    }
    let user = root.string("user");
    if user.as_deref() == Some("") {
        root.reject("user", "empty; leave it out to run as the daemon's own user");
    }
    let mut nodes = root.section("nodes");
    let placement = nodes.string_map("labels");
    nodes.finish();
    let (driver, arguments) = driver(root);
    let (service, stop_grace) = service(root, name.as_ref());
    let environment = environment(root);
    let health = health(root);
    let upgrade = upgrade(root);
    Some(AppSpec {
        name: name?,
        release: release?,
        placement,
        root: release_root?,
        driver: driver?,
        service: service?,
        user,
        arguments,
        environment,
        stop_grace,
        health,
        upgrade,
    })
}

fn app_name(root: &mut Section<'_, '_>) -> Option<AppName> {
    let text = root.required("name", "\"shop\"")?;
    text.parse().map_err(|error| root.reject("name", error)).ok()
}

/// The release is called as the app, unless the spec says otherwise.
fn release_name(root: &mut Section<'_, '_>, app: Option<&AppName>) -> Option<ReleaseName> {
    match root.has("release") {
        true => root.parsed("release"),
        false => {
            root.knows("release");
            app.and_then(|app| app.as_str().parse().ok())
        }
    }
}

#[derive(Clone, Copy)]
enum DriverWord {
    Erlang,
    Restart,
    Fake,
}

fn driver(root: &mut Section<'_, '_>) -> (Option<DriverKind>, Vec<String>) {
    let words =
        [("erlang", DriverWord::Erlang), ("restart", DriverWord::Restart), ("fake", DriverWord::Fake)];
    let word = root.choice("driver", &words, DriverWord::Erlang);
    let has_section = root.has("restart");
    let mut restart = root.section("restart");
    let driver = match word {
        DriverWord::Restart => {
            let command = restart.required("command", "\"bin/server\"");
            command.and_then(|text| {
                check::relative_program(&text).map_err(|error| restart.reject("command", error)).ok()
            })
        }
        DriverWord::Erlang | DriverWord::Fake => {
            if has_section {
                root.reject("restart", "only with `driver = \"restart\"`");
            }
            restart.string("command");
            None
        }
    };
    let arguments = restart.strings("arguments").unwrap_or_default();
    for argument in &arguments {
        check_text(&restart, "arguments", argument, |_| Ok(()));
    }
    restart.finish();
    let driver = match word {
        DriverWord::Erlang => Some(DriverKind::Erlang),
        DriverWord::Restart => driver.map(|command| DriverKind::Restart { command }),
        DriverWord::Fake => Some(DriverKind::Fake),
    };
    (driver, arguments)
}

fn service(root: &mut Section<'_, '_>, app: Option<&AppName>) -> (Option<ServiceKind>, Duration) {
    let mut section = root.section("service");
    let systemd = section.choice("kind", &[("child", false), ("systemd", true)], false);
    let unit = section.string("unit");
    let grace = section.duration("stop_grace", POSITIVE, 30 * SECOND);
    let service = match (systemd, unit, app) {
        (false, None, _) => Some(ServiceKind::Child),
        (false, Some(_), _) => {
            section.reject("unit", "only with `kind = \"systemd\"`");
            None
        }
        (true, Some(unit), _) => {
            if !unit.ends_with(".service") || unit.contains('/') {
                section.reject("unit", format_args!("{unit:?} is not the full name of a service unit"));
            }
            Some(ServiceKind::Systemd { unit })
        }
        (true, None, app) => {
            app.map(|app| ServiceKind::Systemd { unit: format!("relupd-app@{app}.service") })
        }
    };
    section.finish();
    (service, grace)
}

fn environment(root: &mut Section<'_, '_>) -> BTreeMap<String, String> {
    let environment = root.string_map("environment");
    for (name, value) in &environment {
        if let Err(error) = check::environment_name(name) {
            root.reject("environment", error);
        }
        if let Err(error) = template::check(value) {
            root.reject("environment", format_args!("{name}: {error}"));
        }
    }
    environment
}

fn health(root: &mut Section<'_, '_>) -> HealthPolicy {
    let mut section = root.section("health");
    let policy = HealthPolicy {
        interval: section.duration("interval", POSITIVE, 5 * SECOND),
        healthy_after: section.integer("healthy_after", 1..=1000, 2),
        unhealthy_after: section.integer("unhealthy_after", 1..=1000, 3),
        start_grace: section.duration("start_grace", NOT_NEGATIVE, 30 * SECOND),
        checks: checks(&mut section),
    };
    section.finish();
    policy
}

fn checks(health: &mut Section<'_, '_>) -> Vec<HealthCheck> {
    let mut checks: Vec<HealthCheck> = Vec::new();
    for mut section in health.sections("check") {
        let timeout = section.duration("timeout", POSITIVE, 2 * SECOND);
        let name = section.string("name");
        let probe = probe(&mut section);
        if let Some(probe) = probe {
            let name = name.unwrap_or_else(|| default_check_name(&probe).to_owned());
            if name.is_empty() || checks.iter().any(|other| other.name == name) {
                section.reject(
                    "name",
                    format_args!("{name:?} is empty or taken; give each check a name of its own"),
                );
            }
            checks.push(HealthCheck { name, timeout, probe });
        }
        section.finish();
    }
    checks
}

const fn default_check_name(probe: &Probe) -> &'static str {
    match probe {
        Probe::Http { .. } => "http",
        Probe::Tcp { .. } => "tcp",
        Probe::Exec { .. } => "exec",
    }
}

fn probe(section: &mut Section<'_, '_>) -> Option<Probe> {
    let (http, tcp, exec) = (section.string("http"), section.string("tcp"), section.strings("exec"));
    if http.is_none() && (section.has("status") || section.has("body")) {
        section.reject("", "`status` and `body` are only for `http`");
    }
    let status = section.integer("status", 100..=599, 200);
    let body = section.string("body");
    match (http, tcp, exec) {
        (Some(url), None, None) => {
            check_text(section, "http", &url, |text| check::http_url(text).map(drop));
            if let Some(Err(error)) = body.as_deref().map(regex::Regex::new) {
                section.reject("body", format_args!("not a regular expression: {error}"));
            }
            Some(Probe::Http { url, status, body })
        }
        (None, Some(address), None) => {
            check_text(section, "tcp", &address, check::tcp_address);
            Some(Probe::Tcp { address })
        }
        (None, None, Some(command)) => {
            for text in &command {
                check_text(section, "exec", text, |_| Ok(()));
            }
            if let Err(error) = check::exec_command(&command) {
                section.reject("exec", error);
            }
            Some(Probe::Exec { command })
        }
        (None, None, None) => {
            section.reject(
                "",
                "asks nothing; give it one of `http = URL`, `tcp = ADDRESS`, `exec = [PROGRAM, ..]`",
            );
            None
        }
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            section.reject(
                "",
                "asks more than one thing; give it one of `http`, `tcp`, `exec`, and add a check",
            );
            None
        }
    }
}

fn upgrade(root: &mut Section<'_, '_>) -> UpgradePolicy {
    let mut section = root.section("upgrade");
    let methods =
        [("auto", MethodPolicy::Auto), ("hot", MethodPolicy::Hot), ("restart", MethodPolicy::Restart)];
    let sick = [("refuse", AlreadySick::Refuse), ("skip", AlreadySick::Skip), ("count", AlreadySick::Count)];
    let unreachable = [("refuse", Unreachable::Refuse), ("skip", Unreachable::Skip)];
    let policy = UpgradePolicy {
        method: section.choice("method", &methods, MethodPolicy::Auto),
        canary: section.integer("canary", 0..=MAX_NODES, 1),
        promote: section.choice(
            "promote",
            &[("auto", Promote::Auto), ("manual", Promote::Manual)],
            Promote::Auto,
        ),
        max_in_flight: section.integer("max_in_flight", 1..=MAX_NODES, 1),
        max_unavailable: section.integer("max_unavailable", 0..=MAX_NODES, 0),
        bake: section.duration("bake", NOT_NEGATIVE, 30 * SECOND),
        permanent: section.choice(
            "permanent",
            &[("at-end", Permanent::AtEnd), ("per-node", Permanent::PerNode)],
            Permanent::AtEnd,
        ),
        on_failure: section.choice(
            "on_failure",
            &[("revert", OnFailure::Revert), ("hold", OnFailure::Hold)],
            OnFailure::Revert,
        ),
        already_sick: section.choice("already_sick", &sick, AlreadySick::Refuse),
        unreachable: section.choice("unreachable", &unreachable, Unreachable::Refuse),
        progress_deadline: section.duration("progress_deadline", POSITIVE, 5 * MINUTE),
        rollout_deadline: section.duration("rollout_deadline", POSITIVE, 120 * MINUTE),
        revert_deadline: section.duration("revert_deadline", POSITIVE, 10 * MINUTE),
        orphan: orphan(&mut section),
        preflight: Box::new(PreflightPolicy {
            checks: check_policies(&mut section),
            require_hardening: required_hardening(&mut section),
        }),
        hot: Box::new(hot(&mut section)),
    };
    let waits = policy.hot.old_code != OldCode::Wait || section.has("old_code_wait");
    if waits && policy.hot.old_code_wait >= policy.progress_deadline {
        section.reject("old_code_wait", "must be shorter than `progress_deadline`, which would end the wait");
    }
    if policy.max_unavailable > 0 && policy.already_sick != AlreadySick::Count {
        section.reject("max_unavailable", "only with `already_sick = \"count\"`");
    }
    section.finish();
    policy
}

fn hot(upgrade: &mut Section<'_, '_>) -> HotPolicy {
    let words = [("wait", OldCode::Wait), ("revert", OldCode::Revert), ("kill", OldCode::Kill)];
    let default = HotPolicy::default();
    let limited = upgrade.has("max_suspend");
    let max_suspend = upgrade.duration("max_suspend", POSITIVE, SECOND);
    HotPolicy {
        old_code: upgrade.choice("old_code", &words, default.old_code),
        old_code_wait: upgrade.duration("old_code_wait", POSITIVE, default.old_code_wait),
        max_suspend: limited.then_some(max_suspend),
    }
}

/// `[upgrade.checks]`: which checks of the preflight only warn.
fn check_policies(upgrade: &mut Section<'_, '_>) -> BTreeMap<String, CheckPolicy> {
    let mut policies = BTreeMap::new();
    for (key, word) in upgrade.string_map("checks") {
        if !SOFT_CHECKS.contains(&key.as_str()) {
            let known = SOFT_CHECKS.join(", ");
            upgrade
                .reject("checks", format_args!("{key} is none of the checks that may only warn ({known})"));
        }
        match word.as_str() {
            "warn" => {
                policies.insert(key, CheckPolicy::Warn);
            }
            "refuse" => {}
            _ => upgrade.reject("checks", format_args!("{key}: {word:?} is neither \"warn\" nor \"refuse\"")),
        }
    }
    policies
}

fn required_hardening(upgrade: &mut Section<'_, '_>) -> BTreeSet<String> {
    let wanted = upgrade.strings("require_hardening").unwrap_or_default();
    for name in wanted.iter().filter(|name| !QUESTIONS.contains(&name.as_str())) {
        let known = QUESTIONS.join(", ");
        upgrade.reject("require_hardening", format_args!("{name:?} is none of {known}"));
    }
    wanted.into_iter().collect()
}

fn orphan(upgrade: &mut Section<'_, '_>) -> Orphan {
    let hold = upgrade.choice("orphan", &[("revert", false), ("hold", true)], false);
    let unused = hold && (upgrade.has("orphan_after") || upgrade.has("orphan_stagger"));
    let after = upgrade.duration("orphan_after", POSITIVE, 30 * MINUTE);
    let stagger = upgrade.duration("orphan_stagger", NOT_NEGATIVE, MINUTE);
    if unused {
        upgrade.reject("orphan", "\"hold\" does not go with `orphan_after` and `orphan_stagger`");
    }
    if hold { Orphan::Hold } else { Orphan::Revert { after, stagger } }
}

/// Checks a text with variables as it would be on some node.
fn check_text(
    section: &Section<'_, '_>,
    key: &str,
    text: &str,
    check: impl FnOnce(&str) -> Result<(), String>,
) {
    let result = template::sample(text).map_err(|error| error.to_string()).and_then(|text| check(&text));
    if let Err(error) = result {
        section.reject(key, error);
    }
}
