//! Drives releases of Erlang/OTP.

pub mod launch;
pub mod layout;
pub mod link;
mod term;
mod vm;
