//! Small VMs beside the app's: they show that a runtime system starts on this host, and compute what
//! only Erlang can. They run as the app's user, without distribution and without the link's flags, see
//! nothing of the daemon's environment, and are killed when they take too long.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

/// So much of what a helper prints is kept.
const MAX_OUTPUT: u64 = 4 << 20;

/// Where a helper VM finds its parts, and who it is. Its environment may hold secrets: no `Debug`.
#[derive(Clone)]
pub struct Helper {
    /// A tree with `erts-VSN` and `lib`.
    pub root: PathBuf,
    /// The version of ERTS.
    pub erts: String,
    /// The boot file without its extension; `None` boots OTP's default.
    pub boot: Option<PathBuf>,
    /// User and group, where they are not the daemon's own. Only root can change to another.
    pub user: Option<(u32, u32)>,
    /// The whole environment, beside what the VM itself needs.
    pub environment: BTreeMap<String, String>,
}

/// Why a helper VM gave no result.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It cannot be started at all.
    #[error("{} cannot be started", program.display())]
    Start {
        program: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// It ended badly.
    #[error("it ended with {status}: {output}")]
    Ended { status: String, output: String },
    /// It did not end.
    #[error("it did not end within {}", humantime::format_duration(*after))]
    TimedOut { after: Duration },
}

impl Helper {
    /// Evaluates an expression, which ends the VM itself, and answers what it printed. The arguments
    /// are there as `init:get_plain_arguments/0`.
    ///
    /// # Errors
    /// If it cannot be started, ends with another code than 0, or takes too long.
    pub async fn eval(
        &self,
        expression: &str,
        arguments: &[OsString],
        patience: Duration,
    ) -> Result<String, HelperError> {
        let mut command = self.command();
        command.args(["-noshell", "-noinput", "+S", "1:1", "-eval", expression]);
        command.arg("-extra").args(arguments);
        let mut child = command.spawn().map_err(|source| self.not_started(source))?;
        match tokio::time::timeout(patience, finished(&mut child)).await {
            Ok(result) => result.map_err(|source| self.not_started(source))?,
            Err(_) => {
                // Whether it was there to be killed makes no difference: it is gone then.
                let _ = child.kill().await;
                Err(HelperError::TimedOut { after: patience })
            }
        }
    }

    fn program(&self) -> PathBuf {
        self.binaries().join("erlexec")
    }

    fn binaries(&self) -> PathBuf {
        self.root.join(format!("erts-{}", self.erts)).join("bin")
    }

    fn not_started(&self, source: std::io::Error) -> HelperError {
        HelperError::Start { program: self.program(), source }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        command
            .env_clear()
            .envs(self.environment.iter().filter(|(name, _)| !steers_the_program(name)))
            .env("ROOTDIR", &self.root)
            .env("BINDIR", self.binaries())
            .env("EMU", "beam")
            .env("PROGNAME", "relupd")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if !self.environment.contains_key("HOME") {
            command.env("HOME", "/");
        }
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        if let Some(boot) = &self.boot {
            command.arg("-boot").arg(boot);
        }
        let libraries = self.root.join("lib");
        for variable in ["ERTS_LIB_DIR", "RELEASE_LIB"] {
            command.args(["-boot_var", variable]).arg(&libraries);
        }
        command
    }
}

/// Whether a variable changes what the helper runs instead of what the app is configured with. The app's VM has
/// named these itself, and must not get its own code run by whoever starts the helper.
fn steers_the_program(name: &str) -> bool {
    ["ERL_", "LD_", "RELDIR", "GLIBC_TUNABLES", "GCONV_PATH"].iter().any(|prefix| name.starts_with(prefix))
}

/// What a child printed, once it has ended well.
async fn finished(child: &mut Child) -> std::io::Result<Result<String, HelperError>> {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read_output = async {
        if let Some(stdout) = stdout {
            stdout.take(MAX_OUTPUT).read_to_end(&mut output).await?;
        }
        std::io::Result::Ok(())
    };
    let read_errors = async {
        if let Some(stderr) = stderr {
            stderr.take(MAX_OUTPUT).read_to_end(&mut errors).await?;
        }
        std::io::Result::Ok(())
    };
    tokio::try_join!(read_output, read_errors)?;
    let status = child.wait().await?;
    let text = String::from_utf8_lossy(&output).into_owned();
    if status.success() {
        return Ok(Ok(text));
    }
    let said = format!("{} {}", text.trim(), String::from_utf8_lossy(&errors).trim());
    let output = said.trim().chars().take(600).collect();
    Ok(Err(HelperError::Ended { status: status.to_string(), output }))
}

/// The boot file, without its extension, with nothing but kernel and stdlib of a release's directory.
#[must_use]
pub fn clean_boot(release: &Path) -> Option<PathBuf> {
    ["start_clean", "no_dot_erlang"]
        .into_iter()
        .map(|stem| release.join(stem))
        .find(|stem| stem.with_added_extension("boot").is_file())
}
