//! The one place that asks the operating system for random bits.

use rand::TryRngCore;
use rand::rngs::OsRng;

/// `N` random bytes, fit for keys.
///
/// # Panics
/// When the operating system has no randomness to give: no key made after that could be trusted.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
