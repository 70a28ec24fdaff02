//! The daemon as the API sees it: outside a cluster until `init` or `join`, a member from then on.

use super::authority::Authority;
use super::backup::Backup;
use super::foresight;
use super::member::{Member, StartError};
use super::outside::Outside;
use super::recovery::{self, Situation, Wish};
use crate::api::control::{
    ControlError, ControlPlane, Liveness, MadeRelup, Member as Peer, NewToken, OperatorCredentials,
    RaftStatus,
};
use crate::clock::{monotonic, wall};
use crate::consensus::{ProposeError, ReadError};
use crate::identity::{
    JoinToken, OperatorName, Role, TokenSecret, api_server_name, certificate_digest, pem, random,
};
use crate::ids::{ClusterId, Digest, NodeId, RaftId, RolloutId, TokenId};
use crate::membership;
use crate::preflight::Answer;
use crate::rollout::step::step;
use crate::rollout::view::View;
use crate::rollout::waiting::Waiting;
use crate::state::ClusterState;
use crate::state::command::{Actor, Applied, Command};
use crate::state::node::OperatorRecord;
use crate::state::plan::Plan;
use crate::state::release::{ReleaseId, ReleaseRecord};
use crate::upgrade::{Order, Report};
use async_trait::async_trait;
use bytes::Bytes;
use jiff::SignedDuration;
use relupd_core::chain;
use relupd_release::diff::ReleaseDiff;
use relupd_release::{ApplicationName, Contents};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// Whoever wants to go on without a quorum has waited longer than this for one.
const QUORUM_PATIENCE: Duration = Duration::from_secs(3);

/// The daemon behind the API.
pub(crate) struct Control {
    outside: Outside,
    member: watch::Sender<Option<Arc<Member>>>,
    /// One `init` or `join` at a time.
    entering: Mutex<()>,
}

impl Control {
    pub(crate) fn new(outside: Outside, member: watch::Sender<Option<Arc<Member>>>) -> Self {
        Self { outside, member, entering: Mutex::new(()) }
    }

    fn member(&self) -> Result<Arc<Member>, ControlError> {
        self.member.borrow().clone().ok_or(ControlError::NotInitialized)
    }

    fn refuse_member(&self) -> Result<(), ControlError> {
        match &*self.member.borrow() {
            None => Ok(()),
            Some(member) => Err(ControlError::AlreadyMember(member.cluster.state().cluster)),
        }
    }
}

#[async_trait]
impl ControlPlane for Control {
    fn me(&self) -> NodeId {
        self.outside.candidate.node
    }

    fn name(&self) -> String {
        self.outside.candidate.name.clone()
    }

    fn state(&self) -> Option<Arc<ClusterState>> {
        self.member.borrow().as_ref().map(|member| member.cluster.state())
    }

    fn states(&self) -> Option<watch::Receiver<Arc<ClusterState>>> {
        self.member.borrow().as_ref().map(|member| member.cluster.states())
    }

    fn raft_status(&self) -> RaftStatus {
        let Ok(member) = self.member() else { return RaftStatus::default() };
        let (status, state) = (member.cluster.raft_status(), member.cluster.state());
        let nodes: BTreeMap<RaftId, NodeId> =
            state.nodes.values().map(|node| (node.raft_id, node.id)).collect();
        let named = |ids: &std::collections::BTreeSet<RaftId>| {
            ids.iter().filter_map(|id| nodes.get(id).copied()).collect()
        };
        RaftStatus {
            leader: status.leader.and_then(|leader| nodes.get(&leader).copied()),
            term: status.term,
            applied: status.applied,
            voters: named(&status.membership.voters),
            learners: named(&status.membership.learners),
        }
    }

    fn members(&self) -> Vec<Peer> {
        let Ok(member) = self.member() else { return Vec::new() };
        let view = member.gossip_view();
        view.members.iter().map(|(node, seen)| peer(*node, seen)).collect()
    }

    async fn read_barrier(&self) -> Result<(), ControlError> {
        self.member()?.cluster.read_barrier().await.map_err(unread)
    }

    async fn propose(&self, actor: Actor, command: Command) -> Result<Applied, ControlError> {
        let outcome = self.member()?.cluster.propose(actor, command).await.map_err(undecided)?;
        Ok(outcome?)
    }

    async fn preflight(&self, plan: &Plan) -> BTreeMap<NodeId, Answer> {
        let Ok(member) = self.member() else { return BTreeMap::new() };
        foresight::ask(&member, plan).await
    }

    /// The leader knows what it waits for. Anybody else reckons it from the state and from gossip,
    /// without knowing how long a node has been at it.
    async fn explain(&self, id: RolloutId) -> Result<Vec<Waiting>, ControlError> {
        let member = self.member()?;
        if let Some(waiting) = member.waits().get(&id) {
            return Ok(waiting.clone());
        }
        let state = member.cluster.state();
        let rollout = state.rollout(id)?;
        let silence = silence_by_gossip(&member.gossip_view());
        let stalled = BTreeMap::new();
        let view = View::new(&state, rollout, &silence, rollout.elapsed, &stalled)?;
        Ok(step(&view).waiting)
    }

