//! Operators.

use crate::api::context::Context;
use crate::api::error::invalid;
use crate::api::view;
use crate::state::command::Command;
use crate::state::node::Role;
use relupd_proto::api::v1;
use tonic::{Request, Response, Status};

pub(crate) struct Operators(pub(crate) Context);

#[tonic::async_trait]
impl v1::operator_service_server::OperatorService for Operators {
    async fn add_operator(
        &self,
        request: Request<v1::AddOperatorRequest>,
    ) -> Result<Response<v1::AddOperatorResponse>, Status> {
        let actor = self.0.admit(&request, Role::Admin)?;
        let request = request.into_inner();
        let role = role(request.role())?;
        let control = self.0.control();
        let added = control.add_operator(actor, &request.name, role, &request.certificate_request).await;
        let credentials = added.map_err(|error| self.0.status(&error))?;
        let state = self.0.local_state()?;
        let addresses = state.present_nodes().map(|node| node.address.to_string()).collect();
        Ok(Response::new(v1::AddOperatorResponse {
            operator: Some(view::operator::operator(&credentials.record)),
            certificate: credentials.certificate,
            authority: credentials.authority,
            server_name: credentials.server_name,
            addresses,
        }))
    }

    async fn list_operators(
        &self,
        request: Request<v1::ListOperatorsRequest>,
    ) -> Result<Response<v1::ListOperatorsResponse>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let state = self.0.fresh_state().await?;
        let operators = state.authority.operators.values().map(view::operator::operator).collect();
        Ok(Response::new(v1::ListOperatorsResponse { operators }))
    }

    async fn revoke_operator(
        &self,
        request: Request<v1::RevokeOperatorRequest>,
    ) -> Result<Response<v1::RevokeOperatorResponse>, Status> {
        let actor = self.0.admit(&request, Role::Admin)?;
        let name = request.into_inner().name;
        self.0.propose(actor, Command::RevokeOperator { name }).await?;
        Ok(Response::new(v1::RevokeOperatorResponse {}))
    }
}

fn role(role: v1::Role) -> Result<Role, Status> {
    match role {
        v1::Role::Unspecified => Err(invalid("say the operator's role: viewer, operator or admin")),
        v1::Role::Viewer => Ok(Role::Viewer),
        v1::Role::Operator => Ok(Role::Operator),
        v1::Role::Admin => Ok(Role::Admin),
    }
}
