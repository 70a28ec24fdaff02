//! Whether a release can be booted, and what its configuration is. OTP takes a configuration that is
//! missing or does not parse for an empty one when it installs, and dies of it when it boots.

use crate::driver::CheckResult;
use crate::driver::checks::{failed, not_hot};
use crate::driver::files::{At, Locate, exists, read_optional};
use relupd_release::terms::{Term, consult_one};
use std::path::Path;

pub(super) fn boot_files(release: &Path) -> Result<CheckResult, At> {
    if !exists(&release.join("start.boot"))? {
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

/// Whether the configuration is whole as it lies there. A configuration provider of Elixir completes it
/// while the system boots; a hot install reads the file again and would wipe what the provider added.
pub(super) fn hot_configuration(release: &Path) -> Result<CheckResult, At> {
    let config = release.join("sys.config");
    let bytes = read_optional(&config).at(&config)?.unwrap_or_default();
    Ok(match consult_one(&bytes) {
        Ok(term) if has_provider(&term) => not_hot(
            format!(
                "{} is completed by a configuration provider at boot (config/runtime.exs), and a hot install \
                 would wipe what it set",
                config.display()
            ),
            "use the method restart, or configure at build time only",
        ),
        // What cannot be read is said by the check of the boot files.
        Ok(_) | Err(_) => CheckResult::Passed,
    })
}

/// `{elixir, [{config_provider_init, _} | _]}`
fn has_provider(configuration: &Term) -> bool {
    let named = |term: &&Term, name: &str| matches!(term.as_tuple(), Some([key, _value]) if key.as_atom() == Some(name));
    let elixir = configuration.as_list().and_then(|entries| entries.iter().find(|e| named(e, "elixir")));
    let parameters = elixir.and_then(Term::as_tuple).and_then(|entry| entry.last()).and_then(Term::as_list);
    parameters.is_some_and(|list| list.iter().any(|parameter| named(&parameter, "config_provider_init")))
}

/// `[{Application, [{Parameter, Value}]} | "other.config"]`
fn is_configuration(term: &Term) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_a_provider_completes_at_boot_is_not_hot() {
        let release = tempfile::tempdir().unwrap();
        let result_of = |config: &str| {
            std::fs::write(release.path().join("sys.config"), config).unwrap();
            std::fs::write(release.path().join("start.boot"), "").unwrap();
            (boot_files(release.path()).unwrap(), hot_configuration(release.path()).unwrap())
        };
        let mix = "%% coding: utf-8\n[{shop,[{port,1}]},{elixir,[{config_provider_init,
            #{'__struct__' => 'Elixir.Config.Provider', config_path => {system,<<\"X\">>,<<\"/a\">>}}},
            {config_provider_reboot_mode,x}]}].";
        let (boot, hot) = result_of(mix);
        assert_eq!(boot, CheckResult::Passed);
        assert!(matches!(&hot, CheckResult::NotHot { remedy, .. } if remedy.contains("restart")), "{hot:?}");

        for plain in ["[{shop,[{config_provider_init,1}]}].", "[{elixir,[{ansi_enabled,true}]}].", "[]."] {
            assert_eq!(result_of(plain), (CheckResult::Passed, CheckResult::Passed), "{plain}");
        }
    }
}
