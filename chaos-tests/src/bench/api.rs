//! The API of a daemon on its local socket, without a process for each call.

use anyhow::{Context as _, bail};
use relupd_proto::api::v1;
use std::path::Path;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use v1::app_service_client::AppServiceClient;
use v1::plan_service_client::PlanServiceClient;
use v1::rollout_service_client::RolloutServiceClient;

/// A daemon that has no quorum may keep a caller waiting; another call is then of more use.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that is made when it is used, and made again when it broke.
#[derive(Clone, Debug)]
pub(super) struct Api(Channel);

impl Api {
    pub(super) fn at(socket: &Path) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
        Ok(Self(endpoint.context("a socket has a path")?.connect_lazy()))
    }

    /// Makes a plan; its id.
    pub(super) async fn plan(&self, app: &str, version: &str) -> anyhow::Result<String> {
        let request = v1::CreatePlanRequest { app: app.to_owned(), version: version.to_owned() };
        let answer = PlanServiceClient::new(self.0.clone()).create_plan(timed(request)).await?;
        Ok(answer.into_inner().plan.context("an answer with a plan")?.id)
    }

    /// Starts a rollout; its id.
    pub(super) async fn start(&self, plan: &str) -> anyhow::Result<String> {
        let request = v1::StartRolloutRequest { plan_id: plan.to_owned() };
        let answer = RolloutServiceClient::new(self.0.clone()).start_rollout(timed(request)).await?;
        let rollout = answer.into_inner().rollout.context("an answer with a rollout")?;
        Ok(rollout.summary.context("a rollout has a summary")?.id)
    }

    /// A small command that changes the state; whether a quorum has decided on it.
    pub(super) async fn touch(&self, app: &str) -> anyhow::Result<bool> {
        let request = v1::StartAppRequest { name: app.to_owned() };
        match AppServiceClient::new(self.0.clone()).start_app(timed(request)).await {
            Ok(_) => Ok(true),
            Err(status) => match status.code() {
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => Ok(false),
                _ => bail!("{}: {}", status.code(), status.message()),
            },
        }
    }
}

fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    request
}
