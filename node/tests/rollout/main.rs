//! Scenarios for the rollout core: real `state::apply` and `rollout::step`, nodes that answer as the
//! script says. Each ends with one more look that changes nothing.

mod abort;
mod back;
mod bad_input;
mod catch_up;
mod deadlines;
mod forward;
mod world;
