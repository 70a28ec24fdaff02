//! `relupctl app setup`: the part of an app that needs root on its host. Asks no daemon. Said twice, the
//! second time changes nothing.

mod files;
mod host;

use crate::exit::Exit;
use crate::output::{Format, table};
use anyhow::{Context as _, bail, ensure};
use clap::Args;
use files::Wanted;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The user that relupd runs as, which owns the release roots.
const DAEMON_USER: &str = "relupd";

#[derive(Debug, Args)]
pub(crate) struct SetupArgs {
    /// Its name, as in its spec
    app: String,
    /// Its user, made where there is none [default: its name; with --unit the unit's]
    #[arg(long)]
    user: Option<String>,
    /// Its release root, which becomes relupd's and read-only for the app [default: /opt/APP]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Adopt this unit instead of relupd-app@APP.service: it goes on as it is, but runs `relupd launch`
    #[arg(long, value_name = "UNIT")]
    unit: Option<String>,
    /// For driver = "restart": the program, as `restart.command` in its spec
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// The program's arguments
    #[arg(last = true, requires = "program")]
    arguments: Vec<String>,
}

/// An app on a host, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    app: String,
    user: String,
    root: PathBuf,
    unit: String,
    program: Option<PathBuf>,
    arguments: Vec<String>,
}

impl Setup {
    /// `user_of` says which user a unit has.
    fn check(
        args: SetupArgs,
        user_of: impl FnOnce(&str) -> anyhow::Result<Option<String>>,
    ) -> anyhow::Result<Self> {
        let SetupArgs { app, user, root, unit, program, arguments } = args;
        ensure!(is_app_name(&app), "{app:?} is no app's name: a letter, then up to 39 of a-z 0-9 - _");
        let user = match (user, &unit) {
            (Some(user), _) => user,
            (None, None) => app.clone(),
            (None, Some(unit)) => user_of(unit)?.with_context(|| {
                format!("{unit} runs as root; give the app a user of its own with --user")
            })?,
        };
        if user == "root" || user == DAEMON_USER {
            bail!("{app} needs a user of its own: {user} can change what apps may only read");
        }
        ensure!(is_user_name(&user), "{user:?} is no name of a system user");
        let root = root.unwrap_or_else(|| Path::new("/opt").join(&app));
        let is_deep = root.is_absolute() && root.components().count() >= 3;
        let is_plain = root.components().all(|part| !matches!(part, std::path::Component::ParentDir));
        // It becomes relupd's, with all that is in it.
        let system = [
            "/usr", "/etc", "/boot", "/bin", "/sbin", "/lib", "/lib64", "/home", "/root", "/var/lib",
            "/var/log",
        ];
        let is_systems = system.iter().any(|system| root.starts_with(system));
        ensure!(
            is_deep && is_plain && !is_systems && root.to_str().is_some_and(is_word),
            "{} cannot be a release root: name a directory of its own, such as /opt/{app}",
            root.display()
        );
        if let Some(unit) = &unit {
            ensure!(
                unit.ends_with(".service") && is_word(unit) && !unit.contains('/'),
                "{unit:?} is not the full name of a service unit"
            );
        }
        let words =
            program.iter().filter_map(|path| path.to_str()).chain(arguments.iter().map(String::as_str));
        for word in words {
            ensure!(
                is_word(word),
                "{word:?} cannot stand in a unit as it is; put it into a file of the release"
            );
        }
        let unit = unit.unwrap_or_else(|| format!("relupd-app@{app}.service"));
        Ok(Self { app, user, root, unit, program, arguments })
    }

    /// Whether the unit is the package's own template.
    fn is_template(&self) -> bool {
        self.unit == format!("relupd-app@{}.service", self.app)
    }
}

/// As the daemon has it.
fn is_app_name(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

fn is_user_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Means itself in a unit, a rule and a tmpfiles line: nothing is quoted anywhere.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:=,@+".contains(&b))
}

#[derive(Debug, Serialize)]
struct Step {
    what: String,
    changed: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    changed: bool,
    steps: Vec<Step>,
}

