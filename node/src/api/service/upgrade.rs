//! relupd itself on the hosts of the cluster.

use crate::api::context::Context;
use crate::api::control::ControlError;
use crate::api::resolve;
use crate::api::view;
use crate::ids::NodeId;
use crate::state::ClusterState;
use crate::state::node::Role;
use crate::upgrade::Order;
use relupd_proto::api::v1;
use tonic::{Request, Response, Status};

pub(crate) struct Upgrades(pub(crate) Context);

#[tonic::async_trait]
impl v1::upgrade_service_server::UpgradeService for Upgrades {
    async fn get_upgrade(
        &self,
        request: Request<v1::GetUpgradeRequest>,
    ) -> Result<Response<v1::GetUpgradeResponse>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let state = self.0.local_state()?;
        let named = request.into_inner().nodes;
        let nodes: Vec<NodeId> = if named.is_empty() {
            state.present_nodes().map(|node| node.id).collect()
        } else {
            named.iter().map(|node| Ok(resolve::node(&state, node)?.id)).collect::<Result<_, Status>>()?
        };
        let control = self.0.control();
        let reports = control.upgrade_reports(&nodes).await.map_err(|error| self.0.status(&error))?;
        Ok(Response::new(view::upgrade::upgrade(&state, &control.raft_status(), reports)))
    }

    async fn upgrade_node(
        &self,
        request: Request<v1::UpgradeNodeRequest>,
    ) -> Result<Response<v1::UpgradeNodeResponse>, Status> {
        let actor = self.0.admit(&request, Role::Admin)?;
        let v1::UpgradeNodeRequest { node, order, statement, signature } = request.into_inner();
        let state = self.0.fresh_state().await?;
        let node = resolve::node(&state, &node)?;
        self.refuse_rollouts(&state)?;
        tracing::info!(%actor, node = node.name, order, "upgrade of relupd");
        let order = Order { order, statement, signature };
        let ordered = self.0.control().upgrade_node(node.id, order).await;
        ordered.map_err(|error| self.0.status(&error))?;
        Ok(Response::new(v1::UpgradeNodeResponse {}))
    }

    async fn hand_over(
        &self,
        request: Request<v1::HandOverRequest>,
    ) -> Result<Response<v1::HandOverResponse>, Status> {
        let actor = self.0.admit(&request, Role::Admin)?;
        let state = self.0.fresh_state().await?;
        let node = resolve::node(&state, &request.into_inner().node)?;
        tracing::info!(%actor, node = node.name, "leadership is handed over");
        self.0.control().hand_over(node.id).await.map_err(|error| self.0.status(&error))?;
        Ok(Response::new(v1::HandOverResponse {}))
    }
}

impl Upgrades {
    /// The operator's side has looked, but only here it is sure.
    fn refuse_rollouts(&self, state: &ClusterState) -> Result<(), Status> {
        match state.rollouts.values().find(|rollout| !rollout.phase.is_terminal()) {
            None => Ok(()),
            Some(rollout) => Err(self.0.status(&ControlError::Invalid(format!(
                "rollout {} of {} is on its way; upgrade relupd when it has ended",
                rollout.id, rollout.plan.app
            )))),
        }
    }
}
