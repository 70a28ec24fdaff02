//! Events.

use crate::api::context::{Context, peer};
use crate::api::follow::{Answers, Follower};
use crate::api::view;
use crate::state::node::Role;
use relupd_proto::api::v1;
use tonic::{Request, Response, Status};

pub(crate) struct Events(pub(crate) Context);

#[tonic::async_trait]
impl v1::event_service_server::EventService for Events {
    type ListEventsStream = Answers<v1::ListEventsResponse>;

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<Self::ListEventsStream>, Status> {
        self.0.admit(&request, Role::Viewer)?;
        let peer = peer(&request)?;
        let request = request.into_inner();
        let (follower, answers) = Follower::start(self.0.clone(), peer)?;
        tokio::spawn(send_events(follower, request));
        Ok(Response::new(answers))
    }
}

async fn send_events(mut follower: Follower<v1::ListEventsResponse>, request: v1::ListEventsRequest) {
    let mut next = None;
    while let Some(state) = follower.next().await {
        let from = next.unwrap_or_else(|| first_wanted(state.next.event, request.last));
        for event in state.events.iter().filter(|event| event.number >= from) {
            let event = Some(view::event::event(&state, event));
            if !follower.send(v1::ListEventsResponse { event }).await {
                return;
            }
        }
        next = Some(state.next.event);
        if !request.follow {
            return;
        }
    }
}

/// The number of the first event to send; `last` 0 means all that are kept.
const fn first_wanted(next_number: u64, last: u32) -> u64 {
    if last == 0 { 0 } else { next_number.saturating_sub(last as u64) }
}
