//! The operator's command line for relupd.

mod cli;
mod clock;
mod commands;
mod connection;
mod contexts;
mod error;
mod exit;
mod human;
mod operator_files;
mod output;
mod session;

use clap::Parser;
use cli::Cli;
use output::Format;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.global.output;
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            match format {
                Format::Table => eprintln!("error: {}", error::text(&error)),
                Format::Json => eprintln!("{}", error::json(&error)),
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<exit::Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(commands::run(cli));
    // A blocked read of a terminal or a pipe must not keep the process.
    runtime.shutdown_background();
    ended
}
