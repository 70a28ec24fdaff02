//! What to do next with a rollout, and why not yet. PURE: no async, no clock, no I/O; time, contact
//! and health are passed in. Deciding changes nothing: decisions are proposed, and count once applied.

pub mod catch_up;
pub mod plan;
pub mod round;
pub mod step;
pub mod timers;
pub mod view;
pub mod waiting;

mod back;
mod canary;
mod forward;
mod prepare;
mod turns;
