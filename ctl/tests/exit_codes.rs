//! relupctl as a program: exit codes, stdout and stderr, against a daemon that only knows one rollout.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use relupd_proto::api::v1;
use relupd_proto::api::v1::rollout_service_server::{RolloutService, RolloutServiceServer};
use std::pin::Pin;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

/// Its rollout is in these phases, one after the other, and stays in the last one.
struct OneRollout(Vec<v1::Phase>);

impl OneRollout {
    fn change(phase: v1::Phase) -> v1::WatchRolloutResponse {
        let summary = v1::RolloutSummary {
            id: "r7".to_owned(),
            app: "shop".to_owned(),
            version: "0.2.0".to_owned(),
            phase: phase.into(),
            ..Default::default()
        };
        let node = v1::NodeProgress {
            node_id: "1".to_owned(),
            node_name: "beam1".to_owned(),
            step: v1::NodeStep::Baking.into(),
            ..Default::default()
        };
        let rollout = v1::Rollout { summary: Some(summary), nodes: vec![node], ..Default::default() };
        v1::WatchRolloutResponse { rollout: Some(rollout), waiting_for: Vec::new() }
    }
}

macro_rules! unanswered {
    ($($name:ident($request:ident) -> $response:ident),* $(,)?) => {
        #[tonic::async_trait]
        impl RolloutService for OneRollout {
            type WatchRolloutStream = Pin<Box<dyn Stream<Item = Result<v1::WatchRolloutResponse, Status>> + Send>>;

            async fn watch_rollout(
                &self,
                _: Request<v1::WatchRolloutRequest>,
            ) -> Result<Response<Self::WatchRolloutStream>, Status> {
                let changes: Vec<_> = self.0.iter().map(|phase| Ok(Self::change(*phase))).collect();
                let stream = tokio_stream::iter(changes).chain(tokio_stream::pending());
                Ok(Response::new(Box::pin(stream)))
            }

            $(async fn $name(&self, _: Request<v1::$request>) -> Result<Response<v1::$response>, Status> {
                let mut status = Status::failed_precondition("plan p1 is stale; make a new one");
                status.metadata_mut().insert("relupd-code", "rejected".parse().unwrap());
                Err(status)
            })*
        }
    };
}

unanswered! {
    start_rollout(StartRolloutRequest) -> StartRolloutResponse,
    explain_rollout(ExplainRolloutRequest) -> ExplainRolloutResponse,
    pause_rollout(PauseRolloutRequest) -> PauseRolloutResponse,
    resume_rollout(ResumeRolloutRequest) -> ResumeRolloutResponse,
    promote_rollout(PromoteRolloutRequest) -> PromoteRolloutResponse,
    abort_rollout(AbortRolloutRequest) -> AbortRolloutResponse,
    list_rollouts(ListRolloutsRequest) -> ListRolloutsResponse,
    get_rollout(GetRolloutRequest) -> GetRolloutResponse,
}

fn relupctl() -> Command {
    let mut command = Command::cargo_bin("relupctl").unwrap();
    // Neither the contexts nor the socket of whoever runs the tests.
    command.env_clear().env("HOME", "/nonexistent");
    command
}

/// Runs relupctl against a daemon whose rollout takes this course.
async fn against(phases: &[v1::Phase], arguments: &[&str]) -> Assert {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("relupd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let service = RolloutServiceServer::new(OneRollout(phases.to_vec()));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
    let mut command = relupctl();
    command.arg("--socket").arg(&socket).args(arguments);
    tokio::task::spawn_blocking(move || command.assert()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_how_the_rollout_ended() {
    use v1::Phase::{Completed, Held, NeedsOperator, Refused, Reverted, Reverting, Rolling};
    for (ended, code) in [(Completed, 0), (Refused, 1), (Reverted, 3), (Held, 3), (NeedsOperator, 4)] {
        let assert = against(&[Rolling, Reverting, ended], &["rollout", "watch"]).await;
        assert.code(code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_too_long_leaves_the_rollout_alone() {
    // Named, for nothing says which one was meant where it is over before the first change comes.
    let watch = ["rollout", "watch", "r7", "--timeout", "200ms"];
    let assert = against(&[v1::Phase::Rolling], &watch).await.code(5);
    let stderr = text(&assert.get_output().stderr);
    assert!(stderr.contains("the rollout goes on"), "{stderr}");
    assert!(stderr.contains("relupctl rollout watch r7"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_changes_are_lines() {
    let phases = [v1::Phase::Rolling, v1::Phase::Completed];
    let assert = against(&phases, &["rollout", "watch", "r7"]).await.success();
    let stdout = text(&assert.get_output().stdout);
    assert!(stdout.contains("beam1: baking\n"), "{stdout}");
    assert!(stdout.contains("rollout r7 is rolling\n"), "{stdout}");
    assert!(stdout.contains("rollout r7 is completed\n"), "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_one_change_a_line() {
    let phases = [v1::Phase::Rolling, v1::Phase::NeedsOperator];
    let assert = against(&phases, &["rollout", "watch", "-o", "json"]).await.code(4);
    let stdout = text(&assert.get_output().stdout);
    let lines: Vec<serde_json::Value> =
        stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["rollout"]["summary"]["phase"], "needs_operator");
    assert_eq!(lines[1]["rollout"]["nodes"][0]["step"], "baking");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_printed_once_and_exits_with_1() {
    let assert = against(&[], &["rollout", "start", "p1"]).await.code(1);
    let output = assert.get_output();
    assert_eq!(text(&output.stderr), "error: plan p1 is stale; make a new one\n");
    assert!(output.stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_the_error_as_json() {
    let assert = against(&[], &["rollout", "pause", "--output", "json"]).await.code(1);
    let error: serde_json::Value = serde_json::from_slice(&assert.get_output().stderr).unwrap();
    assert_eq!(error["error"]["code"], "rejected");
}

#[test]
fn a_daemon_that_is_not_there_is_named_with_the_remedy() {
    let assert = relupctl().args(["--socket", "/nonexistent/relupd.sock", "status"]).assert().code(1);
    let stderr = text(&assert.get_output().stderr);
    assert!(stderr.contains("/nonexistent/relupd.sock") && stderr.contains("is relupd running"), "{stderr}");
}

#[test]
fn wrong_usage_exits_with_2() {
    relupctl().args(["rollout", "abort", "--hold", "--revert"]).assert().code(2);
    relupctl().args(["frobnicate"]).assert().code(2);
}

#[test]
fn an_archive_that_is_none_is_refused_before_anything_is_sent() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("shop.tar.gz");
    std::fs::write(&file, b"no archive").unwrap();
    let listener = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    let mut command = relupctl();
    command.arg("--socket").arg(directory.path().join("socket")).args(["release", "push"]).arg(&file);
    let assert = command.timeout(std::time::Duration::from_secs(20)).assert().code(1);
    let stderr = text(&assert.get_output().stderr);
    assert!(stderr.contains("shop.tar.gz cannot be pushed"), "{stderr}");
    drop(listener);
}

#[test]
fn completions_come_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let assert = relupctl().args(["completion", shell]).assert().success();
        let script = text(&assert.get_output().stdout);
        assert!(script.contains("quarantine"), "{shell}: {script}");
    }
}
