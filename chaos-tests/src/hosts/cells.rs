//! The matrix: every fault, at every phase of a rollout, on every kind of host. A cell is one of these,
//! and what must be so after it. Pure.

use super::faults::Fault;
use crate::ctl::Rollout;
use serde::Serialize;

/// When it strikes: as soon as the rollout has come so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// It was just started.
    Preparing,
    /// The first node has its order.
    Installing,
    /// The first node bakes.
    Baking,
    /// Every node is healthy, and the decision is near, or was just made.
    Committing,
    /// An operator has ordered it back.
    Reverting,
}

impl Moment {
    /// Every one, in order.
    pub const ALL: [Self; 5] =
        [Self::Preparing, Self::Installing, Self::Baking, Self::Committing, Self::Reverting];

    /// Whether a rollout has come so far. One that has gone beyond has, too: a phase of some
    /// milliseconds may be over between two looks.
    #[must_use]
    pub fn has_come(self, rollout: &Rollout) -> bool {
        let phase = rollout.summary.phase.as_str();
        let any = |steps: &[&str]| rollout.nodes.iter().any(|node| steps.contains(&node.step.as_str()));
        let is_late = !["preparing", "rolling"].contains(&phase);
        match self {
            Self::Preparing => true,
            Self::Installing => is_late || rollout.nodes.iter().any(|node| node.touched),
            Self::Baking => is_late || any(&["baking", "healthy"]),
            Self::Committing => is_late,
            Self::Reverting => is_late && phase != "committing" && phase != "halted",
        }
    }
}

impl Moment {
    /// Whether a rollout is there, and not beyond.
    #[must_use]
    pub fn is_now(self, rollout: &Rollout) -> bool {
        let phase = match self {
            Self::Preparing => "preparing",
            Self::Installing | Self::Baking => "rolling",
            Self::Committing => "committing",
            Self::Reverting => "reverting",
        };
        self.has_come(rollout) && rollout.summary.phase == phase
    }
}

/// Whom it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The first host of the plan.
    AtWork,
    /// The leader of the cluster.
    Leader,
    /// One that is neither, and whose turn is last.
    Bystander,
}

impl Role {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::AtWork, Self::Leader, Self::Bystander];

    /// The host with this role, by name.
    #[must_use]
    pub fn of<'a>(self, order: &[&'a str], leader: &'a str) -> Option<&'a str> {
        match self {
            Self::AtWork => order.first().copied(),
            Self::Leader => Some(leader),
            Self::Bystander => order.iter().rev().find(|name| **name != leader).copied(),
        }
    }
}

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// What.
    pub fault: Fault,
    /// When.
    pub moment: Moment,
    /// Whom.
    pub role: Role,
}

impl Cell {
    /// Every one.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for fault in Fault::ALL {
            for moment in Moment::ALL {
                cells.extend(Role::ALL.map(|role| Self { fault, moment, role }));
            }
        }
        cells
    }

    /// Every fault once, each moment and role about as often: one cell of every fault's fifteen, another
    /// one for the next fault.
    #[must_use]
    pub fn selection() -> Vec<Self> {
        let cell = |(index, fault)| {
            let moment = Moment::ALL[index % Moment::ALL.len()];
            let role = Role::ALL[index % Role::ALL.len()];
            Self { fault, moment, role }
        };
        Fault::ALL.into_iter().enumerate().map(cell).collect()
    }

    /// Whether a rollout may end so. Every fault is healed after seconds, so nothing is left for an
    /// operator; what was ordered back goes back, and a fault that nobody's turn waits for changes nothing.
    #[must_use]
    pub fn may_end(self, phase: &str) -> bool {
        let passes_by = self.role == Role::Bystander && self.fault.is_of_the_network_or_the_daemon();
        let may: &[&str] = match self.moment {
            Moment::Reverting => &["reverted"],
            _ if passes_by => &["completed"],
            Moment::Preparing => &["completed", "refused", "reverted"],
            Moment::Installing | Moment::Baking | Moment::Committing => &["completed", "reverted"],
        };
        may.contains(&phase)
    }

    /// So many hosts' apps may fail at the same time: one by the rollout, and one by the fault; the same one,
    /// while the first host of the plan is at work or soon will be.
    #[must_use]
    pub const fn may_fail_at_once(self) -> usize {
        let is_first = matches!(self.moment, Moment::Preparing | Moment::Installing | Moment::Baking);
        let is_at_work = matches!(self.role, Role::AtWork) && is_first;
        1 + (self.fault.ends_the_app() && !is_at_work) as usize
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} while {:?} on {:?}", self.fault, self.moment, self.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_has_every_combination_once() {
        let all = Cell::all();
        assert_eq!(all.len(), Fault::ALL.len() * Moment::ALL.len() * Role::ALL.len());
        assert!(all.len() >= 150);
        for (index, cell) in all.iter().enumerate() {
            assert!(!all[..index].contains(cell), "{cell} comes twice");
        }
    }

    #[test]
    fn the_selection_has_every_fault_moment_and_role() {
        let selection = Cell::selection();
        for fault in Fault::ALL {
            assert_eq!(selection.iter().filter(|cell| cell.fault == fault).count(), 1, "{fault:?}");
        }
        for moment in Moment::ALL {
            assert!(selection.iter().any(|cell| cell.moment == moment), "{moment:?}");
        }
        for role in Role::ALL {
            assert!(selection.iter().any(|cell| cell.role == role), "{role:?}");
        }
    }

    #[test]
    fn what_passes_a_bystander_by_changes_nothing() {
        let cell = |fault, role| Cell { fault, moment: Moment::Installing, role };
        let [bystander, at_work] = [Role::Bystander, Role::AtWork].map(|role| cell(Fault::Partition, role));
        assert!(bystander.may_end("completed") && !bystander.may_end("reverted"));
        assert!(at_work.may_end("reverted"));
        assert!(cell(Fault::KillVm, Role::Bystander).may_end("reverted"));
        assert_eq!(cell(Fault::KillVm, Role::Bystander).may_fail_at_once(), 2);
        assert_eq!(cell(Fault::KillVm, Role::AtWork).may_fail_at_once(), 1);
    }

    #[test]
    fn a_bystander_is_neither_at_work_nor_the_leader() {
        let order = ["n2", "n3", "n1"];
        assert_eq!(Role::AtWork.of(&order, "n1"), Some("n2"));
        assert_eq!(Role::Bystander.of(&order, "n1"), Some("n3"));
        assert_eq!(Role::Bystander.of(&order, "n3"), Some("n1"));
    }
}
