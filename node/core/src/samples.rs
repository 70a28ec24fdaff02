//! A cluster's beginnings for tests, here and in the crates that use this one: nodes, a spec, releases.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use crate::format::Format;
use crate::ids::{AppName, BootNonce, ClusterId, Digest, NodeId, RaftId, ReleaseVersion, TokenId};
use crate::spec::{
    AlreadySick, AppSpec, DriverKind, HealthPolicy, MethodPolicy, OnFailure, Orphan, Permanent, Promote,
    ServiceKind, Unreachable, UpgradePolicy,
};
use crate::state::command::Admission;
use crate::state::node::Certificate;
use crate::state::release::{ReleaseId, ReleaseRecord};
use crate::state::token::TokenRecord;
use crate::state::{ClusterState, Genesis};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub mod rollouts;

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

/// A release in the catalog, with hot ways to these versions and back.
pub fn pushed(text: &str, hot: &[&str]) -> ReleaseRecord {
    let hot: BTreeSet<_> = hot.iter().map(|text| version(text)).collect();
    ReleaseRecord {
        id: release(text),
        erts: Some("13.1.5".to_owned()),
        applications: vec![],
        hot_up_from: hot.clone(),
        hot_down_to: hot,
        size: 1,
        files: 1,
        pushed_by: "test".to_owned(),
        pushed_at: Timestamp::UNIX_EPOCH,
        made_from: None,
    }
}

pub fn admission(number: u64) -> Admission {
    Admission {
        id: node(number),
        name: format!("n{number}"),
        address: format!("127.0.0.{number}:4000").parse().unwrap(),
        labels: BTreeMap::new(),
        key: Digest::of(b""),
        sealing_key: vec![],
        certificate: Certificate { serial: format!("{number:02x}"), not_after: Timestamp::MAX },
        daemon_version: "0.1.0".to_owned(),
        reads: Format::FIRST,
    }
}

pub fn token(number: u64) -> TokenRecord {
    TokenRecord {
        id: TokenId::from_parts(number, 7),
        secret_hash: Digest::of(b""),
        expires_at: Timestamp::MAX,
        created_by: "test".to_owned(),
        used_by: None,
    }
}

/// The first node alone, and nothing else.
pub fn genesis() -> ClusterState {
    ClusterState::new(Genesis {
        cluster: ClusterId::from_parts(1, 1),
        certificate: String::new(),
        sealed_key: vec![],
        first: admission(1).record(RaftId(1), Timestamp::UNIX_EPOCH),
    })
}

pub fn spec() -> AppSpec {
    AppSpec {
        name: app(),
        release: "shop".parse().unwrap(),
        placement: BTreeMap::new(),
        root: "/opt/shop".to_owned(),
        driver: DriverKind::Erlang,
        service: ServiceKind::Child,
        user: None,
        arguments: vec![],
        environment: BTreeMap::new(),
        stop_grace: Duration::from_secs(1),
        health: HealthPolicy {
            interval: Duration::from_secs(1),
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
            bake: Duration::from_secs(1),
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
