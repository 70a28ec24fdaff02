//! raft-rs logs with slog; its records go on to tracing.

use slog::{Drain, Logger, o};
use tracing_slog::TracingSlogDrain;

pub(super) fn to_tracing() -> Logger {
    Logger::root(TracingSlogDrain.fuse(), o!())
}
