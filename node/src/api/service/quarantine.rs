//! Quarantines.

use crate::api::context::Context;
use crate::api::resolve;
use crate::api::view;
use crate::state::command::Command;
use crate::state::node::Role;
use relupd_proto::api::v1;
use tonic::{Request, Response, Status};

pub(crate) struct Quarantines(pub(crate) Context);

#[tonic::async_trait]
impl v1::quarantine_service_server::QuarantineService for Quarantines {
    async fn list_quarantines(
        &self,
        request: Request<v1::ListQuarantinesRequest>,
    ) -> Result<Response<v1::ListQuarantinesResponse>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let state = self.0.fresh_state().await?;
        Ok(Response::new(v1::ListQuarantinesResponse { quarantines: view::release::quarantines(&state) }))
    }

    async fn lift_quarantine(
        &self,
        request: Request<v1::LiftQuarantineRequest>,
    ) -> Result<Response<v1::LiftQuarantineResponse>, Status> {
        let actor = self.0.admit(&request, Role::Operator)?;
        let state = self.0.fresh_state().await?;
        let digest = resolve::quarantined(&state, &request.into_inner().digest)?;
        self.0.propose(actor, Command::LiftQuarantine { digest }).await?;
        let lifted = state.quarantine.get(&digest).map(|found| view::release::quarantine(&digest, found));
        Ok(Response::new(v1::LiftQuarantineResponse { lifted }))
    }
}
