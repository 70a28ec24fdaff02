//! The crash matrix: one node with the real daemon, the real driver and a real VM goes from one version to
//! another, and at a point on the way something breaks. Afterwards it must be wholly on one of the two, the
//! one that the cluster decided, or say what it needs. What it is on is told by witnesses: the files under
//! the release root as they are, the app's own word and the kernel's.

mod cell;
mod disk;
mod evidence;
mod fault;
mod files;
mod matrix;
mod points;
mod stand;
mod transition;

pub use cell::{Cell, Outcome, Verdict};
pub use disk::unmount;
pub use fault::Fault;
pub use matrix::{Matrix, Selection};
pub use points::Points;
pub use transition::Transition;
