//! How a simulation begins: a cluster that has agreed on its nodes, apps and releases, every app settled
//! on its first release, and every host running it.

use crate::daemon::Setting;
use crate::disk::SimulatedDisk;
use crate::host::{Catalog, ReleaseOdds};
use crate::machine::Readings;
use crate::random::Random;
use crate::traps::Trap;
use bytes::Bytes;
use jiff::Timestamp;
use raft::eraftpb::{ConfState, HardState, Snapshot};
use relupd::consensus::voters::VoterSettings;
use relupd::consensus::{Batch, Disk as _, Options, Owner, StorageError, Truncated};
use relupd::driver::{Condition, Observation, Running};
use relupd::format::Format;
use relupd::identity::{PeerIdentity, Serial};
use relupd::ids::{
    AppName, ClusterId, CommandId, Digest, NodeId, RaftId, ReleaseName, ReleaseVersion, TokenId,
};
use relupd::spec::*;
use relupd::state::app::Instance;
use relupd::state::command::{Actor, Admission, Command, Entry};
use relupd::state::node::Certificate;
use relupd::state::release::{ReleaseId, ReleaseRecord};
use relupd::state::token::TokenRecord;
use relupd::state::{ClusterState, Genesis};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// The versions of every app, oldest first; the first one runs everywhere at the beginning.
pub const VERSIONS: [&str; 4] = ["1.0.0", "2.0.0", "3.0.0", "4.0.0"];

/// What kind of cluster it is.
#[derive(Clone, Debug)]
pub struct Shape {
    pub hosts: usize,
    pub voters: usize,
    pub apps: Vec<AppSpec>,
    pub odds: ReleaseOdds,
    pub options: Options,
    /// Replicas share one line of states instead of each applying every entry for itself.
    pub shares_states: bool,
}

impl Shape {
    /// Five hosts, one or two apps whose policies differ from seed to seed.
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed, "shape");
        let mut apps = vec![spec("shop", &mut random)];
        if random.chance(500) {
            apps.push(spec("cart", &mut random));
        }
        if let Some(trap) = Trap::of(seed) {
            apps.iter_mut().for_each(|app| trap.bend(app));
        }
        Self {
            hosts: 5,
            voters: if random.chance(700) { 5 } else { 3 },
            apps,
            odds: ReleaseOdds { flawed: 450, on_one_host: 500 },
            options: options(),
            shares_states: false,
        }
    }
}

/// Raft ticks slower than on a host, so that a simulated hour is mostly rollouts and not heartbeats.
pub fn options() -> Options {
    Options {
        // Hosts tick one after the other, so that a tick this long keeps their elections apart.
        tick: Duration::from_millis(500),
        election_ticks: 5,
        heartbeat_ticks: 2,
        snapshot_every: 64,
        keep_entries: 16,
        snapshot_retry: Duration::from_secs(5),
        ..Options::default()
    }
}

pub fn setting(seed: u64, shape: &Shape) -> Setting {
    Setting {
        cluster: cluster(),
        options: shape.options.clone(),
        voters: VoterSettings { replace_after: Duration::from_secs(60), max_voters: shape.voters },
        seed,
        shared: None,
        readings: Readings::default(),
    }
}

fn pick<T: Clone>(random: &mut Random, of: &[T]) -> T {
    random.pick(of).cloned().expect("nothing is picked from nothing here")
}

