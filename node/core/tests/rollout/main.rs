//! Scenarios for the rollout core: real `state::apply` and `rollout::step`, nodes that answer as the
//! script says. Each ends with one more look that changes nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]
#![expect(unreachable_pub, reason = "modules of one test program share their helpers")]

mod abort;
mod applying;
mod back;
mod bad_input;
mod catch_up;
mod counting;
mod deadlines;
mod forward;
mod limits;
mod planning;
mod remembered;
mod script;
mod turns;
mod world;
