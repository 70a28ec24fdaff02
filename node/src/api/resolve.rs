//! What a request names, found in the state. People may say a node's name instead of its id, a
//! rollout's app instead of the rollout, and the beginning of a digest.

use super::error::{invalid, not_found};
use crate::ids::{AppName, Digest, NodeId, PlanId, ReleaseName, ReleaseVersion, RolloutId};
use crate::state::ClusterState;
use crate::state::app::App;
use crate::state::node::NodeRecord;
use crate::state::plan::Plan;
use crate::state::rejection::Rejection;
use crate::state::release::ReleaseRecord;
use crate::state::rollout::Rollout;
use std::str::FromStr;
use std::sync::Arc;
use tonic::Status;

/// A text of the request as a domain type.
pub(crate) fn parse<T>(text: &str) -> Result<T, Status>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| invalid(error.to_string()))
}

/// A present node, by id or name.
pub(crate) fn node<'s>(state: &'s ClusterState, text: &str) -> Result<&'s NodeRecord, Status> {
    let id = text.to_ascii_uppercase().parse::<NodeId>().ok();
    state
        .present_nodes()
        .find(|node| Some(node.id) == id || node.name == text)
        .ok_or_else(|| not_found(format!("node {text:?} is not in this cluster; see `relupctl node list`")))
}

/// An app.
pub(crate) fn app<'s>(state: &'s ClusterState, text: &str) -> Result<&'s App, Status> {
    let name: AppName = parse(text)?;
    state.apps.get(&name).ok_or_else(|| not_found(Rejection::NoSuchApp(name).to_string()))
}

/// A plan.
pub(crate) fn plan<'s>(state: &'s ClusterState, text: &str) -> Result<&'s Plan, Status> {
    let id: PlanId = parse(text)?;
    state.plans.get(&id).map(Arc::as_ref).ok_or_else(|| not_found(Rejection::NoSuchPlan(id).to_string()))
}

/// A release, by its version alone where that is unambiguous.
pub(crate) fn release<'s>(
    state: &'s ClusterState,
    name: &str,
    version: &str,
) -> Result<&'s ReleaseRecord, Status> {
    let version: ReleaseVersion = parse(version)?;
    let named: Option<ReleaseName> = if name.is_empty() { None } else { Some(parse(name)?) };
    let found: Vec<&ReleaseRecord> = state
        .releases
        .iter()
        .filter(|(name, _)| named.as_ref().is_none_or(|named| named == *name))
        .filter_map(|(_, versions)| versions.get(&version))
        .collect();
    match found[..] {
        [release] => Ok(release),
        [] => Err(not_found(format!(
            "release {name}{version} is not in this cluster; see `relupctl release list`",
            name = named.map(|name| format!("{name} ")).unwrap_or_default()
        ))),
        _ => {
            let names: Vec<&str> = found.iter().map(|release| release.id.name.as_str()).collect();
            Err(invalid(format!(
                "several releases have version {version}: say which with --name ({})",
                names.join(", ")
            )))
        }
    }
}

/// Two versions of one release. A name found by one version is that of both.
pub(crate) fn two_releases<'s>(
    state: &'s ClusterState,
    name: &str,
    [one, other]: [&str; 2],
) -> Result<[&'s ReleaseRecord; 2], Status> {
    let first = release(state, name, one);
    let name = match &first {
        Ok(found) => found.id.name.as_str(),
        Err(_) => name,
    };
    let second = release(state, name, other)?;
    Ok([release(state, second.id.name.as_str(), one)?, second])
}

/// The rollout to read: by id, by app, or the one that a person most likely means.
pub(crate) fn rollout<'s>(state: &'s ClusterState, text: &str) -> Result<&'s Rollout, Status> {
    let running = running_rollout(state, text)?;
    if let Some(rollout) = running {
        return Ok(rollout);
    }
    let app = app_filter(state, text)?;
    let newest = state.rollouts.values().rev().find(|rollout| app.is_none_or(|app| rollout.plan.app == *app));
    newest.map(Arc::as_ref).ok_or_else(|| {
        not_found(format!(
            "there is no rollout{} yet; start one with `relupctl plan` and `relupctl rollout start`",
            of(text)
        ))
    })
}

/// The rollout to act on: an ended one only where it is named by its id.
pub(crate) fn rollout_to_change<'s>(state: &'s ClusterState, text: &str) -> Result<&'s Rollout, Status> {
    running_rollout(state, text)?.ok_or_else(|| {
        not_found(format!("no rollout{} is on its way; see `relupctl rollout list`", of(text)))
    })
}

fn running_rollout<'s>(state: &'s ClusterState, text: &str) -> Result<Option<&'s Rollout>, Status> {
    if let Ok(id) = text.parse::<RolloutId>() {
        let named = state.rollouts.get(&id).map(Arc::as_ref);
        return named.map(Some).ok_or_else(|| not_found(Rejection::NoSuchRollout(id).to_string()));
    }
    let app = app_filter(state, text)?;
    let running: Vec<&Rollout> = state
        .rollouts
        .values()
        .filter(|rollout| !rollout.phase.is_terminal() && app.is_none_or(|app| rollout.plan.app == *app))
        .map(Arc::as_ref)
        .collect();
    match running[..] {
        [] => Ok(None),
        [rollout] => Ok(Some(rollout)),
        _ => {
            let ids: Vec<String> =
                running.iter().map(|rollout| format!("{} ({})", rollout.id, rollout.plan.app)).collect();
            Err(invalid(format!("several rollouts are on their way, say which: {}", ids.join(", "))))
        }
    }
}

fn app_filter<'s>(state: &'s ClusterState, text: &str) -> Result<Option<&'s AppName>, Status> {
    if text.is_empty() { Ok(None) } else { app(state, text).map(|app| Some(app.name())) }
}

fn of(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" of {text}") }
}

/// A quarantined manifest, by as many of its first digits as are unambiguous.
pub(crate) fn quarantined(state: &ClusterState, text: &str) -> Result<Digest, Status> {
    const FEWEST_DIGITS: usize = 4;
    let text = text.to_ascii_lowercase();
    if text.len() < FEWEST_DIGITS {
        return Err(invalid(format!("give at least {FEWEST_DIGITS} digits of the digest")));
    }
    let found: Vec<&Digest> =
        state.quarantine.keys().filter(|digest| digest.to_string().starts_with(&text)).collect();
    match found[..] {
        [digest] => Ok(*digest),
        [] => Err(not_found(format!("{text} is not quarantined; see `relupctl quarantine list`"))),
        _ => {
            Err(invalid(format!("{text} is the beginning of several quarantined digests; give more digits")))
        }
    }
}
