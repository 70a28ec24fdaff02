//! Bad input: named, with the remedy, and nothing has changed.

use crate::client::{apply_spec, connect, plan, plan_id, refusal, start, status};
use crate::daemon::Served;
use crate::world::{World, spec};
use relupd_proto::api::v1;
use std::sync::atomic::Ordering;
use tonic::Code;
use v1::node_service_client::NodeServiceClient;
use v1::quarantine_service_client::QuarantineServiceClient;
use v1::release_service_client::ReleaseServiceClient;

fn settled() -> Served {
    Served::start(World::settled(3, spec()))
}

#[tokio::test]
async fn a_spec_with_an_unknown_key_names_the_key() {
    let served = settled();
    let before = served.daemon.states.borrow().clone();
    let spec = "name = \"shop\"\nroot = \"/opt/shop\"\nrooot = \"/\"\n";
    let (code, name, message) = refusal(apply_spec(&connect(&served).await, spec).await);
    assert_eq!((code, name.as_str()), (Code::InvalidArgument, "invalid"));
    assert!(message.contains("rooot"), "{message}");
    assert_eq!(*served.daemon.states.borrow(), before);
}

#[tokio::test]
async fn a_plan_for_a_version_that_is_not_there_says_how_to_bring_it() {
    let served = settled();
    let (_, name, message) = refusal(plan(&connect(&served).await, "9.9.9").await);
    assert_eq!(name, "rejected");
    assert!(message.contains("9.9.9") && message.contains("relupctl release push"), "{message}");
}

#[tokio::test]
async fn a_plan_for_what_runs_already_is_refused() {
    let served = settled();
    let (_, _, message) = refusal(plan(&connect(&served).await, "0.1.0").await);
    assert!(message.contains("on every node already"), "{message}");
}

#[tokio::test]
async fn a_second_rollout_of_an_app_names_the_first() {
    let served = settled();
    let channel = connect(&served).await;
    let (first, second) = (plan_id(&channel, "0.2.0").await, plan_id(&channel, "0.2.0").await);
    let started = start(&channel, &first).await.unwrap().into_inner().rollout.unwrap();
    let id = started.summary.unwrap().id;
    let (_, _, message) = refusal(start(&channel, &second).await);
    assert!(message.contains(&id), "{message}");
}

#[tokio::test]
async fn a_stale_plan_says_how_to_make_a_new_one() {
    let served = settled();
    let channel = connect(&served).await;
    let plan = plan_id(&channel, "0.2.0").await;
    apply_spec(&channel, "name = \"shop\"\nroot = \"/opt/shop\"\n[upgrade]\nbake = \"5s\"\n").await.unwrap();
    let (_, _, message) = refusal(start(&channel, &plan).await);
    assert!(message.contains("stale") && message.contains("relupctl plan shop 0.2.0"), "{message}");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let served = settled();
    let channel = connect(&served).await;
    let node = v1::GetNodeRequest { node: "n9".to_owned() };
    let (code, _, message) = refusal(NodeServiceClient::new(channel.clone()).get_node(node).await);
    assert_eq!(code, Code::NotFound);
    assert!(message.contains("relupctl node list"), "{message}");
    let release = v1::GetReleaseRequest { name: String::new(), version: "9.9.9".to_owned() };
    let (code, _, _) = refusal(ReleaseServiceClient::new(channel.clone()).get_release(release).await);
    assert_eq!(code, Code::NotFound);
    let digest = v1::LiftQuarantineRequest { digest: "abcdef".to_owned() };
    let (code, _, _) = refusal(QuarantineServiceClient::new(channel).lift_quarantine(digest).await);
    assert_eq!(code, Code::NotFound);
}

#[tokio::test]
async fn nodes_go_by_id_and_by_name() {
    let served = settled();
    let mut client = NodeServiceClient::new(connect(&served).await);
    let id = crate::world::node(2).to_string();
    for text in ["n2", &id, &id.to_lowercase()] {
        let found = client.get_node(v1::GetNodeRequest { node: text.to_owned() }).await.unwrap();
        assert_eq!(found.into_inner().node.unwrap().name, "n2");
    }
}

#[tokio::test]
async fn without_quorum_changes_fail_and_status_answers() {
    let served = settled();
    let channel = connect(&served).await;
    served.daemon.quorum.store(false, Ordering::Relaxed);
    let (code, name, message) = refusal(plan(&channel, "0.2.0").await);
    assert_eq!((code, name.as_str()), (Code::Unavailable, "no-quorum"));
    assert!(message.contains("node n1"), "{message}");
    let status = status(&channel).await;
    assert!(!status.confirmed);
    assert!(status.notes[0].contains("1 of 3 voters answers"), "{:?}", status.notes);
}

#[tokio::test]
async fn two_nodes_are_told_what_that_means() {
    let served = Served::start(World::settled(2, spec()));
    let status = status(&connect(&served).await).await;
    let note = status.notes.last().unwrap();
    assert!(note.contains("n2 can be lost") && note.contains("if n1 is lost"), "{note}");
}
