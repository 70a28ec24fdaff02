//! Whole clusters in one process: real members, real state files, and links that can be cut.

mod cluster;
mod faults;
mod keeper;
mod ledger;
mod over_quic;
mod promises;
mod recovery;

use self::cluster::{Cluster, fast};
use self::ledger::Ledger;
