//! Streams that follow the state: an answer now, and another after every change. They end when the
//! caller goes, when it loses its right to look, and when the daemon stops.

use super::caller::Peer;
use super::context::Context;
use super::error::unavailable;
use crate::state::ClusterState;
use crate::state::node::Role;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// What a service gives back for a stream.
pub(crate) type Answers<T> = ReceiverStream<Result<T, Status>>;

/// Answers that may wait for a slow reader before its stream stops looking at the state; it goes on
/// with the newest one.
const BUFFERED: usize = 64;

/// The sending side of such a stream.
pub(crate) struct Follower<T> {
    context: Context,
    peer: Peer,
    states: watch::Receiver<Arc<ClusterState>>,
    answers: mpsc::Sender<Result<T, Status>>,
}

impl<T> Follower<T> {
    /// A stream and the side that fills it.
    pub(crate) fn start(context: Context, peer: Peer) -> Result<(Self, Answers<T>), Status> {
        let mut states = context.states()?;
        states.mark_changed();
        let (answers, receiver) = mpsc::channel(BUFFERED);
        Ok((Self { context, peer, states, answers }, ReceiverStream::new(receiver)))
    }

    /// The state: at once when first asked, then after a change. `None` ends the stream.
    pub(crate) async fn next(&mut self) -> Option<Arc<ClusterState>> {
        tokio::select! {
            () = self.answers.closed() => return None,
            () = self.context.stopping() => {
                self.send_error(unavailable("this daemon is stopping; ask another node, or again later")).await;
                return None;
            }
            changed = self.states.changed() => changed.ok()?,
        }
        if let Err(denied) = self.context.admit_peer(&self.peer, Role::Viewer) {
            self.send_error(denied).await;
            return None;
        }
        Some(self.states.borrow_and_update().clone())
    }

    /// Whether somebody still listens.
    pub(crate) async fn send(&self, answer: T) -> bool {
        self.answers.send(Ok(answer)).await.is_ok()
    }

    /// The last answer, if it is read at all.
    pub(crate) async fn send_error(&self, error: Status) {
        // Nobody listens any more: then nobody misses it.
        let _ = self.answers.send(Err(error)).await;
    }

    pub(crate) const fn context(&self) -> &Context {
        &self.context
    }
}
