//! A host that is in no cluster yet, and its two ways in.

use super::authority::{IssueError, issued};
use super::backup::Restorable;
use super::member::{Member, StartError};
use super::recovery::{self, RecoverError, Wish};
use crate::clock::wall;
use crate::config::Settings;
use crate::consensus::{Owner, Storage, StorageError};
use crate::format::Format;
use crate::identity::{
    Candidate, CertificateAuthority, DirectoryError, IdentityDirectory, JoinToken, NodeIdentity, Serial,
    Stored, pem, random,
};
use crate::ids::{ClusterId, Digest, NodeId, RaftId};
use crate::program::program;
use crate::state::command::{Actor, Admission};
use crate::state::{ClusterState, Genesis};
use crate::telemetry::Metrics;
use crate::transport::Binding;
use crate::transport::join::{Applicant, KnownPeer, join};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The first node's number within raft.
const FIRST: RaftId = RaftId(1);

/// A joiner waits so long for the cluster's state. It arrives within a heartbeat or two of the leader
/// unless the network between them is broken.
const ARRIVAL: Duration = Duration::from_secs(30);

/// What `init` and `join` need.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) settings: Arc<Settings>,
    pub(crate) directory: Arc<IdentityDirectory>,
    pub(crate) candidate: Candidate,
    /// Told when the member it becomes has failed.
    pub(crate) failed: CancellationToken,
    /// Told when the daemon is to start again.
    pub(crate) again: CancellationToken,
    /// Figures of the whole daemon.
    pub(crate) metrics: Metrics,
}

/// A backup could not be made this host's state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error(transparent)]
    Start(#[from] Box<StartError>),
    #[error("cannot write the state file")]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Wish(#[from] RecoverError),
    #[error(transparent)]
    Identity(#[from] DirectoryError),
}

impl Outside {
    /// Makes a cluster of this one node.
    pub(crate) async fn init(&self) -> Result<Member, StartError> {
        self.binding().check()?;
        let now = wall();
        let cluster = ClusterId::from_parts(super::cluster::unix_ms(), u128::from_be_bytes(random()));
        let authority = CertificateAuthority::create(cluster, Serial::from_random(random()), now)
            .map_err(IssueError::from)?;
        let me = self.candidate.node;
        let request = self.candidate.key.signing_request()?;
        let der = authority
            .sign_node(&request, me, Serial::from_random(random()), now)
            .map_err(IssueError::from)?;
        let sealed = self.candidate.sealing.public().seal(&authority.key()).map_err(IssueError::from)?;
        let first = Admission {
            id: me,
            name: self.candidate.name.clone(),
            address: self.settings.listen,
            labels: self.settings.labels.clone(),
            sealing_key: self.candidate.sealing.public().as_bytes().to_vec(),
            key: Digest::of(self.candidate.key.public_key()),
            certificate: issued(&der)?.record,
            daemon_version: program().version.clone(),
            reads: Format::NEWEST,
        };
        let state = ClusterState::new(Genesis {
            cluster,
            certificate: pem::encode(authority.certificate()),
            sealed_key: sealed.as_bytes().to_vec(),
            first: first.record(FIRST, now),
        });
        let identity =
            self.candidate.clone().admitted(cluster, der, vec![authority.certificate().clone()])?;
        let owner = Owner { cluster, node: me, raft: FIRST };
        self.abandon_attempt()?;
        let storage = Storage::bootstrap(&state_file(&self.settings), owner, state.encode())?;
        self.directory.store(&identity)?;
        self.start(identity, storage, Vec::new()).await
    }

    /// Joins the token's cluster and waits until its state has arrived.
    pub(crate) async fn join(&self, token: &JoinToken) -> Result<Member, StartError> {
        let applicant = Applicant {
            address: self.settings.listen,
            labels: self.settings.labels.clone(),
            software_version: program().version.clone(),
            reads: Format::NEWEST,
        };
        let (identity, admitted) = join(token, &self.candidate, &applicant, &self.binding()).await?;
        let owner = Owner { cluster: admitted.cluster, node: identity.node, raft: admitted.raft };
        // The state file first: a host that crashes in between is still a candidate and asks again.
        self.abandon_attempt()?;
        let storage = Storage::join(&state_file(&self.settings), owner)?;
        self.directory.store(&identity)?;
        let member = self.start(identity, storage, admitted.peers).await?;
        let me = self.candidate.node;
        let mut states = member.cluster.states();
        let arrived = states.wait_for(|state| state.nodes.contains_key(&me));
        match tokio::time::timeout(ARRIVAL, arrived).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(StartError::Stopped),
            // It is a member all the same; the state arrives when the leader reaches it.
            Err(_) => tracing::warn!("joined, but the cluster's state has not arrived yet"),
        }
        Ok(member)
    }

    /// Takes a backup for this host's own state. The daemon has to start again to go on as that member, the only
    /// one: all others are lost.
    pub(crate) fn restore(&self, from: &Restorable, actor: Actor) -> Result<(), RestoreError> {
        let path = state_file(&self.settings);
        let (cluster, node) = (from.identity.cluster, from.identity.node);
        self.abandon_attempt().map_err(Box::new)?;
        // Of a restoration that was cut off before the identity was stored.
        Storage::abandon(&path, node)?;
        drop(Storage::bootstrap(&path, Owner { cluster, node, raft: from.raft }, from.state.encode())?);
        let lost = from.state.present_nodes().map(|other| other.id).filter(|other| *other != node).collect();
        recovery::ask(&self.settings.state_dir, &Wish { cluster, lost, actor })?;
        Ok(self.directory.take_over(&from.identity)?)
    }

    /// Goes on as the member that it was before a restart.
    pub(crate) async fn resume(&self, identity: NodeIdentity) -> Result<Member, StartError> {
        let storage = Storage::open(&state_file(&self.settings), identity.cluster, identity.node)?;
        self.start(identity, storage, Vec::new()).await
    }

    /// Takes away the state file of an attempt that was cut off before its identity was stored: it has
    /// an owner already and would be refused for ever.
    fn abandon_attempt(&self) -> Result<(), StartError> {
        match self.directory.load(&self.settings.node_name)? {
            Stored::Empty | Stored::Candidate(_) => {
                Ok(Storage::abandon(&state_file(&self.settings), self.candidate.node)?)
            }
            // What a member has promised is in that file.
            Stored::Member(_) => Ok(()),
        }
    }

    async fn start(
        &self,
        identity: NodeIdentity,
        storage: Storage,
        peers: Vec<KnownPeer>,
    ) -> Result<Member, StartError> {
        Member::start(self, identity, storage, peers).await
    }

    pub(crate) fn binding(&self) -> Binding {
        binding(&self.settings)
    }
}

