//! Releases, apps, and which nodes run them.

use super::{About, Context, DONE};
use crate::driver::{Observation, Running};
use crate::ids::{AppName, Digest, NodeId, ReleaseVersion};
use crate::spec::AppSpec;
use crate::state::app::{App, Instance};
use crate::state::command::Noted;
use crate::state::rejection::Rejection;
use crate::state::release::{ReleaseId, ReleaseRecord};
use crate::state::{ClusterState, Outcome};
use std::collections::BTreeMap;
use std::sync::Arc;

impl ClusterState {
    pub(super) fn register_release(&mut self, context: Context<'_>, release: &ReleaseRecord) -> Outcome {
        let id = &release.id;
        if let Ok(present) = self.release(&id.name, &id.version) {
            // What was pushed is there, too, where the cluster has since made a relup for it.
            if present.id.manifest == id.manifest || present.pushed_manifest() == id.manifest {
                return DONE;
            }
            if release.made_from.as_ref().is_some_and(|made| made.replaces == present.id.manifest) {
                let present = present.id.clone();
                return self.replace_release(context, &present, release);
            }
            return Err(Rejection::ReleaseDiffers {
                name: id.name.clone(),
                version: id.version.clone(),
                present: present.id.manifest,
                offered: id.manifest,
            });
        }
        Arc::make_mut(&mut self.releases)
            .entry(id.name.clone())
            .or_default()
            .insert(id.version.clone(), release.clone());
        self.note(context, About::CLUSTER, format!("release {id} pushed"));
        DONE
    }

    /// The one way in which a version's content may change: the cluster has made a relup for it, and all
    /// else is the same. Never under those who use it: what runs or is permanent somewhere stays what
    /// it is.
    fn replace_release(
        &mut self,
        context: Context<'_>,
        present: &ReleaseId,
        release: &ReleaseRecord,
    ) -> Outcome {
        let id = &release.id;
        self.refuse_quarantined(present)?;
        if let Some((app, node)) = self.user_of(present) {
            let version = id.version.clone();
            return Err(Rejection::ReleaseInUse { version, app, node });
        }
        Arc::make_mut(&mut self.releases)
            .entry(id.name.clone())
            .or_default()
            .insert(id.version.clone(), release.clone());
        // Plans that were made for the old content cannot be started any more.
        self.touch_basis_of_release(&id.name);
        self.note(context, About::CLUSTER, format!("release {id} has another relup"));
        DONE
    }

    /// An app that runs the release or is about to, and where.
    fn user_of(&self, release: &ReleaseId) -> Option<(AppName, Option<NodeId>)> {
        let mut apps = self.apps.values().filter(|app| app.spec.release == release.name);
        apps.find_map(|app| {
            let rolled = app.rollout.and_then(|id| self.rollouts.get(&id));
            let rolls = rolled.is_some_and(|rollout| {
                let from = rollout.plan.steps.iter().any(|step| step.from.as_ref() == Some(release));
                from || rollout.plan.to == *release || rollout.previous.as_ref() == Some(release)
            });
            let used = |instance: &Instance| {
                let observed = instance.observed.as_ref();
                instance.settled.as_ref() == Some(release)
                    || instance.assignment.as_ref().is_some_and(|order| order.to == *release)
                    || observed.is_some_and(|observed| {
                        let (permanent, running) = stands_on(observed);
                        permanent == Some(&release.version) || running == Some(&release.version)
                    })
            };
            let node = app.instances.iter().find(|(_, instance)| used(instance)).map(|(node, _)| *node);
            let is_user = rolls || app.current.as_ref() == Some(release) || node.is_some();
            is_user.then(|| (app.name().clone(), node))
        })
    }

    pub(super) fn apply_app(&mut self, context: Context<'_>, spec: &AppSpec) -> Outcome {
        let name = &spec.name;
        if !self.present_nodes().any(|node| node.carries(&spec.placement)) {
            let labels = spec.placement.iter().map(|(key, value)| format!("{key}={value}"));
            return Err(Rejection::NobodyMatches {
                app: name.clone(),
                labels: labels.collect::<Vec<_>>().join(", "),
            });
        }
        match self.apps.get_mut(name) {
            None => {
                self.apps.insert(name.clone(), new_app(spec));
                self.note(context, About::app(name), format!("app {name} created"));
            }
            Some(app) if app.spec == *spec => return DONE,
            Some(app) => {
                refuse_conflicts(app, spec)?;
                app.spec = spec.clone();
                app.basis += 1;
                self.note(context, About::app(name), format!("spec of app {name} changed"));
            }
        }
        self.place_apps();
        DONE
    }

    pub(super) fn set_running(&mut self, context: Context<'_>, name: &AppName, running: bool) -> Outcome {
        let app = self.app(name)?;
        if let Some(rollout) = app.rollout {
            return Err(Rejection::RolloutRunning { app: name.clone(), rollout });
        }
        if let Some(app) = self.apps.get_mut(name) {
            app.running = running;
            app.basis += 1;
        }
        let what = if running { "start" } else { "stop" };
        self.note(context, About::app(name), format!("app {name}: {what} ordered"));
        DONE
    }

