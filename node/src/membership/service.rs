//! Runs gossip: feeds chitchat this node's facts and the peers to meet, and turns what it sees into
//! views. Decisions are in `view`; this is the loop around them.

use super::facts::Facts;
use super::link::{GossipLink, LinkTransport};
use super::tuning;
use super::view::{Heard, Liveness, Roster, View};
use crate::clock;
use crate::ids::{ClusterId, NodeId};
use chitchat::{Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, NodeState, spawn_chitchat};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

/// chitchat meets the seeds it was started with by itself, and forgets nodes that stay dead. Every
/// so often the nodes of the roster that are not heard are met directly, so that a node that moved,
/// joined later or was away for long is found all the same.
const INTRODUCTION_INTERVAL: Duration = Duration::from_secs(10);
/// Each introduction to a host that is away costs a handshake that times out.
const INTRODUCTIONS_AT_ONCE: usize = 8;
/// How long the mark of a deleted key is kept; a node that was away for longer is sent everything.
const DELETED_KEY_GRACE: Duration = Duration::from_secs(60 * 60);

/// Who this node is in gossip.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Gossip of another cluster is refused.
    pub cluster: ClusterId,
    /// This node.
    pub me: NodeId,
    /// Where peers reach it.
    pub address: SocketAddr,
    /// This life of the daemon: see [`super::raise_generation`].
    pub generation: u64,
}

/// Gossip could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start gossip on {address}")]
pub struct MembershipError {
    address: SocketAddr,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Starts gossip.
pub struct Membership;

/// Gossip that runs. Dropping the handle stops it.
pub struct Handle {
    views: watch::Receiver<Arc<View>>,
    facts: watch::Sender<Facts>,
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl Membership {
    /// Starts gossip with the nodes of `roster`, which is followed as it changes.
    ///
    /// # Errors
    /// When the link cannot be opened.
    pub async fn spawn(
        settings: Settings,
        link: GossipLink,
        facts: Facts,
        roster: watch::Receiver<Arc<Roster>>,
    ) -> Result<Handle, MembershipError> {
        let config = configuration(&settings, &roster.borrow());
        let key_values = facts.to_key_values().into_iter().collect();
        let transport = LinkTransport::new(link, config.gossip_interval);
        let chitchat = spawn_chitchat(config, key_values, &transport)
            .await
            .map_err(|error| MembershipError { address: settings.address, source: error.into() })?;
        let alive = chitchat.with_chitchat(|chitchat| chitchat.live_nodes_watcher()).await;
        let stop = CancellationToken::new();
        let (facts_sender, facts) = watch::channel(facts);
        let (views_sender, views) = watch::channel(Arc::new(View::default()));
        let service =
            Service { me: settings.me, chitchat, alive, roster, facts, views: views_sender, round: 0 };
        service.refresh();
        let task = tokio::spawn(service.run(stop.clone()));
        Ok(Handle { views, facts: facts_sender, task, stop: stop.drop_guard() })
    }
}

impl Handle {
    /// What gossip says, now and whenever it changes. A hint, never an authority.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.views.clone()
    }

    /// Replaces what this node says about itself.
    pub fn publish(&self, facts: Facts) {
        self.facts.send_if_modified(|published| {
            let changed = *published != facts;
            *published = facts;
            changed
        });
    }

    /// Stops gossip and waits until it has stopped.
    pub async fn shutdown(self) {
        drop(self.stop);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "gossip did not stop cleanly");
        }
    }
}

fn configuration(settings: &Settings, roster: &Roster) -> ChitchatConfig {
    let interval = tuning::gossip_interval(roster.len());
    let seeds = roster.iter().filter(|(id, _)| **id != settings.me);
    ChitchatConfig {
        chitchat_id: ChitchatId::new(settings.me.to_string(), settings.generation, settings.address),
        cluster_id: settings.cluster.to_string(),
        gossip_interval: interval,
        listen_addr: settings.address,
        seed_nodes: seeds.map(|(_, address)| address.to_string()).collect(),
        failure_detector_config: tuning::failure_detector(interval),
        marked_for_deletion_grace_period: DELETED_KEY_GRACE,
        catchup_callback: None,
        extra_liveness_predicate: None,
    }
}

type AliveNodes = BTreeMap<ChitchatId, NodeState>;

struct Service {
    me: NodeId,
    chitchat: ChitchatHandle,
    alive: watch::Receiver<AliveNodes>,
    roster: watch::Receiver<Arc<Roster>>,
    facts: watch::Receiver<Facts>,
    views: watch::Sender<Arc<View>>,
    round: usize,
}