    async fn init_cluster(&self, _actor: Actor) -> Result<ClusterId, ControlError> {
        let _one = self.entering.lock().await;
        self.refuse_member()?;
        let member = self.outside.init().await.map_err(not_started)?;
        let cluster = member.cluster.state().cluster;
        self.member.send_replace(Some(Arc::new(member)));
        Ok(cluster)
    }

    async fn join_cluster(&self, _actor: Actor, token: &str) -> Result<ClusterId, ControlError> {
        let _one = self.entering.lock().await;
        let token: JoinToken = token.parse().map_err(|error| ControlError::Invalid(format!("{error}")))?;
        self.refuse_member()?;
        let member = self.outside.join(&token).await.map_err(not_started)?;
        self.member.send_replace(Some(Arc::new(member)));
        Ok(token.cluster)
    }

    async fn recover(&self, actor: Actor, lost: &BTreeSet<NodeId>) -> Result<(), ControlError> {
        let _one = self.entering.lock().await;
        let member = self.member()?;
        let quorum = tokio::time::timeout(QUORUM_PATIENCE, member.cluster.read_barrier()).await;
        let view = member.gossip_view();
        let answers = |node: &NodeId| {
            view.members.get(node).is_some_and(|seen| matches!(seen.liveness, membership::Liveness::Alive))
        };
        recovery::check(&Situation {
            me: self.me(),
            state: &member.cluster.state(),
            voters: &member.cluster.raft_status().membership.voters,
            has_quorum: matches!(quorum, Ok(Ok(()))),
            answers: &answers,
            lost,
        })?;
        let wish = Wish { cluster: member.cluster.state().cluster, lost: lost.clone(), actor };
        recovery::ask(&self.outside.settings.state_dir, &wish)
            .map_err(|error| internal("keep what was asked for", error))?;
        tracing::warn!(?lost, "this node is to go on alone; the daemon starts again for it");
        self.outside.again.cancel();
        Ok(())
    }

    async fn backup(&self) -> Result<Bytes, ControlError> {
        let member = self.member()?;
        let state = member.cluster.state();
        let me = state.present(self.me())?;
        recovery::check_key(&state, me.id, &BTreeSet::new())?;
        let identity = self.outside.directory.text().map_err(|error| internal("read the identity", error))?;
        Ok(Backup::of(me.raft_id, identity, &state, wall()).to_bytes().into())
    }

    async fn restore(&self, actor: Actor, backup: &[u8]) -> Result<ClusterId, ControlError> {
        let _one = self.entering.lock().await;
        self.refuse_member()?;
        let directory = &self.outside.directory;
        let from = Backup::read(backup, &self.outside.settings.node_name, directory)
            .map_err(|error| ControlError::Invalid(chain(&error)))?;
        recovery::check_key(&from.state, from.identity.node, &BTreeSet::new())?;
        self.outside.restore(&from, actor).map_err(|error| internal("restore the backup", error))?;
        tracing::warn!(cluster = %from.identity.cluster, "restored from a backup; the daemon starts again");
        self.outside.again.cancel();
        Ok(from.identity.cluster)
    }

    async fn create_token(&self, actor: Actor, ttl: Duration) -> Result<NewToken, ControlError> {
        let member = self.member()?;
        let state = member.cluster.state();
        let lifetime =
            SignedDuration::try_from(ttl).map_err(|error| ControlError::Invalid(error.to_string()))?;
        let expires_at =
            wall().checked_add(lifetime).map_err(|error| ControlError::Invalid(error.to_string()))?;
        let certificate = Authority::certificate(&state).map_err(|error| internal("make a token", error))?;
        let signers = state.authority.sealed_keys.keys();
        let token = JoinToken {
            cluster: state.cluster,
            id: TokenId::from_parts(super::cluster::unix_ms(), u128::from_be_bytes(random())),
            secret: TokenSecret::from_bytes(random()),
            ca_digest: certificate_digest(&certificate),
            seeds: signers.filter_map(|node| state.nodes.get(node)).map(|node| node.address).collect(),
        };
        let record = token.record(expires_at, actor.to_string());
        self.propose(actor, Command::IssueToken { token: record }).await?;
        Ok(NewToken { text: token.to_text(), expires_at })
    }

    async fn add_operator(
        &self,
        actor: Actor,
        name: &str,
        role: Role,
        certificate_request: &[u8],
    ) -> Result<OperatorCredentials, ControlError> {
        let member = self.member()?;
        let state = member.cluster.state();
        let name: OperatorName = name.parse().map_err(|error| ControlError::Invalid(format!("{error}")))?;
        let issued = member
            .authority
            .sign_operator(&state, &name, role, certificate_request)
            .map_err(|error| ControlError::Unavailable(chain(&error)))?;
        let record =
            OperatorRecord { name: name.to_string(), role, certificate: issued.record, added_at: wall() };
        self.propose(actor, Command::AddOperator { operator: record.clone() }).await?;
        Ok(OperatorCredentials {
            record,
            certificate: pem::encode(&issued.der.into()),
            authority: state.authority.certificate.clone(),
            server_name: api_server_name(state.cluster),
        })
    }

