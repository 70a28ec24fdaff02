//! Releases and quarantines.

use super::{optional, time};
use crate::api::control::MissingAppup;
use crate::ids::Digest;
use crate::state::release::ReleaseRecord;
use crate::state::{ClusterState, Quarantine};
use relupd_proto::api::v1;
use std::collections::BTreeSet;

pub(crate) fn release(state: &ClusterState, record: &ReleaseRecord) -> v1::Release {
    let quarantine = state.quarantine.get(&record.id.manifest);
    v1::Release {
        name: record.id.name.to_string(),
        version: record.id.version.to_string(),
        manifest: record.id.manifest.to_string(),
        erts: optional(record.erts.as_ref()),
        applications: record.applications.clone(),
        hot_up_from: texts(&record.hot_up_from),
        hot_down_to: texts(&record.hot_down_to),
        size: record.size,
        files: record.files,
        pushed_by: record.pushed_by.clone(),
        pushed_at: Some(time(record.pushed_at)),
        relup_made_for: record.made_from.iter().flat_map(|made| texts(&made.versions)).collect(),
        pushed_manifest: optional(record.made_from.as_ref().map(|made| &made.pushed)),
        quarantined: quarantine.map(|quarantine| quarantine.reason.clone()).unwrap_or_default(),
    }
}

pub(crate) fn missing_appup(missing: MissingAppup) -> v1::MissingAppup {
    v1::MissingAppup {
        application: missing.application.to_string(),
        from: missing.from.to_string(),
        to: missing.to.to_string(),
        template: missing.template,
    }
}

pub(crate) fn quarantine(digest: &Digest, quarantine: &Quarantine) -> v1::Quarantine {
    v1::Quarantine {
        digest: digest.to_string(),
        name: quarantine.name.to_string(),
        version: quarantine.version.to_string(),
        rollout: quarantine.rollout.to_string(),
        reason: quarantine.reason.clone(),
        since: Some(time(quarantine.since)),
    }
}

pub(crate) fn quarantines(state: &ClusterState) -> Vec<v1::Quarantine> {
    state.quarantine.iter().map(|(digest, found)| quarantine(digest, found)).collect()
}

fn texts<T: ToString>(set: &BTreeSet<T>) -> Vec<String> {
    set.iter().map(ToString::to_string).collect()
}