/// An app with a policy of its own.
pub fn spec(name: &str, random: &mut Random) -> AppSpec {
    let seconds = Duration::from_secs;
    AppSpec {
        name: name.parse().expect("an app name"),
        release: name.parse().expect("a release name"),
        placement: BTreeMap::new(),
        root: format!("/opt/{name}"),
        driver: DriverKind::Erlang,
        service: ServiceKind::Child,
        user: None,
        arguments: vec![],
        environment: BTreeMap::new(),
        stop_grace: seconds(10),
        health: HealthPolicy {
            interval: seconds(pick(random, &[2, 5])),
            healthy_after: pick(random, &[1, 2]),
            unhealthy_after: pick(random, &[2, 3]),
            start_grace: seconds(pick(random, &[0, 10])),
            checks: vec![HealthCheck {
                name: "http".to_owned(),
                timeout: seconds(1),
                probe: Probe::Tcp { address: "127.0.0.1:1".to_owned() },
            }],
        },
        upgrade: UpgradePolicy {
            method: pick(
                random,
                &[MethodPolicy::Auto, MethodPolicy::Auto, MethodPolicy::Hot, MethodPolicy::Restart],
            ),
            canary: pick(random, &[0, 1, 1, 2]),
            promote: pick(random, &[Promote::Auto, Promote::Auto, Promote::Manual]),
            max_in_flight: pick(random, &[1, 1, 2]),
            max_unavailable: pick(random, &[0, 1, 2]),
            bake: seconds(pick(random, &[3, 8, 15])),
            permanent: pick(random, &[Permanent::AtEnd, Permanent::AtEnd, Permanent::PerNode]),
            on_failure: pick(
                random,
                &[OnFailure::Revert, OnFailure::Revert, OnFailure::Revert, OnFailure::Hold],
            ),
            already_sick: pick(random, &[AlreadySick::Refuse, AlreadySick::Skip, AlreadySick::Count]),
            unreachable: pick(random, &[Unreachable::Refuse, Unreachable::Skip]),
            progress_deadline: seconds(pick(random, &[30, 60, 90])),
            rollout_deadline: seconds(pick(random, &[60, 240, 240, 600, 600])),
            revert_deadline: seconds(pick(random, &[60, 120])),
            hot: Box::default(),
            preflight: Box::new(PreflightPolicy {
                checks: pick(random, &[None, None, Some("P3"), Some("P9")])
                    .map(|key: &str| (key.to_owned(), CheckPolicy::Warn))
                    .into_iter()
                    .collect(),
                ..PreflightPolicy::default()
            }),
            orphan: pick(
                random,
                &[
                    Orphan::Hold,
                    Orphan::Revert { after: seconds(15), stagger: seconds(5) },
                    Orphan::Revert { after: seconds(45), stagger: seconds(10) },
                ],
            ),
        },
    }
}

pub fn node_id(place: usize) -> NodeId {
    NodeId::from_parts(1000 + place as u64, place as u128)
}

pub fn version(text: &str) -> ReleaseVersion {
    text.parse().expect("a version")
}

pub fn manifest(app: &AppName, version: &ReleaseVersion) -> Digest {
    Digest::of(format!("{app} {version}").as_bytes())
}

fn release_of(app: &AppSpec, version: &ReleaseVersion) -> ReleaseId {
    ReleaseId { name: app.release.clone(), version: version.clone(), manifest: manifest(&app.name, version) }
}

/// How the releases of an app behave.
pub fn catalog(seed: u64, app: &AppName, shape: &Shape) -> Catalog {
    let versions: Vec<_> = VERSIONS.iter().map(|text| version(text)).collect();
    let mut random = Random::new(seed, &format!("releases of {app}"));
    Catalog::draw(&mut random, &versions, shape.hosts, &shape.odds)
}

pub fn admission(place: usize) -> Admission {
    Admission {
        id: node_id(place),
        name: format!("n{:04}", place + 1),
        address: address(place),
        labels: BTreeMap::new(),
        key: Digest::of(&place.to_be_bytes()),
        sealing_key: vec![],
        certificate: Certificate { serial: serial(place).to_string(), not_after: Timestamp::MAX },
        daemon_version: "0.1.0".to_owned(),
        reads: Format::FIRST,
    }
}

/// Where its daemon listens.
pub fn address(place: usize) -> SocketAddr {
    format!("10.0.{}.{}:4000", place / 250, place % 250 + 1).parse().expect("an address")
}

fn serial(place: usize) -> Serial {
    Serial::from_random((place as u128 + 1).to_be_bytes())
}

/// What its certificate says.
pub fn identity(place: usize) -> PeerIdentity {
    PeerIdentity::Node { cluster: cluster(), node: node_id(place), serial: serial(place) }
}

fn cluster() -> ClusterId {
    ClusterId::from_parts(1, 1)
}