/// Where peers and callers from other hosts find this one.
pub(crate) fn binding(settings: &Settings) -> Binding {
    Binding { address: settings.listen, interface: settings.interface.clone() }
}

pub(crate) fn state_file(settings: &Settings) -> PathBuf {
    settings.state_dir.join("raft.redb")
}

/// A fresh host's key, id and sealing secret.
pub(crate) fn new_candidate(name: &str) -> Result<Candidate, crate::identity::KeyError> {
    Ok(Candidate {
        node: NodeId::from_parts(super::cluster::unix_ms(), u128::from_be_bytes(random())),
        name: name.to_owned(),
        key: crate::identity::PrivateKey::generate()?,
        sealing: crate::identity::SealingSecret::from_bytes(random()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Overrides};
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn outside(directory: &Path) -> Outside {
        let port = free_port();
        let path = directory.join("relupd.toml");
        std::fs::write(&path, format!("listen = \"127.0.0.1:{port}\"\n")).unwrap();
        let (state, run) = (directory.join("state"), directory.join("run"));
        let overrides = Overrides { state_dir: Some(state.clone()), run_dir: Some(run) };
        let settings = config::load(&path, &overrides).unwrap();
        let identities = IdentityDirectory::open(&state).unwrap();
        let candidate = new_candidate(&settings.node_name).unwrap();
        identities.store_candidate(&candidate).unwrap();
        Outside {
            settings: Arc::new(settings),
            directory: Arc::new(identities),
            candidate,
            failed: CancellationToken::new(),
            again: CancellationToken::new(),
            metrics: Metrics::new(),
        }
    }

    /// For TCP and UDP, and none that the kernel gives to whoever asks for any.
    fn free_port() -> u16 {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number =
                std::process::id().wrapping_mul(16).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let port = 10_000 + u16::try_from(number % 20_000).unwrap();
            let address = (Ipv4Addr::LOCALHOST, port);
            if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
                return port;
            }
        }
    }

    fn leave_a_state_file(outside: &Outside, node: NodeId) {
        let owner = Owner { cluster: ClusterId::from_parts(1, 2), node, raft: FIRST };
        drop(Storage::bootstrap(&state_file(&outside.settings), owner, Vec::new()).unwrap());
    }

    #[tokio::test]
    async fn an_init_that_was_cut_off_can_be_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let outside = outside(directory.path());
        leave_a_state_file(&outside, outside.candidate.node);
        let member = outside.init().await.unwrap();
        assert_eq!(member.cluster.me(), outside.candidate.node);
        member.shutdown().await;
        drop(member);
        // One that came to its end is not undone by another.
        let again = outside.init().await.err().expect("it is a member");
        assert!(matches!(again, StartError::Storage(_)), "{again}");
    }

    #[tokio::test]
    async fn the_state_file_of_another_node_is_never_removed() {
        let directory = tempfile::tempdir().unwrap();
        let outside = outside(directory.path());
        leave_a_state_file(&outside, NodeId::from_parts(7, 7));
        let refused = outside.init().await.err().expect("it is not ours");
        assert!(matches!(refused, StartError::Storage(_)), "{refused}");
        assert!(state_file(&outside.settings).exists());
    }
}
