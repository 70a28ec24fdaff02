//! Whether a release can be booted, and what its configuration is. OTP takes a configuration that is
//! missing or does not parse for an empty one when it installs, and dies of it when it boots.

use super::layout::boot_stem;
use crate::driver::CheckResult;
use crate::driver::checks::failed;
use crate::driver::files::{At, Locate, exists, read_optional};
use relupd_release::terms::{Term, consult_one};
use std::path::Path;

pub(super) fn boot_files(release: &Path) -> Result<CheckResult, At> {
    if !exists(&boot_stem(release).with_added_extension("boot"))? {
        let reason = format!("{} has no start.boot", release.display());
        return Ok(failed(reason, "build the release with rebar3/relx or mix"));
    }
    let config = release.join("sys.config");
    let Some(bytes) = read_optional(&config).at(&config)? else {
        return Ok(if exists(&release.join("sys.config.src"))? {
            failed(
                "the release ships a sys.config.src only, which nobody renders here",
                "ship a sys.config, and let the app read its environment at start",
            )
        } else {
            failed(format!("{} is missing", config.display()), "build the release with a sys.config")
        });
    };
    Ok(match consult_one(&bytes) {
        Ok(term) if is_configuration(&term) => CheckResult::Passed,
        Ok(_) => failed(
            format!("{} is not a list of {{Application, Parameters}}", config.display()),
            "correct it and build the release anew",
        ),
        Err(error) => failed(
            format!("{} cannot be read: {error}", config.display()),
            "correct it and build the release anew",
        ),
    })
}

/// Whether a VM would be started without the arguments that its release has for it.
pub(super) fn arguments(release: &Path) -> Result<CheckResult, At> {
    let lacks = !exists(&release.join("vm.args"))? && exists(&release.join("vm.args.src"))?;
    Ok(if lacks {
        failed(
            "the release ships a vm.args.src only, which nobody renders here: its VM would start without it",
            "ship a vm.args, without variables",
        )
    } else {
        CheckResult::Passed
    })
}

/// `[{Application, [{Parameter, Value}]} | "other.config"]`
pub(super) fn is_configuration(term: &Term) -> bool {
    let is_parameter =
        |term: &Term| matches!(term.as_tuple(), Some([name, _value]) if name.as_atom().is_some());
    term.as_list().is_some_and(|entries| {
        entries.iter().all(|entry| match entry.as_tuple() {
            Some([application, parameters]) => {
                application.as_atom().is_some()
                    && parameters.as_list().is_some_and(|list| list.iter().all(is_parameter))
            }
            Some(_) => false,
            None => entry.as_text().is_some(),
        })
    })
}
