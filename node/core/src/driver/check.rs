//! What a preflight finds, and what of it can be told before anything was prepared.

use serde::{Deserialize, Serialize};

/// One check of a preflight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The check's name, e.g. `P3 relup leads there`; its first word is its key.
    pub name: String,
    /// What came of it.
    pub result: CheckResult,
}

impl Check {
    /// The name that a policy knows it by, e.g. `P3`.
    #[must_use]
    pub fn key(&self) -> &str {
        self.name.split(' ').next().unwrap_or(&self.name)
    }

    /// As it is kept for as long as its rollout is: of a check that holds nobody asks more than which.
    #[must_use]
    pub fn in_brief(&self) -> Self {
        let name = if self.result == CheckResult::Passed { self.key() } else { &self.name };
        Self { name: name.to_owned(), result: self.result.clone() }
    }
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckResult {
    /// Holds.
    Passed,
    /// Holds for `restart`, not for `hot`.
    NotHot {
        reason: String,
        #[serde(default)]
        remedy: String,
    },
    /// Does not hold, and the app's policy takes that for a warning.
    Warning { reason: String },
    /// Does not hold.
    Failed { reason: String, remedy: String },
}

impl CheckResult {
    /// The same, with reasons and remedies that are no longer than this many characters.
    #[must_use]
    pub fn bounded(self, longest: usize) -> Self {
        let cut = |text: String| match text.char_indices().nth(longest) {
            Some((end, _)) => format!("{} ...", &text[..end]),
            None => text,
        };
        match self {
            Self::Passed => Self::Passed,
            Self::NotHot { reason, remedy } => Self::NotHot { reason: cut(reason), remedy: cut(remedy) },
            Self::Warning { reason } => Self::Warning { reason: cut(reason) },
            Self::Failed { reason, remedy } => Self::Failed { reason: cut(reason), remedy: cut(remedy) },
        }
    }
}

/// A check of a way that is planned and perhaps not prepared. Never part of the replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreseen {
    /// As in [`Check`].
    pub name: String,
    /// What is known of it.
    pub outlook: Outlook,
}

/// What is known of a check before its release is on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// This, now.
    Known(CheckResult),
    /// Nothing yet, neither good nor bad.
    Unknown { reason: String },
}

impl From<Check> for Foreseen {
    fn from(check: Check) -> Self {
        Self { name: check.name, outlook: Outlook::Known(check.result) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_holds_is_kept_by_its_key_and_any_other_with_all_that_it_says() {
        let check = |result| Check { name: "P3 relup leads there".to_owned(), result };
        let passed = check(CheckResult::Passed).in_brief();
        assert_eq!(passed, Check { name: "P3".to_owned(), result: CheckResult::Passed });
        let warned = check(CheckResult::Warning { reason: "it is long".to_owned() });
        assert_eq!(warned.in_brief(), warned);
    }
}
