//! Events.

use super::{node_name, optional, optional_node_name, time};
use crate::state::ClusterState;
use crate::state::command::Actor;
use crate::state::event::Event;
use relupd_proto::api::v1;

pub(crate) fn event(state: &ClusterState, event: &Event) -> v1::Event {
    v1::Event {
        number: event.number,
        at: Some(time(event.at)),
        actor: actor(state, &event.actor),
        app: optional(event.app.as_ref()),
        node_id: optional(event.node.as_ref()),
        node_name: optional_node_name(state, event.node),
        rollout: optional(event.rollout.as_ref()),
        text: event.text.clone(),
    }
}

fn actor(state: &ClusterState, actor: &Actor) -> String {
    match actor {
        Actor::Operator(name) => name.clone(),
        Actor::Local { node, uid } => format!("uid {uid} on {}", node_name(state, *node)),
        Actor::Agent(node) => format!("agent on {}", node_name(state, *node)),
        Actor::Reconciler(node) => format!("leader {}", node_name(state, *node)),
    }
}
