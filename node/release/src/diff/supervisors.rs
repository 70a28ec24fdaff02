//! Which supervisors changed, and whether their children do. OTP takes a new specification over, and
//! starts or stops nobody for it.

use super::modules::Compared;
use crate::beam::Beam;
use crate::version::ApplicationName;
use std::collections::BTreeSet;

/// A supervisor whose module is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupervisorChange {
    /// Whose it is.
    pub application: ApplicationName,
    /// Its module.
    pub module: String,
    /// What becomes of its children.
    pub children: Children,
}

/// What can be told of a supervisor's children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Children {
    /// `init/1` is another; these ids are written out in one of them only. Both may be empty: then
    /// something else about the children changed.
    Change { added: BTreeSet<String>, removed: BTreeSet<String> },
    /// `init/1` is the same. What it calls may not be.
    SameInit,
    /// The modules carry no debug information, or are not written in Erlang.
    CannotBeTold,
}

pub(super) fn compare(modules: &[Compared]) -> Vec<SupervisorChange> {
    let change = |compared: &Compared| {
        let (from, to) = (compared.from.as_ref()?, compared.to.as_ref()?);
        (from.is_supervisor() || to.is_supervisor()).then(|| SupervisorChange {
            application: compared.change.application.clone(),
            module: compared.change.module.clone(),
            children: children(from, to),
        })
    };
    modules.iter().filter_map(change).collect()
}

fn children(from: &Beam, to: &Beam) -> Children {
    match (&from.init, &to.init) {
        (Some(from), Some(to)) if from.source == to.source => Children::SameInit,
        (Some(from), Some(to)) => Children::Change {
            added: to.children.difference(&from.children).cloned().collect(),
            removed: from.children.difference(&to.children).cloned().collect(),
        },
        (Some(_) | None, _) => Children::CannotBeTold,
    }
}
