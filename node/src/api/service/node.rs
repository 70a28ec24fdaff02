//! Nodes.

use crate::api::context::Context;
use crate::api::resolve;
use crate::api::view;
use crate::state::ClusterState;
use crate::state::command::Command;
use crate::state::node::{NodeRecord, Role};
use relupd_proto::api::v1;
use tonic::{Request, Response, Status};

pub(crate) struct Nodes(pub(crate) Context);

impl Nodes {
    fn view(&self, state: &ClusterState, record: &NodeRecord) -> v1::Node {
        let control = self.0.control();
        view::node::node(state, &control.raft_status(), &control.members(), record)
    }
}

#[tonic::async_trait]
impl v1::node_service_server::NodeService for Nodes {
    async fn list_nodes(
        &self,
        request: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let state = self.0.local_state()?;
        let nodes = state.present_nodes().map(|record| self.view(&state, record)).collect();
        Ok(Response::new(v1::ListNodesResponse { nodes }))
    }

    async fn get_node(
        &self,
        request: Request<v1::GetNodeRequest>,
    ) -> Result<Response<v1::GetNodeResponse>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let state = self.0.local_state()?;
        let record = resolve::node(&state, &request.into_inner().node)?;
        let mut node = self.view(&state, record);
        // Of one that is away, nothing is known of this.
        let mut reports = self.0.control().upgrade_reports(&[record.id]).await.unwrap_or_default();
        if let Some(Ok(report)) = reports.remove(&record.id) {
            node.upgrade = report.progress.map(view::upgrade::host);
        }
        Ok(Response::new(v1::GetNodeResponse { node: Some(node) }))
    }

    async fn repair_node(
        &self,
        request: Request<v1::RepairNodeRequest>,
    ) -> Result<Response<v1::RepairNodeResponse>, Status> {
        let actor = self.0.admit(&request, Role::Operator)?;
        let request = request.into_inner();
        let state = self.0.fresh_state().await?;
        let node = resolve::node(&state, &request.node)?.id;
        let app = if request.app.is_empty() {
            None
        } else {
            Some(resolve::app(&state, &request.app)?.name().clone())
        };
        self.0.propose(actor, Command::RepairNode { node, app }).await?;
        let state = self.0.local_state()?;
        let record = resolve::node(&state, &request.node)?;
        Ok(Response::new(v1::RepairNodeResponse { node: Some(self.view(&state, record)) }))
    }
}
