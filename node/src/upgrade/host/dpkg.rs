//! dpkg, called as an administrator would, with nothing of anybody's environment.

use super::repack;
use super::steps::Packages;
use relupd_release::package::NAME;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Somebody else's dpkg or apt holds the lock for as long as it takes; after this we give up.
const LOCK_TRIES: u32 = 120;
const LOCK_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Dpkg;

impl Packages for Dpkg {
    fn installed(&self) -> Result<String, String> {
        run("dpkg-query", &["--show", "--showformat=${Version}", NAME])
    }

    fn architecture(&self) -> Result<String, String> {
        run("dpkg", &["--print-architecture"])
    }

    fn keep(&self, to: &Path) -> Result<(), String> {
        repack::repack(to)
    }

    fn install(&self, package: &Path) -> Result<(), String> {
        let arguments = ["--force-confdef", "--force-confold", "--install", &package.to_string_lossy()];
        for _ in 0..LOCK_TRIES {
            let ended = output("dpkg", &arguments)?;
            let said = String::from_utf8_lossy(&ended.stderr);
            eprint!("{said}");
            match ended.status.code() {
                Some(0) => return Ok(()),
                Some(2) if said.contains("lock") => std::thread::sleep(LOCK_PAUSE),
                Some(_) | None => {
                    return Err(format!("dpkg --install failed: {}", last_line(&said)));
                }
            }
        }
        Err("somebody else's dpkg does not end".to_owned())
    }
}

/// Runs a program that must end well; what it printed.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let ended = output(program, arguments)?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        return Err(format!("{program} {} failed: {}", arguments.join(" "), last_line(&said)));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned())
}

/// Runs a program, however it ends.
pub(super) fn output(program: &str, arguments: &[&str]) -> Result<Output, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LANG", "C.UTF-8");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command.output().map_err(|error| format!("cannot run {program}: {error}"))
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or("it does not say why").trim()
}
