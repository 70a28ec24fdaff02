//! Whole clusters over a network in memory, on real time: chitchat reads the clock itself.

use super::*;
use crate::ids::{ClusterId, NodeId};
use arc_swap::ArcSwap;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

type Inboxes = BTreeMap<SocketAddr, mpsc::Sender<(SocketAddr, Bytes)>>;

/// Delivers at once, or not at all to addresses where nobody listens.
#[derive(Clone, Default)]
struct Network(Arc<ArcSwap<Inboxes>>);

struct Port {
    network: Network,
    address: SocketAddr,
}

impl GossipSender for Port {
    fn send(&self, to: SocketAddr, message: Bytes) {
        let inboxes = self.network.0.load();
        // A host that was killed sends nothing either.
        if inboxes.contains_key(&self.address)
            && let Some(inbox) = inboxes.get(&to)
        {
            let _ = inbox.try_send((self.address, message));
        }
    }
}

impl Network {
    fn plug(&self, address: SocketAddr) -> GossipLink {
        let (inbox, incoming) = mpsc::channel(256);
        self.0.rcu(|inboxes| {
            let mut inboxes = Inboxes::clone(inboxes);
            inboxes.insert(address, inbox.clone());
            inboxes
        });
        GossipLink { sender: Arc::new(Port { network: self.clone(), address }), incoming }
    }

    /// As kill -9: nothing is said, nothing is received any more.
    fn unplug(&self, address: SocketAddr) {
        self.0.rcu(|inboxes| {
            let mut inboxes = Inboxes::clone(inboxes);
            inboxes.remove(&address);
            inboxes
        });
    }
}

fn node(number: u16) -> NodeId {
    NodeId::from_parts(number.into(), 0)
}

fn address(number: u16) -> SocketAddr {
    ([127, 0, 0, 1], number).into()
}

fn roster(nodes: impl IntoIterator<Item = u16>) -> Arc<Roster> {
    Arc::new(nodes.into_iter().map(|number| (node(number), address(number))).collect())
}

fn facts(version: &str) -> Facts {
    Facts { daemon_version: Some(version.to_owned()), apps: BTreeMap::new() }
}

async fn start(
    network: &Network,
    number: u16,
    generation: u64,
    roster: &watch::Sender<Arc<Roster>>,
) -> Handle {
    let settings = Settings {
        cluster: ClusterId::from_parts(1, 1),
        me: node(number),
        address: address(number),
        generation,
    };
    let link = network.plug(address(number));
    Membership::spawn(settings, link, facts(&format!("0.1.{number}")), roster.subscribe()).await.unwrap()
}

async fn cluster(network: &Network, roster: &watch::Sender<Arc<Roster>>) -> Vec<Handle> {
    let mut handles = Vec::new();
    for number in 1..=3 {
        handles.push(start(network, number, 1, roster).await);
    }
    handles
}

async fn until(handle: &Handle, what: &str, condition: impl Fn(&View) -> bool) {
    let mut views = handle.views();
    let waited = timeout(Duration::from_secs(20), views.wait_for(|view| condition(view))).await;
    assert!(waited.is_ok(), "{what} did not come true: {:?}", handle.views().borrow());
}

fn liveness(view: &View, number: u16) -> Liveness {
    view.members[&node(number)].liveness
}

async fn until_all_alive(handles: &[Handle]) {
    for handle in handles {
        until(handle, "everybody alive", |view| view.alive().count() == handles.len()).await;
    }
}

async fn until_dead(handles: &[Handle], number: u16) {
    for handle in handles {
        until(handle, "death", |view| matches!(liveness(view, number), Liveness::Dead { .. })).await;
    }
}

#[tokio::test]
async fn three_nodes_see_each_other_and_what_they_say() {
    let (network, roster) = (Network::default(), watch::Sender::new(roster(1..=3)));
    let handles = cluster(&network, &roster).await;
    until_all_alive(&handles).await;

    let app = AppGossip { version: Some("0.2.0".parse().unwrap()), healthy: Some(true) };
    let apps = BTreeMap::from([("shop".parse().unwrap(), app)]);
    handles[2].publish(Facts { apps: apps.clone(), ..facts("0.1.3") });
    until(&handles[0], "the app is seen", |view| view.members[&node(3)].apps == apps).await;
    handles[2].publish(facts("0.2.3"));
    until(&handles[0], "the app is gone", |view| view.members[&node(3)].apps.is_empty()).await;
    until(&handles[0], "a new daemon", |view| {
        view.members[&node(3)].daemon_version.as_deref() == Some("0.2.3")
    })
    .await;
}

#[tokio::test]
async fn death_of_a_node_just_met_is_seen() {
    let (network, roster) = (Network::default(), watch::Sender::new(roster(1..=3)));
    let mut handles = cluster(&network, &roster).await;
    until_all_alive(&handles).await;
    network.unplug(address(3));
    handles.truncate(2);
    until_dead(&handles, 3).await;
}

#[tokio::test]
async fn death_of_an_old_friend_is_seen() {
    let (network, roster) = (Network::default(), watch::Sender::new(roster(1..=3)));
    let mut handles = cluster(&network, &roster).await;
    until_all_alive(&handles).await;
    // Warm is a matter of time alone: some twenty rounds of gossip.
    tokio::time::sleep(Duration::from_secs(5)).await;
    network.unplug(address(3));
    handles.truncate(2);
    until_dead(&handles, 3).await;
}

#[tokio::test]
async fn a_restarted_node_is_alive_again_with_its_new_facts() {
    let (network, roster) = (Network::default(), watch::Sender::new(roster(1..=3)));
    let mut handles = cluster(&network, &roster).await;
    until_all_alive(&handles).await;
    network.unplug(address(3));
    handles.pop().unwrap().shutdown().await;
    until_dead(&handles, 3).await;
    let again = start(&network, 3, 2, &roster).await;
    again.publish(facts("0.9.9"));
    handles.push(again);
    until_all_alive(&handles).await;
    until(&handles[0], "its new version", |view| {
        view.members[&node(3)].daemon_version.as_deref() == Some("0.9.9")
    })
    .await;
}

#[tokio::test]
async fn a_node_that_never_came_is_unknown_and_a_removed_one_is_dropped() {
    let (network, roster_sender) = (Network::default(), watch::Sender::new(roster(1..=4)));
    let handles = cluster(&network, &roster_sender).await;
    until(&handles[0], "three alive", |view| view.alive().count() == 3).await;
    assert_eq!(liveness(&handles[0].views().borrow(), 4), Liveness::Unknown);
    roster_sender.send_replace(roster([1, 2, 4]));
    until(&handles[0], "the third dropped", |view| !view.members.contains_key(&node(3))).await;
}

#[tokio::test]
async fn a_node_that_joins_later_is_met_by_nodes_that_did_not_know_it() {
    let (network, early, late) =
        (Network::default(), watch::Sender::new(roster([1])), watch::Sender::new(roster([2])));
    let first = start(&network, 1, 1, &early).await;
    // The second one knows nobody: only the first one's introduction can bring them together.
    let second = start(&network, 2, 1, &late).await;
    late.send_replace(roster([2]));
    early.send_replace(roster([1, 2]));
    until(&first, "the second is met", |view| view.alive().count() == 2).await;
    drop(second);
}
