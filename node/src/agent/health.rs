//! The verdict of the health checks, as far as decisions need it.

use crate::clock::Monotonic;
use crate::ids::BootNonce;

/// What the health checks say of one life of the VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Which life was judged.
    pub boot_nonce: Option<BootNonce>,
    /// When the newest answer came in.
    pub judged_at: Monotonic,
    /// What they say.
    pub verdict: Verdict,
}

/// What the health checks say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough answers yet.
    Unknown,
    /// Healthy without a break since then.
    Healthy { since: Monotonic },
    /// Failed as often in a row as the policy allows.
    Unhealthy { check: String, reason: String },
}

impl Health {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        boot_nonce: None,
        judged_at: Monotonic::from_start(std::time::Duration::ZERO),
        verdict: Verdict::Unknown,
    };

    /// The verdict on this life from answers no older than `from`; anything else is unknown.
    #[must_use]
    pub fn of(&self, life: &BootNonce, from: Monotonic) -> &Verdict {
        if self.boot_nonce.as_ref() == Some(life) && self.judged_at >= from {
            &self.verdict
        } else {
            &Verdict::Unknown
        }
    }

    /// For announcements: whether the app is healthy; `None` is unknown.
    #[must_use]
    pub const fn flag(&self) -> Option<bool> {
        match self.verdict {
            Verdict::Unknown => None,
            Verdict::Healthy { .. } => Some(true),
            Verdict::Unhealthy { .. } => Some(false),
        }
    }
}
