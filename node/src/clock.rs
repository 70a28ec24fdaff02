//! The only place that reads time (`clippy.toml` forbids it elsewhere). Decisions take the time
//! as an argument.

pub use relupd_core::clock::Monotonic;

use jiff::Timestamp;
use std::sync::LazyLock;
use std::time::Instant;

static START: LazyLock<Instant> = LazyLock::new(instant);

#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
fn instant() -> Instant {
    Instant::now()
}

/// The monotonic time now.
#[must_use]
pub fn monotonic() -> Monotonic {
    let start = *START;
    Monotonic::from_start(instant().saturating_duration_since(start))
}

/// The wall clock now: for certificates and for people, never for a deadline.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}
