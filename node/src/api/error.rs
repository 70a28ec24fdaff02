//! Errors on the wire: a status whose message is the whole story for a person, and a code in the
//! metadata for programs.

use super::caller::Denied;
use super::control::ControlError;
use super::view::with_names;
use crate::state::ClusterState;
use relupd_core::chain;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// The metadata key of the code.
const CODE: &str = "relupd-code";

fn status(code: Code, name: &'static str, message: impl Into<String>) -> Status {
    let mut status = Status::new(code, message);
    status.metadata_mut().insert(CODE, MetadataValue::from_static(name));
    status
}

/// The request itself makes no sense.
pub(crate) fn invalid(message: impl Into<String>) -> Status {
    status(Code::InvalidArgument, "invalid", message)
}

/// What was named is not there.
pub(crate) fn not_found(message: impl Into<String>) -> Status {
    status(Code::NotFound, "not-found", message)
}

/// Nothing is wrong with the request; it cannot be answered now.
pub(crate) fn unavailable(message: impl Into<String>) -> Status {
    status(Code::Unavailable, "unavailable", message)
}

/// The daemon answered something that the command cannot lead to.
pub(crate) fn internal(message: impl Into<String>) -> Status {
    status(Code::Internal, "internal", message)
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        status(Code::PermissionDenied, "forbidden", denied.to_string())
    }
}

/// An error of the daemon's. Those that are about one host name it; nodes go by their names.
pub(crate) fn from_control(error: &ControlError, node: &str, state: Option<&ClusterState>) -> Status {
    let here = || format!("node {node}: {}", chain(error));
    match error {
        ControlError::Rejected(rejection) => {
            let text = rejection.to_string();
            let text = match state {
                Some(state) => with_names(state, text),
                None => text,
            };
            status(Code::FailedPrecondition, "rejected", text)
        }
        ControlError::NotInitialized => status(Code::FailedPrecondition, "not-initialized", here()),
        ControlError::AlreadyMember(_) => status(Code::FailedPrecondition, "already-member", here()),
        ControlError::Invalid(reason) => invalid(reason),
        ControlError::NoQuorum(_) => status(Code::Unavailable, "no-quorum", here()),
        ControlError::Unavailable(_) => unavailable(here()),
        ControlError::DiskFull { .. } => status(Code::ResourceExhausted, "disk-full", here()),
        ControlError::Internal { .. } => internal(here()),
    }
}
