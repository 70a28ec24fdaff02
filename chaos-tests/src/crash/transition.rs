//! The ways from one version to another that are interrupted.

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
}

/// 0.1.0 and 0.2.0 know a relup for each other; 0.4.0 knows none.
pub(super) const ALL: [Transition; 5] = [
    Transition { name: "first", from: None, to: "0.1.0", method: "first" },
    Transition { name: "hot-up", from: Some("0.1.0"), to: "0.2.0", method: "hot" },
    Transition { name: "hot-down", from: Some("0.2.0"), to: "0.1.0", method: "hot" },
    Transition { name: "restart-up", from: Some("0.2.0"), to: "0.4.0", method: "restart" },
    Transition { name: "restart-down", from: Some("0.4.0"), to: "0.2.0", method: "restart" },
];

impl Transition {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ALL.into_iter().find(|transition| transition.name == name)
    }
}

/// In the order in which a node is brought through them to keep each as a beginning.
pub(super) const BEGINNINGS: [Option<&str>; 4] = [None, Some("0.1.0"), Some("0.2.0"), Some("0.4.0")];
