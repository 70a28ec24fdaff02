//! A node in its cluster: builds each service, hands out handles, and takes them down in order.

use super::addresses::Addresses;
use super::admission::Door;
use super::agent_context::Host;
use super::authority::{Authority, IssueError};
use super::cluster::Cluster;
use super::contact::Contact;
use super::foresight::{Foresight, OpenDrivers};
use super::outside::Outside;
use super::releases::Releases;
use super::replicated::Replicated;
use super::upkeep::Upkeep;
use crate::agent;
use crate::clock::wall;
use crate::config::Settings;
use crate::consensus::quic::QuicNetwork;
use crate::consensus::voter_keeper::keep_voters;
use crate::consensus::voters::{self, VoterSettings};
use crate::consensus::{self, Exit, Options, RaftNetwork, Storage, StorageError};
use crate::identity::{DirectoryError, InvalidMembership, KeyError, NodeIdentity, Revocations, random};
use crate::membership::{self, GenerationError, MembershipError, quic_link, raise_generation};
use crate::preflight::{self, PreflightPeers};
use crate::program::program;
use crate::reconciler;
use crate::rollout::round::Waits;
use crate::state::ClusterState;
use crate::store::{QuicPeers, Server as StoreServer, StoreError};
use crate::transport::join::{JoinFailure, KnownPeer};
use crate::transport::{BindError, Credentials, CredentialsError, Protocol, Transport};
use crate::upgrade::{Answerer, Asker, Upgrades};
use std::sync::Arc;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A running member.
pub(crate) struct Member {
    pub(crate) cluster: Cluster,
    pub(crate) authority: Authority,
    pub(crate) releases: Arc<Releases>,
    pub(crate) transport: Transport,
    pub(crate) preflights: Arc<dyn PreflightPeers>,
    pub(super) upgrades: Arc<Upgrades>,
    pub(super) asker: Asker,
    gossip: Arc<membership::Handle>,
    waits: watch::Receiver<Waits>,
    tasks: Mutex<JoinSet<()>>,
    ended: CancellationToken,
}

