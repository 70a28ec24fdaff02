//! Specs, releases and nodes for tests, here and in the daemon.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use crate::ids::{AppName, BootNonce, Digest, NodeId, ReleaseVersion};
use crate::spec::{
    AlreadySick, AppSpec, DriverKind, HealthPolicy, MethodPolicy, OnFailure, Orphan, Permanent, Promote,
    ServiceKind, Unreachable, UpgradePolicy,
};
use crate::state::release::ReleaseId;
use std::collections::BTreeMap;
use std::time::Duration;

pub fn node(number: u64) -> NodeId {
    NodeId::from_parts(number, 0)
}

pub fn app() -> AppName {
    "shop".parse().unwrap()
}

pub fn version(text: &str) -> ReleaseVersion {
    text.parse().unwrap()
}

pub fn life(text: &str) -> BootNonce {
    BootNonce(text.to_owned())
}

pub fn release(text: &str) -> ReleaseId {
    ReleaseId { name: "shop".parse().unwrap(), version: version(text), manifest: Digest::of(text.as_bytes()) }
}

pub fn spec() -> AppSpec {
    AppSpec {
        name: app(),
        release: "shop".parse().unwrap(),
        placement: BTreeMap::new(),
        root: "/opt/shop".to_owned(),
        driver: DriverKind::Fake,
        service: ServiceKind::Child,
        user: None,
        arguments: vec![],
        environment: BTreeMap::new(),
        stop_grace: Duration::from_secs(1),
        health: HealthPolicy {
            interval: Duration::from_millis(5),
            healthy_after: 1,
            unhealthy_after: 1,
            start_grace: Duration::ZERO,
            checks: vec![],
        },
        upgrade: UpgradePolicy {
            method: MethodPolicy::Auto,
            canary: 0,
            promote: Promote::Auto,
            max_in_flight: 1,
            max_unavailable: 0,
            bake: Duration::from_millis(20),
            permanent: Permanent::AtEnd,
            on_failure: OnFailure::Revert,
            already_sick: AlreadySick::Refuse,
            unreachable: Unreachable::Refuse,
            progress_deadline: Duration::from_secs(60),
            rollout_deadline: Duration::from_secs(3600),
            revert_deadline: Duration::from_secs(600),
            orphan: Orphan::Hold,
            preflight: Box::default(),
            hot: Box::default(),
        },
    }
}
