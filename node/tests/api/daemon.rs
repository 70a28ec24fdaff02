//! A daemon without raft, gossip or disk.

use crate::world::World;
use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use relupd::api::control::{
    ControlError, ControlPlane, Liveness, MadeRelup, Member, NewToken, OperatorCredentials, RaftStatus,
};
use relupd::api::{bind_unix, serve_unix};
use relupd::driver::{CheckResult, Foreseen, Outlook};
use relupd::identity::Role;
use relupd::ids::{ClusterId, CommandId, Digest, NodeId, RolloutId};
use relupd::preflight::Answer;
use relupd::rollout::waiting::Waiting;
use relupd::state::ClusterState;
use relupd::state::command::{Actor, Applied, Command, Entry};
use relupd::state::plan::{Plan, PlanStep};
use relupd::state::release::ReleaseId;
use relupd::upgrade::{Order, Report};
use relupd_release::diff::ReleaseDiff;
use relupd_release::{ApplicationName, Contents};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What stands behind the API.
pub(crate) struct FakeDaemon {
    pub(crate) world: Mutex<World>,
    pub(crate) states: watch::Sender<Arc<ClusterState>>,
    pub(crate) in_cluster: AtomicBool,
    pub(crate) quorum: AtomicBool,
    pub(crate) disk_full: AtomicBool,
    pub(crate) blobs: Mutex<BTreeMap<Digest, Bytes>>,
    /// The files of the one manifest that it knows, and what becomes of it.
    pub(crate) manifest: Vec<Digest>,
    commands: AtomicU64,
}

impl FakeDaemon {
    pub(crate) fn new(world: World) -> Arc<Self> {
        let states = watch::Sender::new(Arc::new(world.state.clone()));
        Arc::new(Self {
            world: Mutex::new(world),
            states,
            in_cluster: AtomicBool::new(true),
            quorum: AtomicBool::new(true),
            disk_full: AtomicBool::new(false),
            blobs: Mutex::default(),
            manifest: vec![Digest::of(b"one"), Digest::of(b"two")],
            commands: AtomicU64::new(0),
        })
    }

    /// Lets reconciler and agents do what is due, one change at a time.
    pub(crate) async fn run(&self, rollout: RolloutId) {
        let mut world = self.world.lock().await;
        while world.turn(rollout) {
            self.states.send_replace(Arc::new(world.state.clone()));
        }
    }

    fn decidable(&self) -> Result<(), ControlError> {
        if self.quorum.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(ControlError::NoQuorum("1 of 3 voters answers".to_owned()))
        }
    }
}

#[async_trait]
impl ControlPlane for FakeDaemon {
    fn me(&self) -> NodeId {
        crate::world::node(1)
    }

    fn name(&self) -> String {
        "n1".to_owned()
    }

    fn state(&self) -> Option<Arc<ClusterState>> {
        self.in_cluster.load(Ordering::Relaxed).then(|| self.states.borrow().clone())
    }

    fn states(&self) -> Option<watch::Receiver<Arc<ClusterState>>> {
        self.in_cluster.load(Ordering::Relaxed).then(|| self.states.subscribe())
    }

    fn raft_status(&self) -> RaftStatus {
        let nodes: Vec<NodeId> = self.states.borrow().present_nodes().map(|node| node.id).collect();
        let (voters, learners) = nodes.split_at(if nodes.len() < 3 { 1 } else { nodes.len() });
        RaftStatus {
            leader: Some(self.me()),
            term: 2,
            applied: self.commands.load(Ordering::Relaxed),
            voters: voters.to_vec(),
            learners: learners.to_vec(),
        }
    }

    fn members(&self) -> Vec<Member> {
        let member = |node| Member {
            node,
            liveness: Liveness::Alive,
            since: None,
            daemon_version: Some("0.1.0".to_owned()),
            health: Vec::new(),
        };
        self.states.borrow().present_nodes().map(|node| member(node.id)).collect()
    }

    async fn read_barrier(&self) -> Result<(), ControlError> {
        self.decidable()
    }

    async fn propose(&self, actor: Actor, command: Command) -> Result<Applied, ControlError> {
        self.decidable()?;
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        let id = CommandId::from_parts(1, number.into());
        let mut world = self.world.lock().await;
        let outcome = world.state.apply(&Entry { id, actor, at: Timestamp::UNIX_EPOCH, command });
        self.states.send_replace(Arc::new(world.state.clone()));
        Ok(outcome?)
    }

    /// The first node would go; the others are not there.
    async fn preflight(&self, plan: &Plan) -> BTreeMap<NodeId, Answer> {
        let known = Foreseen { name: "P8 space".to_owned(), outlook: Outlook::Known(CheckResult::Passed) };
        let unknown = Outlook::Unknown { reason: "not known until prepared".to_owned() };
        let found = vec![known, Foreseen { name: "P1 placed".to_owned(), outlook: unknown }];
        let answer = |(position, step): (usize, &PlanStep)| {
            let silent = Err("did not answer: it is away".to_owned());
            (step.node, if position == 0 { Ok(found.clone()) } else { silent })
        };
        plan.steps.iter().enumerate().map(answer).collect()
    }

