//! Arguments, then one of two lives: the daemon's, or the app's that `launch` becomes.

use clap::{CommandFactory as _, Parser, Subcommand};
use relupd::config::{self, ConfigError, Overrides};
use relupd::driver::launch::{self, LaunchArgs, LaunchError};
use relupd::format::Format;
use relupd::{daemon, telemetry, upgrade};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
#[command(name = "relupd", version, long_version = LONG_VERSION.as_str(), about = "Rolls Erlang and Elixir releases over bare-metal hosts, hot")]
struct Arguments {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// Where the state is kept, instead of what the configuration says
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where sockets and trials are kept, instead of what the configuration says
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The packaging reads the second line.
static LONG_VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{}\nformat {}", env!("CARGO_PKG_VERSION"), Format::NEWEST));

#[derive(Subcommand)]
enum Command {
    /// Become an app: what the app's own unit starts
    Launch(LaunchArgs),
    /// Install the package that was ordered, and go back where its daemon is not well: what root's
    /// relupd-upgrade.service starts
    InstallPackage,
    /// Write manual pages, for packages
    #[command(hide = true)]
    Manual {
        /// Where to
        directory: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command {
        Some(Command::Launch(ref args)) => {
            launch::launch(args).map(|never| match never {}).map_err(Into::into)
        }
        Some(Command::InstallPackage) => install_package(&arguments),
        Some(Command::Manual { ref directory }) => write_manual(directory),
        None => run_daemon(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relupd: {}", relupd_core::chain(&*error));
            exit_code(&*error)
        }
    }
}

/// `EX_CONFIG`: another try would end the same way. The units rely on it.
const NOT_CONFIGURED: u8 = 78;

fn exit_code(error: &(dyn Error + 'static)) -> ExitCode {
    let is_configuration =
        error.is::<ConfigError>() || matches!(error.downcast_ref(), Some(LaunchError::NotInstalled { .. }));
    if is_configuration { ExitCode::from(NOT_CONFIGURED) } else { ExitCode::FAILURE }
}

fn write_manual(directory: &Path) -> Result<(), Box<dyn Error>> {
    let command = Arguments::command().disable_help_subcommand(true);
    Ok(clap_mangen::generate_to(command, directory)?)
}

fn install_package(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let overrides = Overrides { state_dir: arguments.state_dir.clone(), run_dir: arguments.run_dir.clone() };
    let settings = config::load(&arguments.config, &overrides)?;
    Ok(upgrade::host::run(&settings)?)
}

/// No disk that works takes longer.
const LAST_FILES: Duration = Duration::from_secs(5);

fn run_daemon(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let overrides = Overrides { state_dir: arguments.state_dir, run_dir: arguments.run_dir };
    let settings = config::load(&arguments.config, &overrides)?;
    telemetry::logging::init(&settings.log)?;
    // One thread is enough for a few messages a second; each further one is woken for nothing, and even a single
    // worker wakes itself. Consensus has a thread of its own, and what takes long runs on blocking threads.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let stop = CancellationToken::new();
        let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stopping = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            stopping.cancel();
            // Asked twice, it goes at once. What was acknowledged is on disk, and apps run on.
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(1);
        });
        Ok(daemon::run(settings, stop).await?)
    });
    // Whoever still reads or writes a file has nobody left to tell.
    runtime.shutdown_timeout(LAST_FILES);
    ended
}
