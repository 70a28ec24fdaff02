//! The services, one file per noun.

mod app;
mod cluster;
mod event;
mod node;
mod operator;
mod plan;
mod quarantine;
mod release;
mod rollout;
mod upgrade;

use super::context::Context;
use relupd_proto::api::v1;
use tonic::service::Routes;
use v1::app_service_server::AppServiceServer;
use v1::cluster_service_server::ClusterServiceServer;
use v1::event_service_server::EventServiceServer;
use v1::node_service_server::NodeServiceServer;
use v1::operator_service_server::OperatorServiceServer;
use v1::plan_service_server::PlanServiceServer;
use v1::quarantine_service_server::QuarantineServiceServer;
use v1::release_service_server::ReleaseServiceServer;
use v1::rollout_service_server::RolloutServiceServer;
use v1::upgrade_service_server::UpgradeServiceServer;

/// Room for the manifest of a large release: 50,000 files of about 300 bytes each.
const MAX_MANIFEST_MESSAGE: usize = 16 << 20;

/// Room for a backup: the state of a thousand nodes is 2 MB.
const MAX_BACKUP_MESSAGE: usize = 64 << 20;

/// All services.
pub(crate) fn routes(context: &Context) -> Routes {
    let releases = ReleaseServiceServer::new(release::Releases::new(context.clone()));
    let clusters = ClusterServiceServer::new(cluster::Cluster(context.clone()));
    Routes::new(clusters.max_decoding_message_size(MAX_BACKUP_MESSAGE))
        .add_service(NodeServiceServer::new(node::Nodes(context.clone())))
        .add_service(OperatorServiceServer::new(operator::Operators(context.clone())))
        .add_service(releases.max_decoding_message_size(MAX_MANIFEST_MESSAGE))
        .add_service(AppServiceServer::new(app::Apps(context.clone())))
        .add_service(PlanServiceServer::new(plan::Plans(context.clone())))
        .add_service(RolloutServiceServer::new(rollout::Rollouts(context.clone())))
        .add_service(QuarantineServiceServer::new(quarantine::Quarantines(context.clone())))
        .add_service(EventServiceServer::new(event::Events(context.clone())))
        .add_service(UpgradeServiceServer::new(upgrade::Upgrades(context.clone())))
}