    async fn explain(&self, rollout: RolloutId) -> Result<Vec<Waiting>, ControlError> {
        Ok(self.world.lock().await.look(rollout).waiting)
    }

    async fn init_cluster(&self, _: Actor) -> Result<ClusterId, ControlError> {
        self.in_cluster.store(true, Ordering::Relaxed);
        Ok(self.states.borrow().cluster)
    }

    async fn join_cluster(&self, actor: Actor, token: &str) -> Result<ClusterId, ControlError> {
        if token != "good" {
            return Err(ControlError::Invalid("this is not a join token".to_owned()));
        }
        self.init_cluster(actor).await
    }

    async fn recover(&self, _actor: Actor, _lost: &BTreeSet<NodeId>) -> Result<(), ControlError> {
        Ok(())
    }

    async fn backup(&self) -> Result<Bytes, ControlError> {
        Ok(Bytes::from_static(b"a secret"))
    }

    async fn restore(&self, _actor: Actor, _backup: &[u8]) -> Result<ClusterId, ControlError> {
        Err(ControlError::Invalid("this is no backup".to_owned()))
    }

    async fn create_token(&self, _: Actor, ttl: Duration) -> Result<NewToken, ControlError> {
        let expires_at = Timestamp::UNIX_EPOCH + jiff::SignedDuration::try_from(ttl).unwrap();
        Ok(NewToken { text: "good".to_owned(), expires_at })
    }

    async fn add_operator(
        &self,
        _: Actor,
        _: &str,
        _: Role,
        _: &[u8],
    ) -> Result<OperatorCredentials, ControlError> {
        Err(ControlError::Unavailable("there is no authority here".to_owned()))
    }

    async fn contents(&self, _: &ReleaseId) -> Result<Contents, ControlError> {
        Err(ControlError::Unavailable("no files are kept here".to_owned()))
    }

    async fn diff(&self, _: &ReleaseId, _: &ReleaseId) -> Result<ReleaseDiff, ControlError> {
        Err(ControlError::Unavailable("no files are kept here".to_owned()))
    }

    async fn make_relup(
        &self,
        _: Actor,
        _: &[ReleaseId],
        _: &ReleaseId,
        _: BTreeMap<ApplicationName, Vec<u8>>,
    ) -> Result<MadeRelup<ReleaseId>, ControlError> {
        Err(ControlError::Unavailable("no files are kept here".to_owned()))
    }

    async fn missing_files(&self, _: &[u8]) -> Result<Vec<Digest>, ControlError> {
        let blobs = self.blobs.lock().await;
        Ok(self.manifest.iter().filter(|digest| !blobs.contains_key(digest)).copied().collect())
    }

    async fn put_file(&self, digest: Digest, content: Bytes) -> Result<(), ControlError> {
        if self.disk_full.load(Ordering::Relaxed) {
            return Err(ControlError::DiskFull { path: "/var/lib/relupd/store".to_owned() });
        }
        if Digest::of(&content) != digest {
            return Err(ControlError::Invalid(format!("the content of {digest} is something else")));
        }
        self.blobs.lock().await.insert(digest, content);
        Ok(())
    }

    async fn upgrade_reports(
        &self,
        nodes: &[NodeId],
    ) -> Result<BTreeMap<NodeId, Result<Report, String>>, ControlError> {
        let silent = |node| (node, Err("no answer within 5s".to_owned()));
        Ok(nodes.iter().copied().map(silent).collect())
    }

    async fn upgrade_node(&self, _: NodeId, _: Order) -> Result<(), ControlError> {
        Err(ControlError::Unavailable("there is no installer here".to_owned()))
    }

    async fn hand_over(&self, _: NodeId) -> Result<(), ControlError> {
        Ok(())
    }

    async fn commit_push(&self, _: Actor, manifest: &[u8]) -> Result<ReleaseId, ControlError> {
        let missing = self.missing_files(manifest).await?;
        if missing.is_empty() {
            Ok(crate::world::release("0.2.0"))
        } else {
            Err(ControlError::Invalid(format!("{} files are missing; push again", missing.len())))
        }
    }
}

/// The daemon behind a socket of its own; it stops when this goes.
pub(crate) struct Served {
    pub(crate) daemon: Arc<FakeDaemon>,
    pub(crate) socket: PathBuf,
    _stop: DropGuard,
    _directory: TempDir,
}

impl Served {
    pub(crate) fn start(world: World) -> Self {
        let directory = TempDir::new().unwrap();
        let socket = directory.path().join("relupd.sock");
        let listener = bind_unix(&socket).unwrap();
        let daemon = FakeDaemon::new(world);
        let stop = CancellationToken::new();
        tokio::spawn(serve_unix(listener, daemon.clone(), stop.clone()));
        Self { daemon, socket, _stop: stop.drop_guard(), _directory: directory }
    }
}
