//! Arguments, then one of two lives: the daemon's, or the app's that `launch` becomes.

use clap::{Parser, Subcommand};
use relupd::driver::erlang::launch::{self, LaunchArgs};
use std::error::Error;

#[derive(Parser)]
#[command(name = "relupd", version, about = "Rolls Erlang and Elixir releases over bare-metal hosts, hot")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Become an app's VM: what the app's own unit starts
    Launch(LaunchArgs),
}

fn main() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().command {
        Some(Command::Launch(args)) => match launch::launch(&args)? {},
        None => Ok(()),
    }
}
