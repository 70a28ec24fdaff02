//! Tables of order, ledger and sight against the one right action.

pub(in crate::agent) mod case;
mod forward;
mod idle;
mod later;
mod long_running;
