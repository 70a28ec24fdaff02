//! Runs a program as a check, in a process group of its own that does not outlive the answer.

use super::{Surroundings, excerpt};
use crate::service::user::{self, User};
use futures::FutureExt;
use futures::future::FusedFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// So much of what a program prints is kept for the reason; the rest is read and forgotten, so that
/// the program does not block.
const MAX_OUTPUT: usize = 4 * 1024;

/// A program that has ended may leave its output open in a background process; it is not waited for.
const OUTPUT_PATIENCE: Duration = Duration::from_millis(100);

pub(super) async fn run(command: &[String], surroundings: &Surroundings) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("no program")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(&surroundings.environment)
        .current_dir(&surroundings.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(User { uid, gid }) = user::to_change_to(surroundings.user.as_deref())? {
        command.uid(uid).gid(gid);
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut group = Group(child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)));
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reading = async { tokio::join!(drain(stdout, &mut output), drain(stderr, &mut errors)) };
        let mut reading = pin!(reading.fuse());
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                _ = &mut reading, if !reading.is_terminated() => {}
            }
        };
        group.0 = None;
        if !reading.is_terminated() {
            // Late output is worth little, and its absence is no failure.
            let _late = tokio::time::timeout(OUTPUT_PATIENCE, &mut reading).await;
        }
        status.map_err(|error| error.to_string())?
    };
    if status.success() {
        return Ok(());
    }
    errors.extend_from_slice(&output);
    match excerpt(&errors) {
        text if text.is_empty() => Err(format!("{status}, expected exit 0")),
        text => Err(format!("{status}, expected exit 0: {text}")),
    }
}

/// Reads to the end and keeps the beginning.
async fn drain(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 1024];
    // A broken pipe ends it like a closed one: the exit status is what counts.
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..length.min(MAX_OUTPUT - kept.len())]);
    }
}

/// Kills the group when a check is given up. Its leader has not been waited for then, so the number
/// cannot be anybody else's.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // ESRCH: it ended by itself.
            let _ended = kill_process_group(pid, Signal::KILL);
        }
    }
}
