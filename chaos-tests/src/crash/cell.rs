//! One cell: what breaks where, and what came of it.

use super::fault::Fault;
use super::transition::Transition;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// A fault at a passage of a point of a transition.
#[derive(Clone, Debug)]
pub struct Cell {
    /// On which way.
    pub transition: Transition,
    /// Where.
    pub point: String,
    /// At which passage of it, from 1.
    pub passage: usize,
    /// What.
    pub fault: Fault,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transition, point, passage, fault } = self;
        write!(f, "{}: {fault} at \"{point}\" ({passage})", transition.name)
    }
}

/// How the node ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Wholly on the version that the cluster decided.
    Ok {
        /// The version; none where nothing is installed.
        on: Option<String>,
        /// How the rollout ended.
        phase: String,
    },
    /// It says what it needs, and which command to run.
    NeedsOperator {
        /// What `rollout show` says.
        shown: String,
    },
    /// Anything else.
    Wrong {
        /// What does not fit.
        why: String,
    },
    /// The point was not passed, or there was nothing to break: says nothing.
    NotReached {
        /// Why not.
        why: String,
    },
}

/// A cell with what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Which cell.
    pub cell: String,
    /// How the node ended.
    pub verdict: Verdict,
    /// From the end of the fault until everything agreed.
    pub recovery: Duration,
    /// Whether the fault was a VM that stood still: its end is what is measured.
    pub hang: bool,
}
