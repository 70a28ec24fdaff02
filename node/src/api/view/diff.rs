//! What changes between two releases.

use super::optional;
use crate::ids::ReleaseName;
use relupd_proto::api::v1;
use relupd_release::diff::{
    ApplicationChange, Change, Children, KeyChange, ModuleChange, ReleaseDiff, SupervisorChange,
};

pub(crate) fn diff(name: &ReleaseName, diff: &ReleaseDiff) -> v1::ReleaseDiff {
    let script = diff.script.iter().flat_map(|script| &script.instructions);
    v1::ReleaseDiff {
        name: name.to_string(),
        from: diff.from.to_string(),
        to: diff.to.to_string(),
        erts_from: optional(diff.erts.as_ref().map(|(from, _)| from)),
        erts_to: optional(diff.erts.as_ref().map(|(_, to)| to)),
        applications: diff.applications.iter().map(application).collect(),
        modules: diff.modules.iter().map(module).collect(),
        configuration: diff.configuration.iter().map(key).collect(),
        supervisors: diff.supervisors.iter().map(supervisor).collect(),
        instructions: script.map(ToString::to_string).collect(),
        not_applied: diff.not_applied.clone(),
        evaluated: diff.evaluated.iter().copied().map(str::to_owned).collect(),
    }
}

const fn change(change: Change) -> v1::Change {
    match change {
        Change::Added => v1::Change::Added,
        Change::Removed => v1::Change::Removed,
        Change::Changed => v1::Change::Changed,
    }
}

fn application(one: &ApplicationChange) -> v1::ApplicationChange {
    v1::ApplicationChange {
        name: one.name.to_string(),
        change: change(one.change()).into(),
        from: optional(one.from.as_ref()),
        to: optional(one.to.as_ref()),
    }
}

fn module(one: &ModuleChange) -> v1::ModuleChange {
    v1::ModuleChange {
        application: one.application.to_string(),
        module: one.module.clone(),
        change: change(one.change).into(),
        relup: one.relup.clone(),
    }
}

fn key(one: &KeyChange) -> v1::ConfigurationChange {
    v1::ConfigurationChange {
        application: one.application.clone(),
        key: one.key.clone(),
        change: change(one.change).into(),
    }
}

fn supervisor(one: &SupervisorChange) -> v1::SupervisorChange {
    let (children, added, removed) = match &one.children {
        Children::Change { added, removed } => {
            ("changed", added.iter().cloned().collect(), removed.iter().cloned().collect())
        }
        Children::SameInit => ("same init/1", Vec::new(), Vec::new()),
        Children::CannotBeTold => ("cannot be told", Vec::new(), Vec::new()),
    };
    v1::SupervisorChange {
        application: one.application.to_string(),
        module: one.module.clone(),
        children: children.to_owned(),
        added,
        removed,
    }
}
