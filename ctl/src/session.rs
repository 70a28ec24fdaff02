//! What a command works with: a connection, and how to print.

use crate::connection::Target;
use crate::error::ServerError;
use crate::output::Format;
use relupd_proto::api::v1;
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Response, Status};

/// A connection, and how to print.
pub(crate) struct Session {
    target: Target,
    channel: Channel,
    pub(crate) format: Format,
    /// As given with --timeout.
    pub(crate) timeout: Option<Duration>,
}

impl Session {
    pub(crate) async fn open(
        target: Target,
        format: Format,
        timeout: Option<Duration>,
    ) -> anyhow::Result<Self> {
        let channel = target.connect().await?;
        Ok(Self { target, channel, format, timeout })
    }

    /// Who is asked.
    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// The same, without the connection.
    pub(crate) fn into_target(self) -> Target {
        self.target
    }

    /// Connects again, perhaps to another node.
    pub(crate) async fn reconnect(&mut self) -> anyhow::Result<()> {
        self.channel = self.target.connect().await?;
        Ok(())
    }
}

macro_rules! clients {
    ($($name:ident: $module:ident :: $client:ident),* $(,)?) => {
        impl Session {
            $(pub(crate) fn $name(&self) -> v1::$module::$client<Channel> {
                v1::$module::$client::new(self.channel.clone())
            })*
        }
    };
}

clients! {
    cluster: cluster_service_client::ClusterServiceClient,
    nodes: node_service_client::NodeServiceClient,
    operators: operator_service_client::OperatorServiceClient,
    releases: release_service_client::ReleaseServiceClient,
    apps: app_service_client::AppServiceClient,
    plans: plan_service_client::PlanServiceClient,
    upgrades: upgrade_service_client::UpgradeServiceClient,
    rollouts: rollout_service_client::RolloutServiceClient,
    quarantines: quarantine_service_client::QuarantineServiceClient,
    events: event_service_client::EventServiceClient,
}

/// The answer itself, or the daemon's error.
pub(crate) fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, ServerError> {
    Ok(result.map_err(ServerError::from)?.into_inner())
}

/// A part of an answer that every daemon sends.
pub(crate) fn present<T>(part: Option<T>) -> anyhow::Result<T> {
    part.ok_or_else(|| anyhow::anyhow!("the daemon's answer is incomplete; is it of another version?"))
}
