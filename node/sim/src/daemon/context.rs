//! What a daemon's parts reach at one moment: its host, its disk, consensus by way of calls, and the time
//! as the daemon reads it.

use super::calls::{CallId, Caller, Calls};
use super::{Core, Effect};
use crate::clock::Clock;
use crate::figures::Stopwatch;
use crate::host::Host;
use crate::random::Random;
use crate::reached::Coverage;
use crate::trace::Trace;
use relupd::agent::decide::Action;
use relupd::agent::ledger::LedgerEntry;
use relupd::agent::ledger_file;
use relupd::clock::Monotonic;
use relupd::ids::{AppName, CommandId, Digest, NodeId};
use relupd::state::command::{Actor, Command, Entry};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// As `relupd::consensus::Options` has them by default.
pub const PROPOSE_PATIENCE: Duration = Duration::from_secs(10);
pub const READ_PATIENCE: Duration = Duration::from_secs(5);

/// When this daemon last heard from a leader that had proved its quorum, as `relupd::daemon::contact`
/// keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Contact {
    pub last: Monotonic,
}

impl Contact {
    pub fn proved(&mut self, at: Monotonic) {
        self.last = self.last.max(at);
    }

    pub fn age(&self, now: Monotonic) -> Duration {
        now.since(self.last)
    }
}

/// What of a host outlives its daemon, beside raft's state file.
#[derive(Debug, Default)]
pub struct Drawer {
    /// Ledgers, as they are on disk.
    pub ledgers: BTreeMap<AppName, Vec<u8>>,
    /// Manifests whose files are in the local store.
    pub fetched: BTreeSet<Digest>,
    /// Nothing can be written.
    pub full: bool,
    /// No release can be fetched.
    pub cannot_fetch: bool,
    /// Writing takes so much longer.
    pub fsync: Duration,
}

pub struct Context<'a> {
    pub me: NodeId,
    pub place: usize,
    /// True time, for the host's model.
    pub at: Duration,
    /// As the daemon reads it.
    pub now: Monotonic,
    pub clock: &'a Clock,
    pub wall_ms: i64,
    pub host_boot: &'a String,
    pub hosts: &'a mut BTreeMap<AppName, Host>,
    pub ledgers: &'a mut BTreeMap<AppName, Vec<u8>>,
    pub fetched: &'a mut BTreeSet<Digest>,
    pub disk_full: bool,
    pub cannot_fetch: bool,
    pub ledger_fsync: Duration,
    /// No peer can be reached.
    pub alone: bool,
    pub calls: &'a mut Calls,
    pub core: &'a mut Core,
    pub contact: &'a mut Contact,
    pub random: &'a mut Random,
    pub effects: &'a mut Vec<Effect>,
    pub coverage: &'a mut Coverage,
    pub stopwatch: &'a mut Stopwatch,
    /// What has been applied anywhere.
    pub newest: u64,
    pub trace: &'a mut Trace,
}

impl Context<'_> {
    pub fn host(&self, app: &AppName) -> Option<&Host> {
        self.hosts.get(app)
    }

    pub fn log(&mut self, text: impl FnOnce() -> String) {
        self.trace.log(self.at, self.place, text);
    }

    pub fn count_action(&mut self, action: &Action) {
        self.coverage.acts(action);
        self.trace.mix(action_number(action));
    }

    /// Proposes as this node's agent.
    pub fn propose(&mut self, caller: Caller, command: Command) -> CallId {
        self.propose_as(caller, Actor::Agent(self.me), command)
    }

    pub fn propose_as(&mut self, caller: Caller, actor: Actor, command: Command) -> CallId {
        let random = u128::from(self.random.next_u64()) << 64 | u128::from(self.random.next_u64());
        let millis = u64::try_from(self.wall_ms).unwrap_or_default();
        let id = CommandId::from_parts(millis, random);
        let at = jiff::Timestamp::from_millisecond(self.wall_ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let entry = Entry { id, actor, at, command };
        self.calls.propose(caller, id, entry.encode().into(), self.now, PROPOSE_PATIENCE)
    }

    pub fn read(&mut self, caller: Caller) -> CallId {
        self.calls.read(caller, self.core, self.now, READ_PATIENCE, self.newest)
    }

    /// Brings a ledger to disk; whether that succeeded.
    pub fn write_ledger(&mut self, app: &AppName, entry: &LedgerEntry) -> bool {
        if self.disk_full {
            return false;
        }
        let Ok(bytes) = ledger_file::encode(entry) else { return false };
        self.ledgers.insert(app.clone(), bytes);
        true
    }

    /// How long a file of the daemon's own takes to be on disk.
    pub fn fsync(&mut self) -> Duration {
        self.ledger_fsync + Duration::from_micros(self.random.between(200, 4000))
    }

    pub fn fetch_takes(&mut self) -> Duration {
        Duration::from_millis(self.random.between(20, 800))
    }

    pub fn can_fetch(&mut self) -> bool {
        !self.alone && !self.disk_full && !self.cannot_fetch
    }
}

fn action_number(action: &Action) -> u64 {
    super::agent::name(action).bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31) ^ u64::from(byte))
}
