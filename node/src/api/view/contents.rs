//! What is in a release.

use crate::state::ClusterState;
use crate::state::release::ReleaseRecord;
use relupd_proto::api::v1;
use relupd_release::Contents;
use relupd_release::contents::{Binary, BinaryKind};
use relupd_release::info::Configuration;
use relupd_release::relup::{Relup, Script};

pub(crate) fn description(
    state: &ClusterState,
    record: &ReleaseRecord,
    contents: &Contents,
) -> v1::ReleaseDescription {
    let info = &contents.info;
    let paths = |side: fn(&Relup) -> &[Script]| contents.relup.iter().flat_map(side).map(path).collect();
    v1::ReleaseDescription {
        release: Some(super::release::release(state, record)),
        otp: info.erts.otp().unwrap_or_default(),
        includes_erts: info.includes_erts,
        sasl: info.has_sasl,
        configuration: match info.configuration {
            Configuration::Ready => "ready",
            Configuration::Template => "template",
            Configuration::Absent => "absent",
        }
        .to_owned(),
        config_providers: contents.config_providers.clone(),
        up: paths(|relup| &relup.up),
        down: paths(|relup| &relup.down),
        binaries: contents.binaries.iter().map(binary).collect(),
    }
}

fn path(script: &Script) -> v1::UpgradePath {
    v1::UpgradePath {
        version: script.other.to_string(),
        restarts_emulator: script.restarts_emulator(),
        applies: script.applied_functions().into_iter().collect(),
        instructions: script.instructions.iter().map(ToString::to_string).collect(),
    }
}

fn binary(binary: &Binary) -> v1::Binary {
    let findings = binary.hardening().map(|hardening| hardening.findings());
    let hardening = findings.into_iter().flatten().map(|(name, found)| (name.to_owned(), found.to_string()));
    v1::Binary { path: binary.path.clone(), kind: kind(binary.kind).into(), hardening: hardening.collect() }
}

const fn kind(kind: BinaryKind) -> v1::BinaryKind {
    match kind {
        BinaryKind::Runtime => v1::BinaryKind::Runtime,
        BinaryKind::Nif => v1::BinaryKind::Nif,
        BinaryKind::SharedObject => v1::BinaryKind::SharedObject,
        BinaryKind::Program => v1::BinaryKind::Program,
    }
}
