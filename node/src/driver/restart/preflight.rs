//! What can be known before a transition: both versions are whole, and the node stands where it should.

use super::RestartDriver;
use super::layout::Layout;
use super::place::marker;
use crate::driver::checks::{check, failed, not_hot, stands_on_from};
use crate::driver::files::{At, Locate, blocking};
use crate::driver::{Check, CheckResult, DriverError, Foreseen, Method, Outlook, Prospect, Transition};
use crate::ids::ReleaseVersion;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

impl RestartDriver {
    pub(super) async fn preflight_checks(&self, transition: &Transition) -> Result<Vec<Check>, DriverError> {
        let mut checks = Vec::new();
        // The way back has to be there before the way forward is taken.
        for version in transition.from.iter().chain([&transition.to]) {
            let (layout, program) = (self.layout.clone(), self.settings.command.clone());
            let name = placed_name(version);
            let version = version.clone();
            let result = blocking("preflight", move || whole(&layout, &version, &program)).await?;
            checks.push(check(&name, result));
        }
        let observed = self.observation().await?;
        checks.push(check(
            "P6 the node stands where the plan comes from",
            stands_on_from(&observed, transition),
        ));
        if transition.method == Method::Hot {
            let result = not_hot(
                "the driver `restart` changes versions by restart only",
                "set the method of the app's upgrades to auto or restart",
            );
            checks.push(check("P3 relup both ways", result));
        }
        Ok(checks)
    }

    pub(super) async fn foreseen(&self, prospect: &Prospect) -> Result<Vec<Foreseen>, DriverError> {
        let Prospect { transition, manifest, description: _, size: _ } = prospect;
        let is_here = self.placed(&transition.to, manifest).await?;
        let target = placed_name(&transition.to);
        let foresee = |check: Check| {
            if is_here || check.name != target {
                return check.into();
            }
            let reason = "not known until prepared: this node fetches the release when a rollout prepares it";
            Foreseen { name: check.name, outlook: Outlook::Unknown { reason: reason.to_owned() } }
        };
        Ok(self.preflight_checks(transition).await?.into_iter().map(foresee).collect())
    }
}

fn placed_name(version: &ReleaseVersion) -> String {
    format!("P1 {version} is placed, with its program")
}

fn whole(layout: &Layout, version: &ReleaseVersion, program: &Path) -> Result<CheckResult, At> {
    let remedy = "plan again: the preparation of a rollout places what is missing";
    if marker(&layout.marker(version))?.is_none() {
        return Ok(failed(format!("{version} is not placed"), remedy));
    }
    let path = layout.version(version).join(program);
    let wrong = match std::fs::metadata(&path) {
        Ok(file) if file.is_file() && file.permissions().mode() & 0o111 != 0 => {
            return Ok(CheckResult::Passed);
        }
        Ok(_) => "is not an executable file",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "is not there",
        Err(error) => return Err(error).at(&path),
    };
    let remedy = "correct `restart.command` in the app's spec, or build the release with that program";
    Ok(failed(format!("{} {wrong}", path.display()), remedy))
}
