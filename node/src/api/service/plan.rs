//! Plans.

use crate::api::context::Context;
use crate::api::control::ControlError;
use crate::api::error::internal;
use crate::api::resolve;
use crate::api::view;
use crate::rollout::plan;
use crate::state::command::Applied;
use crate::state::node::Role;
use relupd_proto::api::v1;
use std::collections::BTreeMap;
use tonic::{Request, Response, Status};

pub(crate) struct Plans(pub(crate) Context);

#[tonic::async_trait]
impl v1::plan_service_server::PlanService for Plans {
    async fn create_plan(
        &self,
        request: Request<v1::CreatePlanRequest>,
    ) -> Result<Response<v1::CreatePlanResponse>, Status> {
        let actor = self.0.admit(&request, Role::Operator)?;
        let request = request.into_inner();
        let app = resolve::parse(&request.app)?;
        let version = resolve::parse(&request.version)?;
        let state = self.0.fresh_state().await?;
        let draft = plan::draft(&state, &app, &version);
        let draft = draft.map_err(|rejection| self.0.status(&ControlError::Rejected(rejection)))?;
        let command = draft.into_command();
        let Applied::Plan(id) = self.0.propose(actor, command).await? else {
            return Err(internal("the plan was kept, but its id was not told"));
        };
        let state = self.0.local_state()?;
        let plan = resolve::plan(&state, &id.to_string())?;
        let answers = self.0.control().preflight(plan).await;
        Ok(Response::new(v1::CreatePlanResponse { plan: Some(view::plan::plan(&state, plan, &answers)) }))
    }

    async fn get_plan(
        &self,
        request: Request<v1::GetPlanRequest>,
    ) -> Result<Response<v1::GetPlanResponse>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let state = self.0.fresh_state().await?;
        let plan = resolve::plan(&state, &request.into_inner().id)?;
        let shown = view::plan::plan(&state, plan, &BTreeMap::new());
        Ok(Response::new(v1::GetPlanResponse { plan: Some(shown) }))
    }
}
