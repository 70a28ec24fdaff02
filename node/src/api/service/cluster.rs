//! The cluster itself.

use crate::api::context::Context;
use crate::api::control::ControlError;
use crate::api::error::invalid;
use crate::api::resolve;
use crate::api::view;
use crate::api::view::cluster::Snapshot;
use crate::state::command::Command;
use crate::state::node::Role;
use relupd_proto::api::v1;
use std::time::Duration;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

/// Longer than this, a token is a password that somebody forgot.
const MAX_TOKEN_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Long enough to type it on the next host.
const DEFAULT_TOKEN_TTL: Duration = Duration::from_secs(3600);

/// Whoever asks for the status wants an answer above all; an election takes about a second.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Cluster(pub(crate) Context);

#[tonic::async_trait]
impl v1::cluster_service_server::ClusterService for Cluster {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        self.0.admit_anywhere(&request, Role::Viewer)?;
        let control = self.0.control();
        let unconfirmed = match timeout(STATUS_PATIENCE, control.read_barrier()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer from a quorum yet".to_owned()),
        };
        let state = control.state();
        let snapshot = Snapshot {
            me: control.me(),
            state: state.as_deref(),
            raft: &control.raft_status(),
            members: &control.members(),
            unconfirmed,
            with_digest: request.get_ref().with_state_digest,
        };
        Ok(Response::new(view::cluster::status(&snapshot)))
    }

    async fn init_cluster(
        &self,
        request: Request<v1::InitClusterRequest>,
    ) -> Result<Response<v1::InitClusterResponse>, Status> {
        let actor = self.0.admit_local(&request)?;
        self.refuse_member()?;
        let control = self.0.control();
        let cluster = control.init_cluster(actor).await.map_err(|error| self.0.status(&error))?;
        Ok(Response::new(v1::InitClusterResponse {
            cluster_id: cluster.to_string(),
            node_id: control.me().to_string(),
        }))
    }

    async fn join_cluster(
        &self,
        request: Request<v1::JoinClusterRequest>,
    ) -> Result<Response<v1::JoinClusterResponse>, Status> {
        let actor = self.0.admit_local(&request)?;
        self.refuse_member()?;
        let control = self.0.control();
        let token = request.into_inner().token;
        let cluster =
            control.join_cluster(actor, token.trim()).await.map_err(|error| self.0.status(&error))?;
        Ok(Response::new(v1::JoinClusterResponse {
            cluster_id: cluster.to_string(),
            node_id: control.me().to_string(),
        }))
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let actor = self.0.admit(&request, Role::Admin)?;
        let ttl = token_ttl(request.into_inner().ttl)?;
        let created = self.0.control().create_token(actor, ttl).await;
        let token = created.map_err(|error| self.0.status(&error))?;
        Ok(Response::new(v1::CreateTokenResponse {
            token: token.text,
            expires_at: Some(view::time(token.expires_at)),
        }))
    }

    async fn remove_node(
        &self,
        request: Request<v1::RemoveNodeRequest>,
    ) -> Result<Response<v1::RemoveNodeResponse>, Status> {
        let actor = self.0.admit(&request, Role::Admin)?;
        let state = self.0.fresh_state().await?;
        let node = resolve::node(&state, &request.into_inner().node)?;
        self.0.propose(actor, Command::RemoveNode { node: node.id }).await?;
        Ok(Response::new(v1::RemoveNodeResponse { node_id: node.id.to_string(), name: node.name.clone() }))
    }

    async fn recover_cluster(
        &self,
        request: Request<v1::RecoverClusterRequest>,
    ) -> Result<Response<v1::RecoverClusterResponse>, Status> {
        let actor = self.0.admit_local(&request)?;
        // There is nobody to ask for a fresher one.
        let state = self.0.local_state()?;
        let lost = request.into_inner().lost;
        let lost = lost.iter().map(|node| resolve::node(&state, node)).collect::<Result<Vec<_>, _>>()?;
        let ids = lost.iter().map(|node| node.id).collect();
        let control = self.0.control();
        control.recover(actor, &ids).await.map_err(|error| self.0.status(&error))?;
        let removed = lost.iter().map(|node| node.name.clone()).collect();
        Ok(Response::new(v1::RecoverClusterResponse { removed }))
    }

    async fn backup_cluster(
        &self,
        request: Request<v1::BackupClusterRequest>,
    ) -> Result<Response<v1::BackupClusterResponse>, Status> {
        // It opens the CA's key: not for operators from afar, whatever their role.
        self.0.admit_local(&request)?;
        let backup = self.0.control().backup().await.map_err(|error| self.0.status(&error))?;
        Ok(Response::new(v1::BackupClusterResponse { backup: backup.to_vec() }))
    }

    async fn restore_cluster(
        &self,
        request: Request<v1::RestoreClusterRequest>,
    ) -> Result<Response<v1::RestoreClusterResponse>, Status> {
        let actor = self.0.admit_local(&request)?;
        self.refuse_member()?;
        let control = self.0.control();
        let backup = request.into_inner().backup;
        let cluster = control.restore(actor, &backup).await.map_err(|error| self.0.status(&error))?;
        Ok(Response::new(v1::RestoreClusterResponse { cluster_id: cluster.to_string() }))
    }

    async fn raise_format(
        &self,
        request: Request<v1::RaiseFormatRequest>,
    ) -> Result<Response<v1::RaiseFormatResponse>, Status> {
        let actor = self.0.admit(&request, Role::Admin)?;
        let state = self.0.fresh_state().await?;
        // What not everybody reads yet is refused with the names of those who do not; and with nothing to
        // raise, the state says so itself.
        let newest = state.present_nodes().map(|record| record.reads).max();
        let to = state.next_format().or(newest).unwrap_or(state.format);
        self.0.propose(actor, Command::RaiseFormat { to }).await?;
        Ok(Response::new(v1::RaiseFormatResponse { format: to.0.into() }))
    }
}

impl Cluster {
    fn refuse_member(&self) -> Result<(), Status> {
        match self.0.control().state() {
            None => Ok(()),
            Some(state) => Err(self.0.status(&ControlError::AlreadyMember(state.cluster))),
        }
    }
}

fn token_ttl(asked: Option<prost_types::Duration>) -> Result<Duration, Status> {
    let Some(asked) = asked else { return Ok(DEFAULT_TOKEN_TTL) };
    let ttl = Duration::try_from(asked).map_err(|error| invalid(format!("ttl: {error}")))?;
    if ttl.is_zero() || ttl > MAX_TOKEN_TTL {
        return Err(invalid("ttl: a token lives for more than nothing and at most 7 days"));
    }
    Ok(ttl)
}
