//! A state machine for tests: it keeps the numbers it was given, each once, in their order.

use crate::consensus::{MachineError, StateMachine};
use crate::ids::NodeId;
use bytes::Bytes;
use std::sync::Arc;

#[derive(Clone, Default)]
pub(super) struct Ledger {
    numbers: Arc<Vec<u64>>,
}

/// A number that no peer may have written down.
pub(super) const FORGED: u64 = 666;

/// An entry that writes this number down.
pub(super) fn entry(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

impl StateMachine for Ledger {
    type View = Arc<Vec<u64>>;
    /// The number's position in the ledger.
    type Outcome = usize;

    fn admit(peer: NodeId, entry: &[u8]) -> Result<(), MachineError> {
        if entry == FORGED.to_be_bytes() { Err(format!("not from {peer}").into()) } else { Ok(()) }
    }

    fn apply(&mut self, _index: u64, entry: &[u8]) -> Result<usize, MachineError> {
        let number = u64::from_be_bytes(entry.try_into()?);
        Ok(self.numbers.iter().position(|known| *known == number).unwrap_or_else(|| {
            Arc::make_mut(&mut self.numbers).push(number);
            self.numbers.len() - 1
        }))
    }

    fn snapshot(&self) -> Bytes {
        self.numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), MachineError> {
        let numbers = snapshot.chunks(8).map(|bytes| Ok(u64::from_be_bytes(bytes.try_into()?)));
        self.numbers = Arc::new(numbers.collect::<Result<_, std::array::TryFromSliceError>>()?);
        Ok(())
    }

    fn view(&self) -> Arc<Vec<u64>> {
        Arc::clone(&self.numbers)
    }
}
