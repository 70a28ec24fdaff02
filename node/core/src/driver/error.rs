//! Why a driver, or the service manager below it, did not do what it was asked for.

use std::path::PathBuf;
use std::time::Duration;

/// Why a step of a driver did not succeed. After any of these the agent observes before it decides.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A precondition does not hold; nothing was changed.
    #[error("{what} refused: {reason}; {remedy}")]
    Refused { what: &'static str, reason: String, remedy: String },
    /// The step was tried and failed; what it left must be observed.
    #[error("{what} failed: {reason}")]
    Failed { what: &'static str, reason: String },
    /// The step did not end in time; it may still end.
    #[error("{what} did not end within {after:?}")]
    TimedOut { what: &'static str, after: Duration },
    /// The VM went away during the step.
    #[error("the VM went away during {what}")]
    VmGone { what: &'static str },
    /// The operating system refused something.
    #[error("{what}: {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The service manager refused something.
    #[error("service manager")]
    Service(#[from] ServiceError),
}

impl DriverError {
    /// Whether this host refused something that it may grant the next time: a full disk is emptied, and
    /// a service manager restarted. What was refused for good, or tried and failed, fails again.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Io { .. } => true,
            Self::Service(ServiceError::Io { .. } | ServiceError::Manager { .. }) => true,
            Self::Service(ServiceError::Start { .. } | ServiceError::Stop { .. })
            | Self::Refused { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::VmGone { .. } => false,
        }
    }
}

/// Why a service could not be started, stopped or asked.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The process could not be started.
    #[error("cannot start {instance}: {reason}")]
    Start { instance: String, reason: String },
    /// The process did not go away, not even when killed.
    #[error("cannot stop {instance}: still there {after:?} after SIGKILL")]
    Stop { instance: String, after: Duration },
    /// The manager does not answer, or says no.
    #[error("service manager on {instance}: {reason}")]
    Manager { instance: String, reason: String },
    /// The book of started processes cannot be read or written.
    #[error("{path}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}