/// This host could not become, or go on as, a member.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The configured address cannot be used.
    #[error("cannot listen")]
    Bind(#[from] BindError),
    /// The state directory cannot be used.
    #[error("cannot use the state directory")]
    Directory(#[from] DirectoryError),
    /// The state file cannot be used.
    #[error("cannot use the state file")]
    Storage(#[from] StorageError),
    /// Consensus did not start.
    #[error("cannot take part in consensus")]
    Consensus(#[from] consensus::StartError),
    /// The release store cannot be used.
    #[error("cannot use the release store")]
    Store(#[from] StoreError),
    /// This host was not let in.
    #[error("cannot join")]
    Join(#[from] JoinFailure),
    /// The first certificates could not be made.
    #[error("cannot make the cluster's certificates")]
    Issue(#[from] IssueError),
    /// This host's key cannot be used.
    #[error("cannot use this host's key")]
    Key(#[from] KeyError),
    /// The certificate is not this host's.
    #[error("cannot use this host's certificate")]
    Identity(#[from] InvalidMembership),
    /// TLS does not accept it.
    #[error("cannot use this host's certificate for TLS")]
    Credentials(#[from] CredentialsError),
    /// Gossip did not start.
    #[error("cannot take part in gossip")]
    Gossip(#[from] MembershipError),
    /// Gossip has no number for this life.
    #[error("cannot take part in gossip")]
    Generation(#[from] GenerationError),
    /// Consensus ended before this host had arrived.
    #[error("consensus ended while this host joined; see the log")]
    Stopped,
}

impl Member {
    pub(crate) async fn start(
        outside: &Outside,
        identity: NodeIdentity,
        storage: Storage,
        peers: Vec<KnownPeer>,
    ) -> Result<Self, StartError> {
        let settings = &outside.settings;
        let credentials = Credentials::new(&identity, Revocations::default())?;
        let transport = Transport::bind(&outside.binding(), Arc::clone(&credentials), &identity.sealing)?;
        let addresses = Addresses::new(&peers);
        let network = QuicNetwork::new(transport.clone(), addresses.book());
        let machine = Replicated::new(ClusterState::awaited(identity.cluster));
        let life = u64::from_be_bytes(random());
        let options = options(settings);
        let (consensus, exit) =
            consensus::start(storage, machine, Arc::clone(&network) as Arc<dyn RaftNetwork>, options, life)?;
        network.attach(&consensus);
        let cluster = Cluster::new(identity.node, consensus.clone(), outside.metrics.clone());
        addresses.learn(&cluster.state());
        let stores = QuicPeers::new(transport.clone(), addresses.roster());
        let releases = Arc::new(Releases::open(settings, cluster.clone(), Arc::new(stores)).await?);
        let stores = QuicPeers::new(transport.clone(), addresses.roster());
        let upgrades = Arc::new(Upgrades::new(
            settings.upgrade.clone(),
            &settings.state_dir,
            cluster.clone(),
            releases.store().clone(),
            Arc::new(stores),
        ));
        let asker = Asker::new(transport.clone(), addresses.roster());
        let authority = Authority::new(cluster.clone(), identity.sealing.clone());
        let gossip = Arc::new(start_gossip(settings, &identity, &transport, &addresses).await?);
        transport.register(Protocol::Store, Arc::new(StoreServer::new(releases.store().clone())));
        let open = OpenDrivers::new();
        let foresight = Foresight { cluster: cluster.clone(), open: open.clone() };
        let foresight = preflight::Server::new(Arc::new(foresight));
        transport.register(Protocol::Preflight, Arc::new(foresight.clone()));
        let preflights =
            preflight::QuicPeers::new(identity.node, foresight, transport.clone(), addresses.roster());
        transport.register(Protocol::Upgrade, Arc::new(Answerer::new(Arc::clone(&upgrades))));
        transport
            .register_admission(Arc::new(Door { cluster: cluster.clone(), authority: authority.clone() }));

        let ended = CancellationToken::new();
        let (waits, waits_seen) = watch::channel(Waits::new());
        let contact = Contact::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(watch_exit(exit, ended.clone(), outside.failed.clone()));
        tasks.spawn(super::addresses::follow(cluster.states(), addresses));
        tasks.spawn(super::announce::run(cluster.clone(), Arc::clone(&gossip)));
        tasks.spawn(keep_voters(consensus, raft_members, voter_settings(settings)));
        tasks.spawn(reconciler::run(cluster.clone(), waits));
        tasks.spawn(super::contact::keep(cluster.clone(), contact.clone()));
        let upkeep = Upkeep {
            cluster: cluster.clone(),
            authority: authority.clone(),
            credentials,
            directory: Arc::clone(&outside.directory),
            identity,
            settings: Arc::clone(settings),
        };
        tasks.spawn(upkeep.run());
        let host = Host::new(
            Arc::clone(settings),
            cluster.clone(),
            Arc::clone(&releases),
            contact,
            outside.metrics.clone(),
            open,
        );
        tasks.spawn(agent::run(Arc::new(host)));
        Ok(Self {
            cluster,
            authority,
            releases,
            transport,
            preflights: Arc::new(preflights),
            upgrades,
            asker,
            gossip,
            waits: waits_seen,
            tasks: Mutex::new(tasks),
            ended,
        })
    }

    /// What gossip says now.
    pub(crate) fn gossip_view(&self) -> Arc<membership::View> {
        self.gossip.views().borrow().clone()
    }

    /// What rollouts wait for, where this node leads.
    pub(crate) fn waits(&self) -> Waits {
        self.waits.borrow().clone()
    }

    /// A leader hands over first; apps run on.
    pub(crate) async fn shutdown(&self) {
        self.cluster.consensus().shutdown();
        self.ended.cancelled().await;
        self.tasks.lock().await.shutdown().await;
        self.transport.shutdown().await;
    }
}

async fn watch_exit(exit: Exit, ended: CancellationToken, failed: CancellationToken) {
    if let Err(error) = exit.wait().await {
        let error: &dyn std::error::Error = &error;
        tracing::error!(error, "consensus has failed, and the daemon stops with it; apps run on");
        failed.cancel();
    }
    ended.cancel();
}

async fn start_gossip(
    settings: &Settings,
    identity: &NodeIdentity,
    transport: &Transport,
    addresses: &Addresses,
) -> Result<membership::Handle, StartError> {
    let generation = raise_generation(&settings.state_dir.join("gossip-generation"), wall())?;
    let own = membership::Settings {
        cluster: identity.cluster,
        me: identity.node,
        address: settings.listen,
        generation,
    };
    let facts = membership::Facts {
        daemon_version: Some(program().version.clone()),
        apps: std::collections::BTreeMap::new(),
    };
    Ok(membership::Membership::spawn(
        own,
        quic_link(transport.clone(), addresses.roster()),
        facts,
        addresses.roster(),
    )
    .await?)
}

fn options(settings: &Settings) -> Options {
    let ticks = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    Options {
        tick: settings.raft.tick,
        heartbeat_ticks: ticks(settings.raft.heartbeat_ticks),
        election_ticks: ticks(settings.raft.election_ticks),
        ..Options::default()
    }
}

fn voter_settings(settings: &Settings) -> VoterSettings {
    VoterSettings {
        replace_after: settings.raft.voter_replace_after,
        max_voters: usize::try_from(settings.raft.max_voters).unwrap_or(usize::MAX),
    }
}

fn raft_members(state: &Arc<ClusterState>) -> Vec<voters::Member> {
    state
        .nodes
        .values()
        .map(|node| voters::Member { id: node.raft_id, removed: !node.is_present() })
        .collect()
}
