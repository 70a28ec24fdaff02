//! What a person sees: headings, what is done and why, the commands with what they print.

use crate::ctl::{Ctl, Ended};
use anyhow::Context as _;
use std::io::Write as _;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

/// Where it is shown.
#[derive(Clone, Copy, Debug)]
pub enum Show {
    /// On stdout.
    Stdout,
    /// Nowhere: in tests.
    Silent,
}

impl Show {
    /// A scene begins.
    pub fn heading(self, text: &str) {
        self.line(&format!("\n== {text} ==\n"));
    }

    /// What happens now.
    pub fn say(self, text: &str) {
        self.line(text);
    }

    /// What was seen, by whom.
    pub fn witnessed(self, text: &str) {
        self.line(&format!("  ✓ {text}"));
    }

    /// Something to be read on its own.
    pub fn block(self, text: &str) {
        for line in text.trim_end().lines() {
            self.line(&format!("    {line}"));
        }
    }

    /// Runs a command that must end well, and shows it with its output.
    pub async fn run(self, at: &str, ctl: &Ctl, arguments: &[&str]) -> anyhow::Result<Ended> {
        self.prompt(at, arguments);
        let ended = ctl.run(arguments).await?;
        self.block(&ended.stdout);
        Ok(ended)
    }

    /// Runs a command that must be refused, and shows it with what it says.
    pub async fn refused(self, at: &str, ctl: &Ctl, arguments: &[&str]) -> anyhow::Result<String> {
        self.prompt(at, arguments);
        let said = ctl.refused(arguments).await?;
        self.block(&said);
        Ok(said)
    }

    /// Runs a command that takes its time, and shows each line as it comes; its exit code.
    pub async fn follow(self, at: &str, ctl: &Ctl, arguments: &[&str]) -> anyhow::Result<i32> {
        self.prompt(at, arguments);
        let mut child = ctl.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("it was asked for")?;
        let mut stderr = child.stderr.take().context("it was asked for")?;
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            self.block(&line);
        }
        let mut said = String::new();
        stderr.read_to_string(&mut said).await?;
        self.block(&said);
        child.wait().await?.code().context("relupctl was killed")
    }

    /// The command as a person would type it on that node.
    pub fn prompt(self, at: &str, arguments: &[&str]) {
        self.line(&format!("{at}$ relupctl {}", arguments.join(" ")));
    }

    fn line(self, text: &str) {
        match self {
            // Nobody reads any longer: what is done is done for its exit code, too.
            Self::Stdout => drop(writeln!(std::io::stdout().lock(), "{text}")),
            Self::Silent => {}
        }
    }
}