pub(crate) fn run(args: SetupArgs, format: Format) -> anyhow::Result<Exit> {
    host::ensure_root()?;
    let setup = Setup::check(args, host::user_of_unit)?;
    let mut steps = Vec::new();
    let mut step = |what: String, changed: bool| steps.push(Step { what, changed });

    step(format!("user {}", setup.user), host::ensure_user(&setup)?);
    step(format!("release root {}", setup.root.display()), host::ensure_release_root(&setup.root)?);
    let mut units_changed = false;
    for file in Wanted::of(&setup, host::group_of(&setup.user)?) {
        let changed = host::ensure_file(&file)?;
        units_changed |= changed && file.path.starts_with("/etc/systemd");
        step(file.path.display().to_string(), changed);
    }
    let run = files::run_directory(&setup);
    step(run.display().to_string(), host::ensure_run_directory(&run, &files::tmpfiles(&setup))?);
    if units_changed {
        host::reload_units()?;
    }
    step(format!("{} starts at boot", setup.unit), host::ensure_enabled(&setup.unit)?);

    let report = Report { changed: steps.iter().any(|step| step.changed), steps };
    format.print(&report, |report| {
        let mut table = table(&["", ""]);
        for step in &report.steps {
            table.add_row([step.what.clone(), if step.changed { "changed" } else { "as it was" }.to_owned()]);
        }
        table.trim_fmt()
    })?;
    if !setup.root.starts_with("/opt") && report.changed {
        format.hint("relupd may write there after `systemctl restart relupd`; `releases.roots` in relupd.toml must allow it, too");
    }
    let unit = if setup.is_template() { String::new() } else { format!(", unit = {:?}", setup.unit) };
    format.hint(&format!(
        "in its spec: user = {:?}, service = {{ kind = \"systemd\"{unit} }}; its environment on this host: {}",
        setup.user,
        files::environment(&setup).display()
    ));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(app: &str) -> SetupArgs {
        SetupArgs {
            app: app.to_owned(),
            user: None,
            root: None,
            unit: None,
            program: None,
            arguments: Vec::new(),
        }
    }

    fn no_unit(_: &str) -> anyhow::Result<Option<String>> {
        bail!("nobody should ask")
    }

    #[test]
    fn an_app_has_a_user_and_a_root_of_its_own_name() {
        let setup = Setup::check(args("shop"), no_unit).unwrap();
        assert_eq!((setup.user.as_str(), setup.root.as_path()), ("shop", Path::new("/opt/shop")));
        assert!(setup.is_template());
    }

    #[test]
    fn an_adopted_unit_keeps_its_user() {
        let adopted = SetupArgs { unit: Some("web.service".to_owned()), ..args("shop") };
        let setup = Setup::check(adopted, |unit| {
            assert_eq!(unit, "web.service");
            Ok(Some("www".to_owned()))
        });
        assert_eq!(setup.unwrap().user, "www");
    }

    #[test]
    fn an_app_is_never_root_nor_the_daemon() {
        for user in ["root", "relupd"] {
            let error = Setup::check(SetupArgs { user: Some(user.to_owned()), ..args("shop") }, no_unit);
            assert!(error.unwrap_err().to_string().contains("a user of its own"));
        }
        let adopted = SetupArgs { unit: Some("web.service".to_owned()), ..args("shop") };
        let error = Setup::check(adopted, |_| Ok(None)).unwrap_err().to_string();
        assert!(error.contains("--user"), "{error}");
    }

    #[test]
    fn what_would_have_to_be_quoted_is_refused() {
        for app in ["Shop", "", "a b", "a/b", "-a"] {
            assert!(Setup::check(args(app), no_unit).is_err(), "{app:?}");
        }
        for root in ["/", "/opt", "opt/shop", "/opt/../etc", "/opt/a b", "/opt/%i"] {
            let refused = Setup::check(SetupArgs { root: Some(root.into()), ..args("shop") }, no_unit);
            assert!(refused.is_err(), "{root:?}");
        }
        let program = SetupArgs {
            program: Some("bin/server".into()),
            arguments: vec!["$HOME".to_owned()],
            ..args("shop")
        };
        assert!(Setup::check(program, no_unit).is_err());
    }
}
