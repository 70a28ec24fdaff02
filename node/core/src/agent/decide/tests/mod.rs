//! Tables of order, ledger and sight against the one right action.

mod action;
pub(in crate::agent) mod case;
mod committed;
mod forward;
mod idle;
mod long_running;
mod orphan;
mod prepare;
mod revert;
