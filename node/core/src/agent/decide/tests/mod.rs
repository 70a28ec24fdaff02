//! Tables of order, ledger and sight against the one right action.

mod case;
mod forward;
mod idle;
mod later;
