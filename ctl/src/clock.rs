//! The only place that reads time.

use jiff::Timestamp;

/// The wall clock: for showing how long ago something was.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
