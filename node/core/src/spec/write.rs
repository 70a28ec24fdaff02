//! `AppSpec` -> TOML, in the layout that `parse` reads, every default written out.

use super::{AppSpec, DriverKind, HealthCheck, HealthPolicy, Orphan, Probe, ServiceKind, UpgradePolicy};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use toml::{Table, Value};

/// The spec as an operator would write it. Parsing it gives the same spec again.
#[must_use]
pub fn to_toml(spec: &AppSpec) -> String {
    let mut root = Table::new();
    set(&mut root, "name", spec.name.as_str());
    set(&mut root, "release", spec.release.as_str());
    set(&mut root, "root", spec.root.as_str());
    if let Some(user) = &spec.user {
        set(&mut root, "user", user.as_str());
    }
    set(&mut root, "nodes", Table::from_iter([("labels".to_owned(), texts(&spec.placement))]));
    driver(&mut root, spec);
    let mut service = Table::new();
    match &spec.service {
        ServiceKind::Child => set(&mut service, "kind", "child"),
        ServiceKind::Systemd { unit } => {
            set(&mut service, "kind", "systemd");
            set(&mut service, "unit", unit.as_str());
        }
    }
    set(&mut service, "stop_grace", duration(spec.stop_grace));
    set(&mut root, "service", service);
    set(&mut root, "environment", texts(&spec.environment));
    set(&mut root, "health", health(&spec.health));
    set(&mut root, "upgrade", upgrade(&spec.upgrade));
    root.to_string()
}

fn driver(root: &mut Table, spec: &AppSpec) {
    let word = match &spec.driver {
        DriverKind::Erlang => "erlang",
        DriverKind::Fake => "fake",
        DriverKind::Restart { command } => {
            let mut restart = Table::new();
            set(&mut restart, "command", command.to_string_lossy().into_owned());
            set(&mut restart, "arguments", spec.arguments.clone());
            set(root, "restart", restart);
            "restart"
        }
    };
    set(root, "driver", word);
}

fn health(policy: &HealthPolicy) -> Table {
    let mut table = Table::new();
    set(&mut table, "interval", duration(policy.interval));
    set(&mut table, "healthy_after", policy.healthy_after);
    set(&mut table, "unhealthy_after", policy.unhealthy_after);
    set(&mut table, "start_grace", duration(policy.start_grace));
    if !policy.checks.is_empty() {
        set(&mut table, "check", policy.checks.iter().map(check).collect::<Vec<_>>());
    }
    table
}

fn check(check: &HealthCheck) -> Table {
    let mut table = Table::new();
    set(&mut table, "name", check.name.as_str());
    set(&mut table, "timeout", duration(check.timeout));
    match &check.probe {
        Probe::Http { url, status, body } => {
            set(&mut table, "http", url.as_str());
            set(&mut table, "status", i64::from(*status));
            if let Some(body) = body {
                set(&mut table, "body", body.as_str());
            }
        }
        Probe::Tcp { address } => set(&mut table, "tcp", address.as_str()),
        Probe::Exec { command } => set(&mut table, "exec", command.clone()),
    }
    table
}

fn upgrade(policy: &UpgradePolicy) -> Table {
    let mut table = Table::new();
    set(&mut table, "method", word(policy.method));
    set(&mut table, "canary", policy.canary);
    set(&mut table, "promote", word(policy.promote));
    set(&mut table, "max_in_flight", policy.max_in_flight);
    set(&mut table, "max_unavailable", policy.max_unavailable);
    set(&mut table, "bake", duration(policy.bake));
    set(&mut table, "permanent", word(policy.permanent));
    set(&mut table, "on_failure", word(policy.on_failure));
    set(&mut table, "already_sick", word(policy.already_sick));
    set(&mut table, "unreachable", word(policy.unreachable));
    set(&mut table, "progress_deadline", duration(policy.progress_deadline));
    set(&mut table, "rollout_deadline", duration(policy.rollout_deadline));
    set(&mut table, "revert_deadline", duration(policy.revert_deadline));
    set(&mut table, "old_code", word(policy.hot.old_code));
    set(&mut table, "old_code_wait", duration(policy.hot.old_code_wait));
    if let Some(limit) = policy.hot.max_suspend {
        set(&mut table, "max_suspend", duration(limit));
    }
    if !policy.preflight.checks.is_empty() {
        let words = policy.preflight.checks.iter().map(|(key, policy)| (key.clone(), word(*policy)));
        set(&mut table, "checks", Value::Table(words.collect()));
    }
    if !policy.preflight.require_hardening.is_empty() {
        set(
            &mut table,
            "require_hardening",
            policy.preflight.require_hardening.iter().cloned().collect::<Vec<_>>(),
        );
    }
    match policy.orphan {
        Orphan::Hold => set(&mut table, "orphan", "hold"),
        Orphan::Revert { after, stagger } => {
            set(&mut table, "orphan", "revert");
            set(&mut table, "orphan_after", duration(after));
            set(&mut table, "orphan_stagger", duration(stagger));
        }
    }
    table
}

fn set(table: &mut Table, key: &str, value: impl Into<Value>) {
    table.insert(key.to_owned(), value.into());
}

fn duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn texts(map: &BTreeMap<String, String>) -> Value {
    Value::Table(map.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str()))).collect())
}

/// The word of a policy, as serde names it.
fn word(policy: impl Serialize) -> Value {
    Value::try_from(policy).expect("a unit variant is a text")
}
