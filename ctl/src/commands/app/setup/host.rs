//! The host as it is, and the steps that make it as it should be. Each looks first, and says whether it
//! has changed anything.

use super::files::Wanted;
use super::{DAEMON_USER, Setup};
use anyhow::{Context as _, bail, ensure};
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

pub(super) fn ensure_root() -> anyhow::Result<()> {
    // Of all of /proc, the owner of this entry is the effective user.
    let own = fs::metadata("/proc/self").context("cannot read /proc")?;
    ensure!(own.uid() == 0, "this makes users and units: run it as root on the app's host");
    Ok(())
}

/// The user that a unit runs as; `None` is root.
pub(super) fn user_of_unit(unit: &str) -> anyhow::Result<Option<String>> {
    let loaded = output("systemctl", &["show", "--property=LoadState", "--value", unit])?;
    ensure!(loaded.trim() == "loaded", "there is no unit {unit} on this host (it is {})", loaded.trim());
    let user = output("systemctl", &["show", "--property=User", "--value", unit])?;
    Ok(Some(user.trim().to_owned()).filter(|user| !user.is_empty() && user != "root"))
}

pub(super) fn ensure_user(setup: &Setup) -> anyhow::Result<bool> {
    ensure!(
        uid_of(DAEMON_USER)?.is_some(),
        "there is no user {DAEMON_USER} on this host: install the package relupd first"
    );
    if let Some(uid) = uid_of(&setup.user)? {
        ensure!(uid != 0, "user {} is root", setup.user);
        return Ok(false);
    }
    let home = format!("/var/lib/relupd-app/{}", setup.app);
    let arguments = ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"];
    output("useradd", &[&arguments[..], &["--home-dir", &home, &setup.user]].concat())?;
    Ok(true)
}

fn uid_of(user: &str) -> anyhow::Result<Option<u32>> {
    Ok(ids_of(user)?.map(|(uid, _)| uid))
}

/// The primary group of a user that is there.
pub(super) fn group_of(user: &str) -> anyhow::Result<u32> {
    let ids = ids_of(user)?.with_context(|| format!("user {user} is not in /etc/passwd"))?;
    Ok(ids.1)
}

fn ids_of(user: &str) -> anyhow::Result<Option<(u32, u32)>> {
    let passwd = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let Some(line) = passwd.lines().find(|line| line.split(':').next() == Some(user)) else {
        return Ok(None);
    };
    let mut fields = line.split(':').skip(2);
    let mut id = || fields.next().unwrap_or_default().parse().context("/etc/passwd is broken");
    Ok(Some((id()?, id()?)))
}

/// Code is relupd's; everybody else reads it.
pub(super) fn ensure_release_root(root: &Path) -> anyhow::Result<bool> {
    let daemon = uid_of(DAEMON_USER)?.context("the daemon's user was just there")?;
    let cannot = || format!("cannot make release root {}", root.display());
    match fs::symlink_metadata(root) {
        Ok(found) if !found.is_dir() => bail!("{} is there and is no directory", root.display()),
        Ok(found) if found.uid() == daemon && found.mode() & 0o7777 == 0o755 => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(root).with_context(cannot)?;
        }
        Err(error) => return Err(error).with_context(cannot),
    }
    let path = root.to_str().with_context(cannot)?;
    // chown(1) walks by file descriptors: nobody can lead it elsewhere by a link meanwhile.
    output("chown", &["-R", "-h", "-P", &format!("{DAEMON_USER}:{DAEMON_USER}"), path])?;
    fs::set_permissions(root, Permissions::from_mode(0o755)).with_context(cannot)?;
    Ok(true)
}

pub(super) fn ensure_file(wanted: &Wanted) -> anyhow::Result<bool> {
    let cannot = || format!("cannot write {}", wanted.path.display());
    match fs::read_to_string(&wanted.path) {
        Ok(found) if wanted.is_the_operators || found == wanted.content => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(cannot),
    }
    let directory = wanted.path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory).with_context(cannot)?;
    let name = wanted.path.file_name().unwrap_or_default().to_string_lossy();
    let beside = directory.join(format!(".{name}.new"));
    let written = || {
        let options = fs::File::options().write(true).create(true).truncate(true).mode(wanted.mode).clone();
        let mut file = options.open(&beside)?;
        file.set_permissions(Permissions::from_mode(wanted.mode))?;
        file.write_all(wanted.content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &wanted.path)
    };
    written().with_context(cannot)?;
    Ok(true)
}

/// Now, and not only at the next boot.
pub(super) fn ensure_run_directory(run: &Path, tmpfiles: &Path) -> anyhow::Result<bool> {
    let facts = || fs::metadata(run).ok().map(|found| (found.uid(), found.gid(), found.mode()));
    let before = facts();
    output("systemd-tmpfiles", &["--create", &tmpfiles.to_string_lossy()])?;
    Ok(facts() != before)
}

pub(super) fn reload_units() -> anyhow::Result<()> {
    // In an image that is being built there is nobody to tell.
    if Path::new("/run/systemd/system").exists() {
        output("systemctl", &["daemon-reload"])?;
    }
    Ok(())
}

pub(super) fn ensure_enabled(unit: &str) -> anyhow::Result<bool> {
    // It exits with an error where the unit is not enabled.
    let enabled = Command::new("systemctl").args(["is-enabled", unit]).output();
    let enabled = enabled.context("cannot run systemctl")?;
    if String::from_utf8_lossy(&enabled.stdout).trim() == "enabled" {
        return Ok(false);
    }
    output("systemctl", &["enable", "--quiet", unit])?;
    Ok(true)
}

/// Runs a program that must end well.
fn output(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let ended = Command::new(program).args(arguments).output();
    let ended = ended.with_context(|| format!("cannot run {program}"))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        bail!("{program} {} failed: {}", arguments.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}
