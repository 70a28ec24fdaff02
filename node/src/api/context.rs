//! What every service has at hand: the daemon, and the gate that each request goes through.

use super::caller::{Denied, Peer, identify};
use super::control::{ControlError, ControlPlane};
use super::error::{from_control, internal};
use crate::state::ClusterState;
use crate::state::command::{Actor, Applied, Command};
use crate::state::node::Role;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

/// The daemon, and who its own user is.
#[derive(Clone)]
pub(crate) struct Context {
    control: Arc<dyn ControlPlane>,
    own_uid: u32,
    stop: CancellationToken,
}

impl Context {
    pub(crate) fn new(control: Arc<dyn ControlPlane>, own_uid: u32, stop: CancellationToken) -> Self {
        Self { control, own_uid, stop }
    }

    pub(crate) fn control(&self) -> &dyn ControlPlane {
        &*self.control
    }

    /// Lets the request in if its caller has the role, in a cluster.
    pub(crate) fn admit<T>(&self, request: &Request<T>, needed: Role) -> Result<Actor, Status> {
        self.local_state()?;
        self.admit_anywhere(request, needed)
    }

    /// Lets the request in if its caller has the role, in or outside a cluster.
    pub(crate) fn admit_anywhere<T>(&self, request: &Request<T>, needed: Role) -> Result<Actor, Status> {
        let peer = peer(request)?;
        self.admit_peer(&peer, needed)
    }

    /// Lets the request in if it comes over this node's own socket, in or outside a cluster.
    pub(crate) fn admit_local<T>(&self, request: &Request<T>) -> Result<Actor, Status> {
        match peer(request)? {
            Peer::Certificate { .. } => Err(Denied::NotLocal.into()),
            local @ Peer::Local { .. } => self.admit_peer(&local, Role::Admin),
        }
    }

    /// As `admit`, for a stream that asks again from time to time whether its caller is still welcome.
    pub(crate) fn admit_peer(&self, peer: &Peer, needed: Role) -> Result<Actor, Status> {
        let state = self.control.state();
        let caller = identify(peer, state.as_deref(), self.own_uid)?;
        Ok(caller.authorize(needed, self.control.me())?)
    }

    /// The state as it is applied here, possibly behind.
    pub(crate) fn local_state(&self) -> Result<Arc<ClusterState>, Status> {
        self.control.state().ok_or_else(|| self.status(&ControlError::NotInitialized))
    }

    /// The state as it changes.
    pub(crate) fn states(&self) -> Result<watch::Receiver<Arc<ClusterState>>, Status> {
        self.control.states().ok_or_else(|| self.status(&ControlError::NotInitialized))
    }

    /// Returns when the daemon stops.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// The state with everything that was acknowledged before.
    pub(crate) async fn fresh_state(&self) -> Result<Arc<ClusterState>, Status> {
        self.local_state()?;
        self.control.read_barrier().await.map_err(|error| self.status(&error))?;
        self.local_state()
    }

    /// Has a command decided; its effect is in the local state when this returns.
    pub(crate) async fn propose(&self, actor: Actor, command: Command) -> Result<Applied, Status> {
        self.control.propose(actor, command).await.map_err(|error| self.status(&error))
    }

    /// The daemon's error as the caller sees it.
    pub(crate) fn status(&self, error: &ControlError) -> Status {
        from_control(error, &self.control.name(), self.control.state().as_deref())
    }
}

/// The other end of the request's connection.
pub(crate) fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    let peer = request.extensions().get::<Peer>().cloned();
    peer.ok_or_else(|| internal("the listener did not say who is calling"))
}
