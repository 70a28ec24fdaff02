//! What keeps a node a good member: it says where it is, renews its certificate at half life,
//! answers others who have to, seals the CA's key for new voters, and obeys revocations.

use super::authority::Authority;
use super::cluster::Cluster;
use crate::clock::wall;
use crate::config::Settings;
use crate::consensus::ProposeError;
use crate::format::Format;
use crate::identity::{IdentityDirectory, NodeIdentity, PrivateKey, Revocations};
use crate::ids::NodeId;
use crate::program::program;
use crate::state::ClusterState;
use crate::state::command::{Actor, Command};
use crate::transport::Credentials;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Certificates live for 30 days and are renewed after 15: an hour more or less does not matter.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(3600);

/// New voters get the CA's key within this time.
const SEALING_INTERVAL: Duration = Duration::from_secs(10);

/// After a proposal that found no quorum.
const RETRY: Duration = Duration::from_secs(1);

/// Everything that upkeep needs.
pub(crate) struct Upkeep {
    pub(crate) cluster: Cluster,
    pub(crate) authority: Authority,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) directory: Arc<IdentityDirectory>,
    pub(crate) identity: NodeIdentity,
    pub(crate) settings: Arc<Settings>,
}

impl Upkeep {
    /// Runs until the member has stopped.
    pub(crate) async fn run(self) {
        let identity = Mutex::new(self.identity.clone());
        // The key of a renewal that was asked for lives here until its certificate arrives; after a
        // restart it is asked for again.
        let pending = Mutex::new(None);
        tokio::join!(self.describe(), self.follow_state(&identity, &pending), self.ask_in_time(&pending));
    }

