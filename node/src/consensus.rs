//! Agreement: a raft member that replicates any deterministic state machine and knows nothing of what
//! it decides.
//!
//! [`start`] turns a [`Storage`], a [`StateMachine`] and a [`RaftNetwork`] into a running member: one
//! thread that owns all three, a [`Handle`] for everybody else, and an [`Exit`] that the daemon watches.
//! Invariants: nothing is acknowledged before it is on this disk and on those of a majority; what was
//! acknowledged is in every later view; a member whose state file fails stops.

mod error;
mod handle;
mod logging;
mod machine;
mod member;
mod membership;
pub mod memory_network;
mod network;
mod options;
mod proposer;
pub mod quic;
mod recovery;
mod request;
mod status;
#[cfg(any(test, feature = "testing"))]
pub mod stepped;
mod storage;
pub mod voter_keeper;
pub mod voters;

#[cfg(test)]
mod tests;

pub use self::error::{MemberError, ProposeError, ReadError, ReceiveError, StartError, TransferError};
pub use self::handle::{Exit, Handle};
pub use self::machine::{MachineError, StateMachine};
pub use self::membership::{Membership, MembershipChange};
pub use self::network::{ForwardError, RaftNetwork};
pub use self::options::Options;
pub use self::recovery::{RecoveryError, Survivor};
pub use self::status::{Leadership, PeerStatus, Role, Status};
pub use self::storage::{Batch, Content, Disk, Owner, RedbDisk, Storage, StorageError, Truncated};

use self::handle::Shared;
use self::member::{Member, Outbox, Published};
use crate::ids::RaftId;
use bytes::Bytes;
use protobuf::Message as _;
use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use tokio::sync::{oneshot, watch};

/// Starts the member that this state file belongs to. `life` is random: it tells this start of the
/// member from earlier ones.
pub fn start<S: StateMachine>(
    storage: Storage,
    machine: S,
    network: Arc<dyn RaftNetwork>,
    options: Options,
    life: u64,
) -> Result<(Handle<S>, Exit), StartError> {
    let id = storage.owner().raft;
    let (member, seen) = member(storage, machine, to_network(Arc::clone(&network)), options.clone(), life)?;
    let (inbox, inputs) = mpsc::channel();
    let (ended, exit) = oneshot::channel();
    std::thread::Builder::new()
        .name("consensus".to_owned())
        .spawn(move || {
            // If nobody waits for the end, the end of the handle's channels tells the rest.
            let _ = ended.send(member::run(member, &inputs));
        })
        .map_err(StartError::Thread)?;
    let handle = Handle::new(Shared {
        id,
        options,
        inbox,
        network,
        views: seen.views,
        status: seen.status,
        leadership: seen.leadership,
    });
    Ok((handle, Exit(exit)))
}

/// The other ends of what a member publishes.
struct Seen<V> {
    views: watch::Receiver<V>,
    status: watch::Receiver<Status>,
    leadership: watch::Receiver<Leadership>,
}

/// A member that nobody moves on yet, with the state that its file holds.
fn member<S: StateMachine>(
    storage: Storage,
    mut machine: S,
    outbox: Outbox,
    options: Options,
    life: u64,
) -> Result<(Member<S>, Seen<S::View>), StartError> {
    let snapshot = storage.last_snapshot();
    if !snapshot.is_empty() {
        machine.restore(snapshot.get_data()).map_err(StartError::Restore)?;
    }
    let (views, views_seen) = watch::channel(machine.view());
    let (status, status_seen) = watch::channel(Status {
        id: storage.owner().raft,
        role: Role::Follower,
        term: 0,
        leader: None,
        commit: 0,
        applied: snapshot.get_metadata().index,
        membership: Membership::from(snapshot.get_metadata().get_conf_state()).into(),
        peers: BTreeMap::new(),
    });
    let nobody = Leadership { term: 0, leader: None, is_self: false };
    let (leadership, leadership_seen) = watch::channel(nobody);
    let published = Published { views, status, leadership };
    let member = Member::new(storage, machine, outbox, published, options, life)?;
    Ok((member, Seen { views: views_seen, status: status_seen, leadership: leadership_seen }))
}

fn to_network(network: Arc<dyn RaftNetwork>) -> Outbox {
    Box::new(move |message| match message.write_to_bytes() {
        Ok(bytes) => network.send(RaftId(message.to), Bytes::from(bytes)),
        Err(error) => tracing::error!(%error, "a raft message cannot be encoded"),
    })
}