impl Service {
    async fn run(mut self, stop: CancellationToken) {
        let mut introductions = interval(INTRODUCTION_INTERVAL);
        introductions.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = self.chitchat.termination_watcher();
        tokio::pin!(ended);
        loop {
            // A sender that is gone means that the daemon is shutting down.
            tokio::select! {
                () = stop.cancelled() => break,
                end = &mut ended => return self.lost(end),
                change = self.alive.changed() => if change.is_err() { break },
                change = self.roster.changed() => {
                    if change.is_err() { break }
                    self.refresh();
                    self.introduce();
                }
                change = self.facts.changed() => {
                    if change.is_err() { break }
                    self.tell().await;
                }
                _ = introductions.tick() => self.introduce(),
            }
            self.refresh();
        }
        if let Err(error) = self.chitchat.shutdown().await {
            tracing::debug!(%error, "gossip ended with its link");
        }
    }

    fn refresh(&self) {
        let heard = heard(&self.alive.borrow());
        let roster = self.roster.borrow();
        let now = clock::monotonic();
        self.views.send_if_modified(|view| {
            let next = view.next(&roster, &heard, now);
            let changed = next != **view;
            if changed {
                log_liveness(view, &next);
                *view = Arc::new(next);
            }
            changed
        });
    }

    fn introduce(&mut self) {
        let view = self.views.borrow();
        for address in unheard(&view, self.me, self.round) {
            if self.chitchat.gossip(address).is_err() {
                tracing::debug!(%address, "gossip has ended");
            }
        }
        self.round = self.round.wrapping_add(INTRODUCTIONS_AT_ONCE);
    }

    async fn tell(&mut self) {
        let told = self.facts.borrow_and_update().to_key_values();
        self.chitchat.with_chitchat(|chitchat| replace_key_values(chitchat, &told)).await;
    }

    /// Gossip has ended though nobody asked it to. Rather no answer than an old one.
    fn lost(self, end: anyhow::Result<()>) {
        let reason = end.err().map_or_else(|| "its loop returned".to_owned(), |error| error.to_string());
        tracing::error!(
            reason,
            "gossip has ended: liveness of all peers is unknown until the daemon restarts"
        );
        self.views.send_modify(|view| *view = Arc::new(view.blind()));
    }
}

/// A node that restarted within the horizon is alive twice for a moment: the later life counts.
fn heard(alive: &AliveNodes) -> BTreeMap<NodeId, Heard> {
    // Ordered by node id, then generation, so the later life overwrites the earlier one.
    let parsed = alive.iter().filter_map(|(id, state)| {
        let node = id.node_id.parse().ok()?;
        let facts = Facts::from_key_values(state.key_values());
        Some((node, Heard { address: id.gossip_advertise_addr, facts }))
    });
    parsed.collect()
}

/// Whom to meet in this round: a window over the nodes that are not heard, which moves on each time.
fn unheard(view: &View, me: NodeId, round: usize) -> Vec<SocketAddr> {
    let unheard = view.members.iter().filter(|(id, member)| **id != me && member.liveness != Liveness::Alive);
    let unheard: Vec<_> = unheard.map(|(_, member)| member.address).collect();
    let count = unheard.len().min(INTRODUCTIONS_AT_ONCE);
    (0..count).map(|offset| unheard[(round % unheard.len() + offset) % unheard.len()]).collect()
}

fn replace_key_values(chitchat: &mut Chitchat, told: &BTreeMap<String, String>) {
    let state = chitchat.self_node_state();
    let gone = state.key_values().filter(|(key, _)| !told.contains_key(*key));
    let gone: Vec<_> = gone.map(|(key, _)| key.to_owned()).collect();
    for key in gone {
        state.delete(&key);
    }
    for (key, value) in told {
        state.set(key, value);
    }
}

fn log_liveness(before: &View, after: &View) {
    for (node, member) in &after.members {
        if before.members.get(node).map(|member| member.liveness) != Some(member.liveness) {
            tracing::info!(%node, address = %member.address, liveness = ?member.liveness, "liveness by gossip");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_unheard_is_met_in_turn_and_this_node_never() {
        let node = |number| NodeId::from_parts(number, 0);
        let roster: Roster = (0..21_u16).map(|i| (node(i.into()), ([127, 0, 0, 1], i).into())).collect();
        let view = View::default().next(&roster, &BTreeMap::new(), clock::monotonic());
        let rounds = (0..3).map(|round| unheard(&view, node(0), round * INTRODUCTIONS_AT_ONCE));
        let met: std::collections::BTreeSet<_> = rounds.flatten().map(|address| address.port()).collect();
        assert_eq!(met, (1..21).collect());
    }

    #[test]
    fn nobody_is_met_when_everybody_is_heard() {
        assert!(unheard(&View::default(), NodeId::from_parts(0, 0), 7).is_empty());
    }
}