    async fn missing_files(&self, manifest: &[u8]) -> Result<Vec<Digest>, ControlError> {
        self.member()?.releases.missing(manifest).await
    }

    async fn put_file(&self, digest: Digest, content: Bytes) -> Result<(), ControlError> {
        self.member()?.releases.put(digest, content).await
    }

    async fn contents(&self, release: &ReleaseId) -> Result<Contents, ControlError> {
        self.member()?.releases.contents(release).await
    }

    async fn diff(&self, from: &ReleaseId, to: &ReleaseId) -> Result<ReleaseDiff, ControlError> {
        self.member()?.releases.diff(from, to).await
    }

    async fn make_relup(
        &self,
        actor: Actor,
        from: &[ReleaseId],
        to: &ReleaseId,
        appups: BTreeMap<ApplicationName, Vec<u8>>,
    ) -> Result<MadeRelup<ReleaseId>, ControlError> {
        let member = self.member()?;
        let state = member.cluster.state();
        let present = state.release(&to.name, &to.version)?;
        let made = member.releases.make_relup(from, present, appups, &actor.to_string()).await?;
        match made {
            MadeRelup::Missing(missing) => Ok(MadeRelup::Missing(missing)),
            MadeRelup::Made(release) => {
                let id = release.id.clone();
                self.propose(actor, Command::RegisterRelease { release }).await?;
                Ok(MadeRelup::Made(id))
            }
        }
    }

    async fn upgrade_reports(
        &self,
        nodes: &[NodeId],
    ) -> Result<BTreeMap<NodeId, Result<Report, String>>, ControlError> {
        Ok(self.member()?.upgrade_reports(nodes).await)
    }

    async fn upgrade_node(&self, node: NodeId, order: Order) -> Result<(), ControlError> {
        self.member()?.upgrade_node(node, order).await
    }

    async fn hand_over(&self, node: NodeId) -> Result<(), ControlError> {
        self.member()?.hand_over(node).await
    }

    async fn commit_push(&self, actor: Actor, manifest: &[u8]) -> Result<ReleaseId, ControlError> {
        let record: ReleaseRecord = self.member()?.releases.seal(manifest, &actor.to_string()).await?;
        let id = record.id.clone();
        self.propose(actor, Command::RegisterRelease { release: record }).await?;
        Ok(id)
    }
}

fn peer(node: NodeId, seen: &membership::Member) -> Peer {
    let ago = |since: &crate::clock::Monotonic| {
        let ago = SignedDuration::try_from(monotonic().since(*since)).ok()?;
        wall().checked_sub(ago).ok()
    };
    let (liveness, since) = match &seen.liveness {
        membership::Liveness::Alive => (Liveness::Alive, None),
        membership::Liveness::Dead { since } => (Liveness::Dead, ago(since)),
        membership::Liveness::Unknown => (Liveness::Unknown, None),
    };
    Peer {
        node,
        liveness,
        since,
        daemon_version: seen.daemon_version.clone(),
        health: seen.apps.iter().map(|(app, gossip)| (app.clone(), gossip.healthy)).collect(),
    }
}

fn silence_by_gossip(view: &membership::View) -> BTreeMap<NodeId, Duration> {
    let now = monotonic();
    view.members
        .iter()
        .filter_map(|(node, member)| match &member.liveness {
            membership::Liveness::Alive => Some((*node, Duration::ZERO)),
            membership::Liveness::Dead { since } => Some((*node, now.since(*since))),
            membership::Liveness::Unknown => None,
        })
        .collect()
}

fn undecided(error: ProposeError) -> ControlError {
    let waited = |after| format!("no leader took it within {}", humantime::format_duration(after));
    match error {
        ProposeError::NoQuorum { after } => ControlError::NoQuorum(waited(after)),
        ProposeError::Unknown => ControlError::NoQuorum(
            "contact with the leader was lost, and it may or may not take effect".to_owned(),
        ),
        ProposeError::Refused { .. } | ProposeError::Stopped => ControlError::Unavailable(error.to_string()),
    }
}

fn unread(error: ReadError) -> ControlError {
    let waited = |after| format!("no leader confirmed it within {}", humantime::format_duration(after));
    match error {
        ReadError::NoQuorum { after } => ControlError::NoQuorum(waited(after)),
        ReadError::Stopped => ControlError::Unavailable(error.to_string()),
    }
}

fn not_started(error: StartError) -> ControlError {
    match error {
        StartError::Join(_) => ControlError::Invalid(chain(&error)),
        other => internal("start as a member", other),
    }
}

fn internal(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> ControlError {
    ControlError::Internal { what: what.to_owned(), source: Box::new(error) }
}
