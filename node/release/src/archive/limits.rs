//! What an archive may cost the one who reads it.

use crate::manifest::{MAX_ENTRIES, MAX_TOTAL_SIZE};

/// Bounds on an archive. The defaults are far above any real release and far below what hurts a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members, directories included.
    pub members: usize,
    /// Bytes of one file.
    pub member_size: u64,
    /// Bytes of the whole archive, unpacked.
    pub total_size: u64,
    /// Unpacked bytes for each packed one, measured once [`Limits::ratio_from`] bytes are unpacked.
    /// Releases reach 3 to 5, text 20; a bomb of zeros reaches 1000.
    pub ratio: u64,
    /// A small archive may hold a file of zeros.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members: MAX_ENTRIES,
            member_size: 2 << 30,
            total_size: MAX_TOTAL_SIZE,
            ratio: 100,
            ratio_from: 64 << 20,
        }
    }
}
