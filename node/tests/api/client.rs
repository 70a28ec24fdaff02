//! The calling side.

use crate::daemon::Served;
use relupd_proto::api::v1;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};
use v1::app_service_client::AppServiceClient;
use v1::cluster_service_client::ClusterServiceClient;
use v1::plan_service_client::PlanServiceClient;
use v1::rollout_service_client::RolloutServiceClient;

pub(crate) async fn connect(served: &Served) -> Channel {
    let address = format!("unix://{}", served.socket.display());
    Endpoint::from_shared(address).unwrap().connect().await.unwrap()
}

/// The code for programs and the message for people.
pub(crate) fn refusal<T>(result: Result<Response<T>, Status>) -> (Code, String, String) {
    let Err(status) = result else { panic!("it was answered") };
    let code = status.metadata().get("relupd-code").map(|code| code.to_str().unwrap().to_owned());
    (status.code(), code.unwrap_or_default(), status.message().to_owned())
}

pub(crate) async fn status(channel: &Channel) -> v1::ClusterStatus {
    let answer = ClusterServiceClient::new(channel.clone()).get_status(v1::GetStatusRequest::default()).await;
    answer.unwrap().into_inner().cluster.unwrap()
}

pub(crate) async fn plan(
    channel: &Channel,
    version: &str,
) -> Result<Response<v1::CreatePlanResponse>, Status> {
    let request = v1::CreatePlanRequest { app: "shop".to_owned(), version: version.to_owned() };
    PlanServiceClient::new(channel.clone()).create_plan(request).await
}

pub(crate) async fn plan_id(channel: &Channel, version: &str) -> String {
    plan(channel, version).await.unwrap().into_inner().plan.unwrap().id
}

pub(crate) async fn start(
    channel: &Channel,
    plan_id: &str,
) -> Result<Response<v1::StartRolloutResponse>, Status> {
    let request = v1::StartRolloutRequest { plan_id: plan_id.to_owned() };
    RolloutServiceClient::new(channel.clone()).start_rollout(request).await
}

pub(crate) async fn apply_spec(
    channel: &Channel,
    spec: &str,
) -> Result<Response<v1::ApplyAppResponse>, Status> {
    let request = v1::ApplyAppRequest { spec: spec.to_owned() };
    AppServiceClient::new(channel.clone()).apply_app(request).await
}
