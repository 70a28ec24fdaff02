//! What the files of an app on its host must say. Decides; writes nothing.

use super::{DAEMON_USER, Setup};
use std::path::{Path, PathBuf};

/// A file as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) path: PathBuf,
    pub(super) content: String,
    pub(super) mode: u32,
    /// Made once; what the operator writes into it stays.
    pub(super) is_the_operators: bool,
}

impl Wanted {
    /// All files of an app on its host, where its user is in this group first of all.
    pub(super) fn of(setup: &Setup, group: u32) -> Vec<Self> {
        let written = format!("Written by `relupctl app setup {}`, which writes it anew.", setup.app);
        let mut all = vec![
            Self::ours(drop_in(setup), format!("# {written}\n{}", drop_in_text(setup))),
            Self::ours(tmpfiles(setup), format!("# {written}\n{}", tmpfiles_text(setup, group))),
            Self {
                path: environment(setup),
                content: format!(
                    "# The environment of {} on this host, VARIABLE=value. Yours: it is not written again.\n",
                    setup.app
                ),
                mode: 0o640,
                is_the_operators: true,
            },
        ];
        if !setup.is_template() {
            all.push(Self::ours(polkit(setup), format!("// {written}\n{}", polkit_text(setup))));
        }
        if !setup.root.starts_with("/opt") {
            all.push(Self::ours(
                PathBuf::from(format!("/etc/systemd/system/relupd.service.d/app-{}.conf", setup.app)),
                format!("# {written}\n[Service]\nReadWritePaths=-{}\n", setup.root.display()),
            ));
        }
        all
    }

    fn ours(path: PathBuf, content: String) -> Self {
        Self { path, content, mode: 0o644, is_the_operators: false }
    }
}

fn drop_in(setup: &Setup) -> PathBuf {
    Path::new("/etc/systemd/system").join(format!("{}.d", setup.unit)).join("10-relupd.conf")
}

fn drop_in_text(setup: &Setup) -> String {
    let mut text = format!("[Service]\nUser={}\n", setup.user);
    let is_plain = setup.root == Path::new("/opt").join(&setup.app) && setup.program.is_none();
    if setup.is_template() && is_plain {
        return text;
    }
    if !setup.is_template() {
        // What is watched is the VM itself, and what the rest of the unit says stays.
        text += "Type=exec\nSuccessExitStatus=78 143\n";
        text += &format!("EnvironmentFile=-{}\n", environment(setup).display());
        text += &format!("ReadOnlyPaths=-{}\n", setup.root.display());
    }
    let mut launch = format!("/usr/bin/relupd launch {} --root {}", setup.app, setup.root.display());
    if let Some(program) = &setup.program {
        launch += &format!(" --program {} --", program.display());
        for argument in &setup.arguments {
            launch += &format!(" {argument}");
        }
    }
    text + &format!("ExecStart=\nExecStart={launch}\n")
}

/// What makes the run directory at each boot.
pub(super) fn tmpfiles(setup: &Setup) -> PathBuf {
    PathBuf::from(format!("/etc/tmpfiles.d/relupd-app-{}.conf", setup.app))
}

/// The app may look up its link and read its trial there; only relupd writes. The group is the one that the unit runs
/// with, by number: a user that was there before may be in a group of any name, or of none.
fn tmpfiles_text(setup: &Setup, group: u32) -> String {
    format!("d {} 0710 {DAEMON_USER} {group} -\n", run_directory(setup).display())
}

pub(super) fn run_directory(setup: &Setup) -> PathBuf {
    Path::new("/run/relupd").join(&setup.app)
}

pub(super) fn environment(setup: &Setup) -> PathBuf {
    PathBuf::from(format!("/etc/relupd/apps/{}.env", setup.app))
}

fn polkit(setup: &Setup) -> PathBuf {
    PathBuf::from(format!("/etc/polkit-1/rules.d/50-relupd-app-{}.rules", setup.app))
}

fn polkit_text(setup: &Setup) -> String {
    format!(
        r#"polkit.addRule(function (action, subject) {{
    var verbs = ["start", "stop", "restart", "kill", "reset-failed"];
    if (action.id === "org.freedesktop.systemd1.manage-units" && subject.user === "{DAEMON_USER}" &&
        action.lookup("unit") === "{unit}" && verbs.indexOf(action.lookup("verb")) >= 0) {{
        return polkit.Result.YES;
    }}
    return polkit.Result.NOT_HANDLED;
}});
"#,
        unit = setup.unit,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Setup {
        Setup {
            app: "shop".to_owned(),
            user: "shop".to_owned(),
            root: "/opt/shop".into(),
            unit: "relupd-app@shop.service".to_owned(),
            program: None,
            arguments: Vec::new(),
        }
    }

    fn content(setup: &Setup, path: &str) -> Option<String> {
        Wanted::of(setup, 990).into_iter().find(|file| file.path == Path::new(path)).map(|file| file.content)
    }

    #[test]
    fn the_template_needs_no_more_than_a_user() {
        let text = content(&shop(), "/etc/systemd/system/relupd-app@shop.service.d/10-relupd.conf").unwrap();
        assert!(text.ends_with("[Service]\nUser=shop\n"), "{text}");
        assert_eq!(content(&shop(), "/etc/polkit-1/rules.d/50-relupd-app-shop.rules"), None);
        let run = content(&shop(), "/etc/tmpfiles.d/relupd-app-shop.conf").unwrap();
        assert!(run.ends_with("d /run/relupd/shop 0710 relupd 990 -\n"), "{run}");
    }

    #[test]
    fn another_program_is_launched_from_its_own_root() {
        let setup = Setup {
            root: "/srv/shop".into(),
            program: Some("bin/server".into()),
            arguments: vec!["--port".to_owned(), "80".to_owned()],
            ..shop()
        };
        let text = content(&setup, "/etc/systemd/system/relupd-app@shop.service.d/10-relupd.conf").unwrap();
        let launch =
            "ExecStart=/usr/bin/relupd launch shop --root /srv/shop --program bin/server -- --port 80\n";
        assert!(text.contains("ExecStart=\n") && text.ends_with(launch), "{text}");
        let writable = content(&setup, "/etc/systemd/system/relupd.service.d/app-shop.conf").unwrap();
        assert!(writable.ends_with("ReadWritePaths=-/srv/shop\n"), "{writable}");
    }

    #[test]
    fn an_adopted_unit_gets_a_rule_for_itself_alone() {
        let setup = Setup { unit: "web.service".to_owned(), user: "www".to_owned(), ..shop() };
        let rule = content(&setup, "/etc/polkit-1/rules.d/50-relupd-app-shop.rules").unwrap();
        assert!(rule.contains(r#"action.lookup("unit") === "web.service""#), "{rule}");
        let text = content(&setup, "/etc/systemd/system/web.service.d/10-relupd.conf").unwrap();
        assert!(
            text.contains("User=www\nType=exec\n") && text.contains("launch shop --root /opt/shop"),
            "{text}"
        );
    }

    #[test]
    fn only_the_environment_is_the_operators() {
        let kept: Vec<_> =
            Wanted::of(&shop(), 990).into_iter().filter(|file| file.is_the_operators).collect();
        assert_eq!(kept.len(), 1);
        assert_eq!((kept[0].path.to_str(), kept[0].mode), (Some("/etc/relupd/apps/shop.env"), 0o640));
    }
}
