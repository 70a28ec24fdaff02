//! Before `init`: the daemon answers, and says what to do.

use crate::client::{connect, plan, refusal, status};
use crate::daemon::Served;
use crate::world::{World, spec};
use relupd_proto::api::v1;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;
use tonic::Code;
use v1::cluster_service_client::ClusterServiceClient;

fn outside() -> Served {
    let served = Served::start(World::empty(1, spec()));
    served.daemon.in_cluster.store(false, Ordering::Relaxed);
    served
}

#[tokio::test]
async fn status_says_how_to_begin() {
    let served = outside();
    let status = status(&connect(&served).await).await;
    assert_eq!(status.cluster_id, "");
    assert!(status.notes[0].contains("relupctl cluster init"), "{:?}", status.notes);
}

#[tokio::test]
async fn everything_else_says_so_too() {
    let served = outside();
    let (code, name, message) = refusal(plan(&connect(&served).await, "0.2.0").await);
    assert_eq!((code, name.as_str()), (Code::FailedPrecondition, "not-initialized"));
    assert!(message.contains("relupctl cluster join TOKEN"), "{message}");
}

#[tokio::test]
async fn a_member_cannot_be_made_a_member_again() {
    let served = outside();
    let mut client = ClusterServiceClient::new(connect(&served).await);
    client.init_cluster(v1::InitClusterRequest {}).await.unwrap();
    let (_, name, _) = refusal(client.init_cluster(v1::InitClusterRequest {}).await);
    assert_eq!(name, "already-member");
    let token = "good".to_owned();
    let (_, name, _) = refusal(client.join_cluster(v1::JoinClusterRequest { token }).await);
    assert_eq!(name, "already-member");
}

#[tokio::test]
async fn the_socket_is_for_its_owner_alone() {
    let served = outside();
    let mode = std::fs::metadata(&served.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
