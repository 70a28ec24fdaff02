//! The promises S1 to S12 as checks. Each is a function named as the sentence that it proves, over plain
//! data: replicated states, the ground truth of hosts, and what was noted of the past. `Auditor` holds
//! the past and asks each of them at the moment at which it can be broken.

mod acknowledged;
mod audit;
mod begins;
mod changed;
mod founded;
mod in_flight;
mod log;
mod mixed;
mod newest_order;
mod one_way;
mod outsiders;
mod permanent;
mod reports;
mod said;
mod settled;
mod terminal;
#[cfg(test)]
mod tests;

pub use audit::Auditor;
pub use founded::what_a_member_says_is_on_its_disk;
pub use newest_order::Effect;
pub use outsiders::{Contact, a_revoked_peer_changes_nothing_and_learns_nothing, is_out};
pub use relupd::state::invariants::Violation;
pub use said::Said;
pub use terminal::{Survivor, order_left};

use crate::host::Truth;
use relupd::ids::{AppName, NodeId};

/// The hosts, as they are.
pub trait Hosts {
    /// One app on one host; `None` where the host is gone for good.
    fn truth(&self, node: NodeId, app: &AppName) -> Option<Truth>;

    /// Whether the app does not run there, by relupd's doing. Asked after every event, so apart.
    fn is_down_by_us(&self, node: NodeId, app: &AppName) -> bool {
        self.truth(node, app).is_some_and(|truth| truth.down_by_us)
    }

    /// Whether its agent is at leisure to look and to tell, and somebody there to be told.
    fn could_tell(&self, node: NodeId, app: &AppName) -> bool;

    /// Whether a leader may rightly believe just now that it cannot be reached.
    fn may_be_out_of_reach(&self, node: NodeId) -> bool;
}

fn broken(promise: &'static str, detail: String) -> Violation {
    Violation { promise, detail }
}
