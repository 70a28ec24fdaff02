//! Everything that can be known before a transition, in the order in which an operator should read it.

use super::ErlangDriver;
use crate::driver::{Check, DriverError, Transition};
use crate::ids::ReleaseVersion;
use std::collections::BTreeSet;

impl ErlangDriver {
    pub(super) async fn preflight_checks(&self, _transition: &Transition) -> Result<Vec<Check>, DriverError> {
        Ok(Vec::new())
    }

    pub(super) async fn suspended_modules(
        &self,
        _from: &ReleaseVersion,
        _to: &ReleaseVersion,
    ) -> Result<BTreeSet<String>, DriverError> {
        Ok(BTreeSet::new())
    }
}
