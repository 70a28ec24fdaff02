//! The real `relupctl`, as an operator or a script would run it.

mod answers;

pub use answers::{ClusterStatus, Instance, Node, Plan, Progress, Rollout, Status, Step, Summary};

use crate::history::{Call, Recorder};
use crate::wait;
use anyhow::{Context as _, bail};
use relupd::clock::monotonic;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than any command that does not watch takes by itself.
const PATIENCE: Duration = Duration::from_secs(180);

/// Longer than one node takes on a busy machine.
const STEP_PATIENCE: Duration = Duration::from_secs(120);

/// The command line, talking to one daemon.
#[derive(Clone, Debug)]
pub struct Ctl {
    relupctl: PathBuf,
    socket: PathBuf,
    recorder: Recorder,
}

/// How a command ended, with what it has printed.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// What it printed for the caller.
    pub stdout: String,
    /// What it printed beside that.
    pub stderr: String,
}

impl Ctl {
    pub(crate) fn new(relupctl: &Path, socket: &Path) -> Self {
        Self { relupctl: relupctl.to_owned(), socket: socket.to_owned(), recorder: Recorder::default() }
    }

    /// The same, with every call written down.
    pub(crate) fn recorded(self, recorder: Recorder) -> Self {
        Self { recorder, ..self }
    }

    /// The socket of the daemon that it talks to.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A command, not started yet.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.relupctl);
        command.args(arguments).env("RELUPCTL_SOCKET", &self.socket);
        // The contexts of whoever runs this are not meant.
        command.env_remove("RELUPCTL_CONTEXT").env_remove("RELUPCTL_IDENTITY");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a command, however it ends.
    pub async fn try_run(&self, arguments: &[&str]) -> anyhow::Result<Ended> {
        let asked = monotonic();
        let ended = self.ended(arguments).await;
        self.recorder.record(|| Call {
            asked,
            answered: ended.is_ok().then(monotonic),
            at: self.socket.to_string_lossy().into_owned(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            ended: ended.as_ref().ok().cloned(),
        });
        ended
    }

    async fn ended(&self, arguments: &[&str]) -> anyhow::Result<Ended> {
        let run = self.command(arguments).output();
        let output = timeout(PATIENCE, run)
            .await
            .with_context(|| format!("relupctl {} takes too long", arguments.join(" ")))?
            .with_context(|| format!("cannot run {}", self.relupctl.display()))?;
        Ok(Ended {
            code: output.status.code().context("relupctl was killed")?,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that must end well.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Ended> {
        let ended = self.try_run(arguments).await?;
        if ended.code != 0 {
            bail!("relupctl {} exits with {}: {}", arguments.join(" "), ended.code, ended.stderr.trim());
        }
        Ok(ended)
    }

    /// Runs a command that must end well, and reads its answer.
    pub async fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> anyhow::Result<T> {
        let ended = self.run(&[arguments, &["--output", "json"]].concat()).await?;
        serde_json::from_str(&ended.stdout)
            .with_context(|| format!("relupctl {} printed: {}", arguments.join(" "), ended.stdout))
    }

    /// Runs a command that must be refused; what it says.
    pub async fn refused(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let ended = self.try_run(arguments).await?;
        if ended.code != 1 {
            bail!("relupctl {} exits with {}: {}", arguments.join(" "), ended.code, ended.stdout.trim());
        }
        Ok(ended.stderr)
    }

    /// A join token.
    pub async fn token(&self) -> anyhow::Result<String> {
        let answer: Value = self.json(&["cluster", "token"]).await?;
        answer["token"].as_str().map(str::to_owned).context("an answer with a token")
    }

    /// What the daemon knows.
    pub async fn status(&self) -> anyhow::Result<Status> {
        self.json(&["status"]).await
    }

    /// Makes a plan.
    pub async fn plan(&self, app: &str, version: &str) -> anyhow::Result<Plan> {
        self.json(&["plan", app, version]).await
    }

    /// Starts a rollout; its id.
    pub async fn start(&self, plan: &Plan) -> anyhow::Result<String> {
        let rollout: Rollout = self.json(&["rollout", "start", &plan.id]).await?;
        Ok(rollout.summary.id)
    }

    /// A rollout as it is now.
    pub async fn rollout(&self, id: &str) -> anyhow::Result<Rollout> {
        self.json(&["rollout", "show", id]).await
    }

    /// Plans, starts and waits for the end, whatever it is.
    pub async fn roll(&self, app: &str, version: &str) -> anyhow::Result<Rollout> {
        let plan = self.plan(app, version).await?;
        let id = self.start(&plan).await?;
        self.watch_to_end(&id).await
    }

    /// Waits until a rollout is as described.
    pub async fn rollout_until(
        &self,
        id: &str,
        what: &str,
        is_so: impl Fn(&Rollout) -> bool,
    ) -> anyhow::Result<Rollout> {
        wait::until(&format!("{what}, in rollout {id}"), STEP_PATIENCE, async || {
            let rollout = self.rollout(id).await?;
            Ok(is_so(&rollout).then_some(rollout))
        })
        .await
    }

    /// Waits for the end of a rollout, whatever it is.
    pub async fn watch_to_end(&self, id: &str) -> anyhow::Result<Rollout> {
        let ended = self.try_run(&["rollout", "watch", id, "--timeout", "150s"]).await?;
        if ended.code == 5 || ended.code == 1 && !ended.stdout.contains("refused") {
            bail!("rollout {id} does not end:\n{}{}", ended.stdout, ended.stderr);
        }
        self.rollout(id).await
    }
}
