//! Apps.

use crate::api::context::Context;
use crate::api::error::invalid;
use crate::api::resolve;
use crate::api::view;
use crate::ids::AppName;
use crate::spec;
use crate::state::command::{Actor, Command};
use crate::state::node::Role;
use relupd_proto::api::v1;
use tonic::{Request, Response, Status};

pub(crate) struct Apps(pub(crate) Context);

impl Apps {
    fn view(&self, name: &str) -> Result<v1::App, Status> {
        let state = self.0.local_state()?;
        Ok(view::app::app(&state, resolve::app(&state, name)?))
    }

    async fn set_running(&self, actor: Actor, name: &str, running: bool) -> Result<v1::App, Status> {
        let app: AppName = resolve::parse(name)?;
        self.0.propose(actor, Command::SetRunning { app, running }).await?;
        self.view(name)
    }
}

#[tonic::async_trait]
impl v1::app_service_server::AppService for Apps {
    async fn apply_app(
        &self,
        request: Request<v1::ApplyAppRequest>,
    ) -> Result<Response<v1::ApplyAppResponse>, Status> {
        let actor = self.0.admit(&request, Role::Operator)?;
        let spec = spec::parse(&request.into_inner().spec).map_err(|errors| invalid(errors.to_string()))?;
        let name = spec.name.clone();
        self.0.propose(actor, Command::ApplyApp { spec }).await?;
        Ok(Response::new(v1::ApplyAppResponse { app: Some(self.view(name.as_str())?) }))
    }

    async fn list_apps(
        &self,
        request: Request<v1::ListAppsRequest>,
    ) -> Result<Response<v1::ListAppsResponse>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let state = self.0.fresh_state().await?;
        let apps = state.apps.values().map(|app| view::app::app(&state, app)).collect();
        Ok(Response::new(v1::ListAppsResponse { apps }))
    }

    async fn get_app(
        &self,
        request: Request<v1::GetAppRequest>,
    ) -> Result<Response<v1::GetAppResponse>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        self.0.fresh_state().await?;
        Ok(Response::new(v1::GetAppResponse { app: Some(self.view(&request.into_inner().name)?) }))
    }

    async fn start_app(
        &self,
        request: Request<v1::StartAppRequest>,
    ) -> Result<Response<v1::StartAppResponse>, Status> {
        let actor = self.0.admit(&request, Role::Operator)?;
        let app = self.set_running(actor, &request.into_inner().name, true).await?;
        Ok(Response::new(v1::StartAppResponse { app: Some(app) }))
    }

    async fn stop_app(
        &self,
        request: Request<v1::StopAppRequest>,
    ) -> Result<Response<v1::StopAppResponse>, Status> {
        let actor = self.0.admit(&request, Role::Operator)?;
        let app = self.set_running(actor, &request.into_inner().name, false).await?;
        Ok(Response::new(v1::StopAppResponse { app: Some(app) }))
    }
}