    pub(super) fn lift_quarantine(&mut self, context: Context<'_>, digest: Digest) -> Outcome {
        let Some(lifted) = self.quarantine.remove(&digest) else {
            return Err(Rejection::NotQuarantined(digest));
        };
        self.touch_basis_of_release(&lifted.name);
        let text = format!("quarantine of {} {} ({}) lifted", lifted.name, lifted.version, digest.short());
        self.note(context, About::CLUSTER, text);
        DONE
    }

    pub(super) fn repair_node(
        &mut self,
        context: Context<'_>,
        node: NodeId,
        app: Option<&AppName>,
    ) -> Outcome {
        self.present(node)?;
        if let Some(name) = app {
            self.app(name)?;
        }
        let chosen = |name: &AppName| app.is_none_or(|only| only == name);
        for (_, each) in self.apps.iter_mut().filter(|(name, _)| chosen(name)) {
            if let Some(instance) = each.instances.get_mut(&node).map(Arc::make_mut) {
                instance.repair += 1;
                instance.catch_up_failed = None;
            }
        }
        self.note(context, About { app, node: Some(node), rollout: None }, "repair ordered".to_owned());
        DONE
    }

    /// Takes note of what a node found. A plan rests on the versions it names, unless they are those
    /// that a rollout on its way is about to change anyhow.
    pub(super) fn observe(
        &mut self,
        node: NodeId,
        name: &AppName,
        observation: &Observation,
        healthy: Option<bool>,
        noted: Option<&Noted>,
    ) -> Outcome {
        let app = self.apps.get_mut(name).ok_or_else(|| Rejection::NoSuchApp(name.clone()))?;
        let idle = app.rollout.is_none();
        let instance = app.instances.get_mut(&node).map(Arc::make_mut).ok_or(Rejection::NoSuchNode(node))?;
        let settled = instance.settled.as_ref().map(|release| &release.version);
        let known = instance.observed.as_ref().map(stands_on);
        let now = stands_on(observation);
        let moved = known != Some(now) && now != (settled, settled);
        instance.observed = Some(observation.clone());
        instance.healthy = healthy;
        if moved && idle {
            app.basis += 1;
        }
        if let Some(Noted { rollout, notes }) = noted
            && let Some(rollout) = self.rollouts.get_mut(rollout).map(Arc::make_mut)
            && let Some(progress) = rollout.nodes.get_mut(&node).map(Arc::make_mut)
        {
            progress.notes = notes.clone();
        }
        DONE
    }

    /// Brings every app's instances in line with the nodes that match it. An instance on a node that
    /// no longer matches stays while something is installed there: taking it away is a decision for
    /// people.
    pub(super) fn place_apps(&mut self) {
        let nodes: Vec<_> = self.nodes.values().cloned().collect();
        let at_work: BTreeMap<AppName, Vec<NodeId>> = self
            .rollouts
            .values()
            .filter(|rollout| !rollout.phase.is_terminal())
            .map(|rollout| (rollout.plan.app.clone(), rollout.nodes.keys().copied().collect()))
            .collect();
        for app in self.apps.values_mut() {
            // A node that takes part in a rollout keeps its place until that has ended.
            let takes_part =
                |node: &NodeId| at_work.get(&app.spec.name).is_some_and(|nodes| nodes.contains(node));
            let before: Vec<NodeId> = app.instances.keys().copied().collect();
            for node in &nodes {
                if node.is_present() && node.carries(&app.spec.placement) {
                    app.instances.entry(node.id).or_default();
                } else if !node.is_present()
                    || (!takes_part(&node.id)
                        && app.instances.get(&node.id).is_some_and(|instance| instance.is_empty()))
                {
                    app.instances.remove(&node.id);
                }
            }
            if !app.instances.keys().copied().eq(before) {
                app.basis += 1;
            }
        }
    }

    pub(super) fn touch_basis_of_release(&mut self, release: &crate::ids::ReleaseName) {
        for app in self.apps.values_mut().filter(|app| app.spec.release == *release) {
            app.basis += 1;
        }
    }
}

/// What a plan rests on: what a node would boot into, and what it runs.
fn stands_on(observation: &Observation) -> (Option<&ReleaseVersion>, Option<&ReleaseVersion>) {
    let permanent = observation.permanent.as_ref();
    match &observation.running {
        Running::Up { version, .. } => (permanent, Some(version)),
        Running::Down | Running::Unknown { .. } => (permanent, permanent),
    }
}

fn new_app(spec: &AppSpec) -> App {
    App {
        spec: spec.clone(),
        basis: 1,
        current: None,
        running: true,
        rollout: None,
        instances: BTreeMap::new(),
    }
}

/// What would strand running instances if it changed under them.
fn refuse_conflicts(app: &App, spec: &AppSpec) -> Result<(), Rejection> {
    let settled = app.instances.values().any(|instance| instance.settled.is_some());
    let conflict = |field: &str, when: &str| Rejection::SpecConflict {
        app: spec.name.clone(),
        field: field.to_owned(),
        when: when.to_owned(),
    };
    if let Some(rollout) = app.rollout {
        return Err(Rejection::RolloutRunning { app: spec.name.clone(), rollout });
    }
    let installed = "while instances of it are installed";
    if settled && app.spec.root != spec.root {
        return Err(conflict("root", installed));
    }
    if settled && app.spec.release != spec.release {
        return Err(conflict("release", installed));
    }
    if settled && app.spec.driver != spec.driver {
        return Err(conflict("driver", installed));
    }
    Ok(())
}