    /// Tells the cluster this node's present settings, once, and again until somebody takes it.
    async fn describe(&self) {
        let me = self.cluster.me();
        let mut states = self.cluster.states();
        if states.wait_for(|state| state.nodes.contains_key(&me)).await.is_err() {
            return;
        }
        loop {
            let state = self.cluster.state();
            let Some(record) = state.nodes.get(&me) else { return };
            let version = program().version.as_str();
            let settings = &self.settings;
            if record.address == settings.listen
                && record.labels == settings.labels
                && record.daemon_version == version
                && record.reads == Format::NEWEST
            {
                return;
            }
            let command = Command::DescribeNode {
                node: me,
                address: settings.listen,
                labels: settings.labels.clone(),
                daemon_version: version.to_owned(),
                reads: Format::NEWEST,
            };
            if self.propose(command).await.is_ok() {
                return;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn follow_state(&self, identity: &Mutex<NodeIdentity>, pending: &Mutex<Option<PrivateKey>>) {
        let (mut states, mut leadership) = (self.cluster.states(), self.cluster.leadership());
        loop {
            let state = states.borrow_and_update().clone();
            let leads = leadership.borrow_and_update().is_self;
            self.credentials.set_revocations(revocations(&state));
            self.adopt_renewal(&state, identity, pending).await;
            let open = self.authority.is_open(&state);
            if leads && open {
                self.answer_requests(&state).await;
            }
            // A leader that cannot open the key yet gets it from whoever can.
            let leader_has_it = self.leader_holds_key(&state);
            if open && (leads || !leader_has_it) {
                self.seal_for_voters(&state).await;
            }
            tokio::select! {
                // Voters change without a change of the state.
                () = tokio::time::sleep(SEALING_INTERVAL) => {}
                changed = states.changed() => if changed.is_err() { return },
                changed = leadership.changed() => if changed.is_err() { return },
            }
        }
    }

    fn leader_holds_key(&self, state: &ClusterState) -> bool {
        let Some(leader) = self.cluster.raft_status().leader else { return true };
        let mut nodes = state.present_nodes();
        nodes.any(|node| node.raft_id == leader && state.authority.sealed_keys.contains_key(&node.id))
    }

    async fn answer_requests(&self, state: &ClusterState) {
        for node in state.present_nodes() {
            let Some(request) = &node.renewal else { continue };
            match self.authority.sign_node(state, node.id, request) {
                Ok(issued) => {
                    let (certificate, der) = (issued.record, issued.der);
                    let command = Command::RenewCertificate { node: node.id, certificate, der };
                    if let Err(error) = self.propose(command).await {
                        tracing::warn!(node = %node.id, %error, "a certificate was not renewed");
                    }
                }
                Err(error) => tracing::error!(node = %node.id, %error, "a certificate was not signed"),
            }
        }
    }

    /// Voters hold the CA's key, so that the cluster can sign as long as it can decide. While one node alone
    /// votes, the others hold it too: one of them may have to go on without it.
    async fn seal_for_voters(&self, state: &ClusterState) {
        let voters = self.cluster.raft_status().membership.voters.clone();
        let sole = voters.len() == 1;
        let lacking: Vec<NodeId> = state
            .present_nodes()
            .filter(|node| {
                (sole || voters.contains(&node.raft_id))
                    && !state.authority.sealed_keys.contains_key(&node.id)
            })
            .map(|node| node.id)
            .collect();
        for node in lacking {
            match self.authority.seal_for(state, node) {
                Ok(Some(sealed)) => {
                    if let Err(error) = self.propose(Command::SealAuthorityKey { node, sealed }).await {
                        tracing::warn!(%node, %error, "the CA's key was not sealed");
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::error!(%node, %error, "the CA's key was not sealed"),
            }
        }
    }

    async fn ask_in_time(&self, pending: &Mutex<Option<PrivateKey>>) {
        loop {
            if self.credentials.validity().renewal_due(wall())
                && let Err(error) = self.ask(pending).await
            {
                tracing::warn!(%error, "no renewal was asked for");
            }
            tokio::time::sleep(CERTIFICATE_INTERVAL).await;
        }
    }

    /// A new key for each certificate.
    async fn ask(
        &self,
        pending: &Mutex<Option<PrivateKey>>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let key = PrivateKey::generate()?;
        let request = key.signing_request()?;
        *pending.lock().await = Some(key);
        self.propose(Command::RequestCertificate { node: self.cluster.me(), request }).await?;
        Ok(())
    }

    async fn adopt_renewal(
        &self,
        state: &ClusterState,
        identity: &Mutex<NodeIdentity>,
        pending: &Mutex<Option<PrivateKey>>,
    ) {
        let Some(der) = state.nodes.get(&self.cluster.me()).and_then(|node| node.renewed.clone()) else {
            return;
        };
        let mut identity = identity.lock().await;
        if identity.certificate.as_ref() == der {
            return;
        }
        let mut pending = pending.lock().await;
        let Some(key) = pending.clone() else { return };
        let renewed = match identity.renewed(key, der.into()) {
            Ok(renewed) => renewed,
            Err(error) => return tracing::debug!(%error, "a renewed certificate is for another key"),
        };
        // On disk first: a restart must not find a key whose certificate was replaced.
        if let Err(error) = self.directory.store(&renewed) {
            return tracing::error!(%error, "the renewed certificate cannot be kept");
        }
        match self.credentials.replace(&renewed) {
            Ok(()) => {
                tracing::info!(until = %self.credentials.validity().until, "certificate renewed");
                *identity = renewed;
                *pending = None;
            }
            Err(error) => tracing::error!(%error, "the renewed certificate cannot be used"),
        }
    }

    async fn propose(&self, command: Command) -> Result<(), ProposeError> {
        match self.cluster.propose(Actor::Agent(self.cluster.me()), command).await? {
            Ok(_) => {}
            Err(rejection) => tracing::warn!(%rejection, "upkeep was refused"),
        }
        Ok(())
    }
}

/// Whom a node that has applied this state believes no more.
#[must_use]
pub fn revocations(state: &ClusterState) -> Revocations {
    let removed = state.nodes.values().filter(|node| !node.is_present()).map(|node| node.id);
    Revocations {
        // A serial that does not parse was never on a certificate of ours.
        serials: state
            .authority
            .revoked
            .keys()
            .filter_map(|serial| serial.parse().ok())
            .collect::<BTreeSet<_>>(),
        nodes: removed.collect(),
    }
}
