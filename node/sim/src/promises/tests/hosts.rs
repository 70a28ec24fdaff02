//! Hosts as a test has them.

use super::*;

/// Hosts as a test has them.
#[derive(Default)]
pub(super) struct Fleet {
    truths: BTreeMap<NodeId, Truth>,
    pub(super) cut_off: BTreeSet<NodeId>,
}

impl Fleet {
    /// Three hosts that boot and run these.
    pub(super) fn on(permanent: &str, runs: &str) -> Self {
        let truths = (1..=3).map(|number| (node(number), truth(permanent, runs))).collect();
        Self { truths, cut_off: BTreeSet::new() }
    }

    pub(super) fn change(mut self, number: u64, change: impl FnOnce(&mut Truth)) -> Self {
        change(self.truths.get_mut(&node(number)).expect("a host"));
        self
    }
}

impl Hosts for Fleet {
    fn truth(&self, node: NodeId, _app: &AppName) -> Option<Truth> {
        self.truths.get(&node).cloned()
    }

    fn could_tell(&self, node: NodeId, _app: &AppName) -> bool {
        !self.cut_off.contains(&node)
    }

    fn may_be_out_of_reach(&self, node: NodeId) -> bool {
        self.cut_off.contains(&node)
    }
}

pub(super) fn truth(permanent: &str, runs: &str) -> Truth {
    Truth {
        permanent: Some(version(permanent)),
        pointer_torn_for: None,
        pointers_agree: true,
        process: ProcessTruth::Up(VmTruth {
            nonce: life(),
            code: Some(version(runs)),
            environment: version(runs),
            handler_permanent: Some(version(permanent)),
            changing: false,
            unmigrated: false,
            ran_for: Duration::from_secs(60),
            rounds_passed: 9,
            rounds_failed_in_a_row: 0,
        }),
        down_by_us: false,
    }
}
