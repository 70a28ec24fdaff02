//! Operators.

use super::time;
use crate::state::node::{OperatorRecord, Role};
use relupd_proto::api::v1;

pub(crate) fn operator(record: &OperatorRecord) -> v1::Operator {
    v1::Operator {
        name: record.name.clone(),
        role: role(record.role).into(),
        serial: record.certificate.serial.clone(),
        added_at: Some(time(record.added_at)),
        expires_at: Some(time(record.certificate.not_after)),
    }
}

const fn role(role: Role) -> v1::Role {
    match role {
        Role::Viewer => v1::Role::Viewer,
        Role::Operator => v1::Role::Operator,
        Role::Admin => v1::Role::Admin,
    }
}