pub fn token(place: usize) -> TokenRecord {
    TokenRecord {
        id: TokenId::from_parts(1, place as u128),
        secret_hash: Digest::of(b"secret"),
        expires_at: Timestamp::MAX,
        created_by: "operator".to_owned(),
        used_by: None,
    }
}

/// The state that everybody begins with.
pub fn state(shape: &Shape) -> ClusterState {
    let mut state = ClusterState::new(Genesis {
        cluster: cluster(),
        certificate: String::new(),
        sealed_key: vec![],
        first: admission(0).record(RaftId(1), Timestamp::UNIX_EPOCH),
    });
    let mut number = 0;
    let mut apply = |state: &mut ClusterState, command| {
        number += 1;
        let id = CommandId::from_parts(0, number);
        let entry =
            Entry { id, actor: Actor::Operator("genesis".to_owned()), at: Timestamp::UNIX_EPOCH, command };
        state.apply(&entry).expect("the beginning is lawful");
    };
    for place in 1..shape.hosts {
        let token = token(place);
        apply(&mut state, Command::IssueToken { token: token.clone() });
        apply(&mut state, Command::AdmitNode { token: token.id, node: admission(place) });
    }
    for app in &shape.apps {
        for text in VERSIONS {
            apply(&mut state, Command::RegisterRelease { release: record(app, &version(text)) });
        }
        apply(&mut state, Command::ApplyApp { spec: app.clone() });
    }
    for app in &shape.apps {
        settle(&mut state, app, shape.hosts);
    }
    state
}

pub fn record(app: &AppSpec, of: &ReleaseVersion) -> ReleaseRecord {
    let others: BTreeSet<ReleaseVersion> = VERSIONS.iter().map(|text| version(text)).collect();
    ReleaseRecord {
        id: release_of(app, of),
        erts: Some("15.0".to_owned()),
        applications: vec![],
        hot_up_from: others.clone(),
        hot_down_to: others,
        size: 1,
        files: 1,
        pushed_by: "genesis".to_owned(),
        pushed_at: Timestamp::UNIX_EPOCH,
        made_from: None,
    }
}

/// As if a first rollout had brought the app everywhere long ago.
fn settle(state: &mut ClusterState, spec: &AppSpec, hosts: usize) {
    let release = release_of(spec, &version(VERSIONS[0]));
    let Some(app) = state.apps.get_mut(&spec.name) else { return };
    app.current = Some(release.clone());
    for place in 0..hosts {
        let instance = Instance {
            settled: Some(release.clone()),
            observed: Some(Observation {
                permanent: Some(release.version.clone()),
                running: Running::Down,
                condition: Condition::Stopped,
            }),
            ..Instance::default()
        };
        app.instances.insert(node_id(place), instance.into());
    }
}

pub fn release_name(app: &AppName) -> ReleaseName {
    app.as_str().parse().expect("app and release have the same name here")
}

/// The state file of a member that is there from the beginning.
///
/// # Errors
/// Where the disk is broken, which a new one is not.
pub fn format(
    disk: &SimulatedDisk,
    setting: &Setting,
    place: usize,
    shape: &Shape,
    state: Bytes,
) -> Result<(), StorageError> {
    let ids = |range: std::ops::Range<usize>| range.map(|place| place as u64 + 1).collect::<Vec<_>>();
    let voters = shape.voters.min(shape.hosts);
    let mut snapshot = Snapshot::default();
    snapshot.set_data(state);
    let meta = snapshot.mut_metadata();
    (meta.index, meta.term) = (1, 1);
    meta.set_conf_state(ConfState::from((ids(0..voters), ids(voters..shape.hosts))));
    let hard_state = HardState { term: 1, commit: 1, ..HardState::default() };
    let raft = RaftId(place as u64 + 1);
    disk.clone().commit(&Batch {
        marker: Some(Owner { cluster: setting.cluster, node: node_id(place), raft }),
        snapshot: Some(&snapshot),
        hard_state: Some(&hard_state),
        truncate: Some(Truncated { index: 1, term: 1 }),
        ..Batch::default()
    })
}
