//! The ways from one version to another, and back, that are interrupted.

/// What is installed before and what is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Its name.
    pub name: &'static str,
    /// None where nothing is installed.
    pub from: Option<&'static str>,
    /// The version that is ordered.
    pub to: &'static str,
    /// How the plan must go about it.
    pub method: &'static str,
    /// Where the rollout leads when nothing breaks.
    pub course: Course,
}

/// Where a rollout leads when nothing breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// To what was ordered.
    There,
    /// Back, and the way back is what is broken.
    Back(TurnedBy),
    /// To what was ordered, once the release has come: its push is what is broken, and then repeated.
    AfterPush,
}

/// Who finds that a release on trial must not stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedBy {
    /// The health checks: they passed before.
    Health,
    /// An operator, who does not wait until a start has had its time.
    Operator,
}

/// 0.1.0 and 0.2.0 know a relup for each other, 0.3.0 knows one for 0.2.0; 0.4.0 knows none.
pub(super) const ALL: [Transition; 9] = [
    there("first", None, "0.1.0", "first"),
    there("hot-up", Some("0.1.0"), "0.2.0", "hot"),
    there("hot-down", Some("0.2.0"), "0.1.0", "hot"),
    there("restart-up", Some("0.2.0"), "0.4.0", "restart"),
    there("restart-down", Some("0.4.0"), "0.2.0", "restart"),
    back("first-back", None, "first", TurnedBy::Operator),
    back("hot-back", Some("0.2.0"), "hot", TurnedBy::Health),
    back("restart-back", Some("0.4.0"), "restart", TurnedBy::Operator),
    Transition { name: "push", from: None, to: LATE, method: "first", course: Course::AfterPush },
];

const fn there(
    name: &'static str,
    from: Option<&'static str>,
    to: &'static str,
    method: &'static str,
) -> Transition {
    Transition { name, from, to, method, course: Course::There }
}

const fn back(
    name: &'static str,
    from: Option<&'static str>,
    method: &'static str,
    by: TurnedBy,
) -> Transition {
    Transition { name, from, to: ILL, method, course: Course::Back(by) }
}

impl Transition {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|transition| transition.name == name)
    }

    /// The version that it ends on when nothing breaks.
    pub(super) const fn ends_on(&self) -> Option<&'static str> {
        match self.course {
            Course::There | Course::AfterPush => Some(self.to),
            Course::Back(_) => self.from,
        }
    }

    /// The point from whose first passage on something may break; none where that is so from the beginning.
    pub(super) const fn broken_from(&self) -> Option<&'static str> {
        match self.course {
            Course::There | Course::AfterPush => None,
            Course::Back(_) => Some("begin roll_back"),
        }
    }
}

/// This version is ill on the node: every way to it is one back.
const ILL: &str = "0.3.0";

/// This version is not in the node's store before somebody pushes it there.
pub(super) const LATE: &str = "0.3.1";

/// Every version that lies in the node's store.
pub(super) const VERSIONS: [&str; 4] = ["0.1.0", "0.2.0", ILL, "0.4.0"];

/// In the order in which a node is brought through them to keep each as a beginning.
pub(super) const BEGINNINGS: [Option<&str>; 4] = [None, Some("0.1.0"), Some("0.2.0"), Some("0.4.0")];
