//! A rollout as its operator sees it.

use crate::client::{connect, plan, plan_id, refusal, start};
use crate::daemon::Served;
use crate::world::{World, spec};
use relupd::ids::RolloutId;
use relupd_proto::api::v1;
use tonic::transport::Channel;
use v1::event_service_client::EventServiceClient;
use v1::rollout_service_client::RolloutServiceClient;

async fn started(served: &Served) -> (Channel, RolloutServiceClient<Channel>, RolloutId) {
    let channel = connect(served).await;
    let plan = plan_id(&channel, "0.2.0").await;
    let rollout = start(&channel, &plan).await.unwrap().into_inner().rollout.unwrap();
    let id = rollout.summary.unwrap().id.parse().unwrap();
    (channel.clone(), RolloutServiceClient::new(channel), id)
}

#[tokio::test]
async fn a_plan_shows_what_each_node_says_to_it_and_unknown_is_a_value() {
    let served = Served::start(World::settled(2, spec()));
    let plan = plan(&connect(&served).await, "0.2.0").await.unwrap().into_inner().plan.unwrap();
    let [first, second] = [&plan.steps[0], &plan.steps[1]].map(|step| step.preflight.as_ref().unwrap());
    let results: Vec<_> = first.checks.iter().map(v1::Check::result).collect();
    assert_eq!(results, [v1::CheckResult::Passed, v1::CheckResult::Unknown]);
    assert_eq!((first.no_answer.as_str(), first.checks[1].reason.as_str()), ("", "not known until prepared"));
    assert_eq!((second.checks.len(), second.no_answer.as_str()), (0, "did not answer: it is away"));
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["steps"][0]["preflight"]["checks"][1]["result"], "unknown");
}

#[tokio::test]
async fn a_watch_ends_when_the_rollout_does() {
    let served = Served::start(World::settled(3, spec()));
    let (_, mut client, id) = started(&served).await;
    let request = v1::WatchRolloutRequest { rollout: String::new() };
    let mut changes = client.watch_rollout(request).await.unwrap().into_inner();
    let first = changes.message().await.unwrap().unwrap();
    assert_eq!(first.rollout.unwrap().summary.unwrap().phase(), v1::Phase::Preparing);
    served.daemon.run(id).await;
    let mut last = None;
    while let Some(change) = changes.message().await.unwrap() {
        last = change.rollout;
    }
    let last = last.unwrap();
    assert_eq!(last.summary.unwrap().phase(), v1::Phase::Completed);
    assert!(last.nodes.iter().all(|node| node.step() == v1::NodeStep::Committed), "{:?}", last.nodes);
}

#[tokio::test]
async fn why_names_the_nodes_that_are_waited_for() {
    let served = Served::start(World::settled(3, spec()));
    let (_, mut client, id) = started(&served).await;
    {
        let mut world = served.daemon.world.lock().await;
        assert!(world.turn(id), "orders to prepare");
        served.daemon.states.send_replace(std::sync::Arc::new(world.state.clone()));
    }
    let request = v1::ExplainRolloutRequest { rollout: "shop".to_owned() };
    let explained = client.explain_rollout(request).await.unwrap().into_inner();
    let texts: Vec<&str> = explained.waiting_for.iter().map(|condition| condition.text.as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("node n1 prepares")), "{texts:?}");
}

#[tokio::test]
async fn an_ended_rollout_can_be_shown_and_not_paused() {
    let served = Served::start(World::settled(3, spec()));
    let (_, mut client, id) = started(&served).await;
    served.daemon.run(id).await;
    let request = v1::GetRolloutRequest { rollout: "shop".to_owned() };
    let shown = client.get_rollout(request).await.unwrap().into_inner().rollout.unwrap();
    assert_eq!(shown.summary.unwrap().id, id.to_string());
    let request = v1::PauseRolloutRequest { rollout: String::new() };
    let (_, name, _) = refusal(client.pause_rollout(request).await);
    assert_eq!(name, "not-found");
    let request = v1::PauseRolloutRequest { rollout: id.to_string() };
    let (_, name, _) = refusal(client.pause_rollout(request).await);
    assert_eq!(name, "rejected");
}

#[tokio::test]
async fn pause_resume_and_abort_reach_the_state() {
    let served = Served::start(World::settled(3, spec()));
    let (_, mut client, id) = started(&served).await;
    let paused = client.pause_rollout(v1::PauseRolloutRequest { rollout: String::new() }).await;
    let paused = paused.unwrap().into_inner().rollout.unwrap().summary.unwrap();
    assert!(!paused.paused_by.is_empty());
    let resumed = client.resume_rollout(v1::ResumeRolloutRequest { rollout: String::new() }).await;
    assert_eq!(resumed.unwrap().into_inner().rollout.unwrap().summary.unwrap().paused_by, "");
    let mode = v1::AbortMode::Revert.into();
    client.abort_rollout(v1::AbortRolloutRequest { rollout: id.to_string(), mode }).await.unwrap();
    served.daemon.run(id).await;
    let request = v1::GetRolloutRequest { rollout: id.to_string() };
    let ended = client.get_rollout(request).await.unwrap().into_inner().rollout.unwrap().summary.unwrap();
    assert!(ended.ended_at.is_some(), "{ended:?}");
    assert!(ended.reason.contains("aborted"), "{ended:?}");
}

#[tokio::test]
async fn events_go_on_from_where_they_were() {
    let served = Served::start(World::settled(3, spec()));
    let (channel, _, id) = started(&served).await;
    let mut client = EventServiceClient::new(channel);
    let request = v1::ListEventsRequest { follow: true, last: 1 };
    let mut events = client.list_events(request).await.unwrap().into_inner();
    let first = events.message().await.unwrap().unwrap().event.unwrap();
    served.daemon.run(id).await;
    let second = events.message().await.unwrap().unwrap().event.unwrap();
    assert_eq!(second.number, first.number + 1);
    assert_eq!(second.rollout, id.to_string());
}

#[tokio::test]
async fn the_digest_and_the_last_command_are_of_one_state_and_told_where_they_are_asked_for() {
    let served = Served::start(World::settled(3, spec()));
    let channel = connect(&served).await;
    let mut client = v1::cluster_service_client::ClusterServiceClient::new(channel.clone());
    let mut asked = async |with_state_digest| {
        let request = v1::GetStatusRequest { with_state_digest };
        let cluster = client.get_status(request).await.unwrap().into_inner().cluster.unwrap();
        (cluster.last_command, cluster.state_digest)
    };
    assert_eq!(asked(false).await, (String::new(), String::new()));
    let before = asked(true).await;
    plan_id(&channel, "0.2.0").await;
    let state = served.daemon.states.borrow().clone();
    let after = asked(true).await;
    assert_eq!(after, (state.last_command().unwrap().to_string(), state.digest().to_string()));
    assert!(after.0 != before.0 && after.1 != before.1);
}
