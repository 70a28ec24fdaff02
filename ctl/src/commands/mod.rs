//! The commands, one file per noun.

pub(crate) mod app;
pub(crate) mod cluster;
pub(crate) mod event;
mod manual;
pub(crate) mod node;
pub(crate) mod operator;
pub(crate) mod plan;
pub(crate) mod quarantine;
pub(crate) mod release;
pub(crate) mod rollout;
#[cfg(test)]
mod snapshots;
mod status;
pub(crate) mod upgrade;
mod watch;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::human;
use crate::output;
use crate::session::Session;
use anyhow::bail;
use clap::CommandFactory;

/// Runs a command.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let Cli { global, command } = cli;
    let command = match command {
        Command::Completion { shell } => return completion(shell),
        Command::Manual { directory } => return manual::write(&directory),
        Command::App(app::Command::Setup(args)) => return app::setup::run(args, global.output),
        Command::Upgrade(command) => return upgrade::run(command, global.target.resolve(), global.output),
        asks_a_daemon => asks_a_daemon,
    };
    let limit = if command.keeps_time() { None } else { global.timeout.or(command.patience()) };
    let work = async {
        let session = Session::open(global.target.resolve()?, global.output, global.timeout).await?;
        dispatch(command, session).await
    };
    let Some(limit) = limit else { return work.await };
    match tokio::time::timeout(limit, work).await {
        Ok(ended) => ended,
        Err(_) => bail!(
            "no answer within {}; what was asked for may still happen: look with `relupctl status`, or give more time with --timeout",
            human::span(limit)
        ),
    }
}

async fn dispatch(command: Command, session: Session) -> anyhow::Result<Exit> {
    let session_format = session.format;
    match command {
        Command::Status => status::run(&session).await,
        Command::Cluster(command) => cluster::run(command, session).await,
        Command::Operator(command) => operator::run(command, &session).await,
        Command::Node(command) => node::run(command, &session).await,
        Command::Release(command) => release::run(command, &session).await,
        Command::App(command) => app::run(command, &session).await,
        Command::Plan(args) => plan::run(args, &session).await,
        Command::Rollout(command) => rollout::run(command, session).await,
        Command::Quarantine(command) => quarantine::run(command, &session).await,
        Command::Events(args) => event::run(args, &session).await,
        Command::Upgrade(command) => upgrade::run(command, Ok(session.into_target()), session_format),
        Command::Completion { shell } => completion(shell),
        Command::Manual { directory } => manual::write(&directory),
    }
}

fn completion(shell: clap_complete::Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "relupctl", &mut script);
    output::line(String::from_utf8(script)?.trim_end())?;
    Ok(Exit::Done)
}
