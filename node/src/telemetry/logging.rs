//! The log: to stderr for people or as JSON, or to the journal with its fields.

use crate::config::{LogFormat, LogSettings};
use std::io::{self, IsTerminal};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// Overrides `log.level`.
pub const LEVEL_VARIABLE: &str = "RELUPD_LOG";

/// raft-rs tells every ballot and every message of it; what of that concerns an operator is logged by
/// `consensus` itself. `slog=info` in the level brings it back.
const QUIET: &str = "slog=warn";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The environment variable.
    #[error(
        "{LEVEL_VARIABLE}={level:?} is not a level; write e.g. \"debug\" or \"info,relupd::agent=debug\""
    )]
    Level {
        level: String,
        #[source]
        source: ParseError,
    },
    /// The journal.
    #[error("cannot reach the journal; set `log.format` to \"human\" or \"json\" where systemd does not run")]
    Journald(#[source] io::Error),
    /// Twice in one process.
    #[error("cannot begin to log")]
    Init(#[from] TryInitError),
}

/// Begins to log; once in a process.
pub fn init(settings: &LogSettings) -> Result<(), LoggingError> {
    let level = std::env::var(LEVEL_VARIABLE).unwrap_or_else(|_| settings.level.clone());
    let filter = EnvFilter::try_new(format!("{QUIET},{level}"))
        .map_err(|source| LoggingError::Level { level: level.clone(), source })?;
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Human => {
            fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).boxed()
        }
        LogFormat::Json => fmt::layer().json().with_writer(io::stderr).boxed(),
        LogFormat::Journald => tracing_journald::layer().map_err(LoggingError::Journald)?.boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).try_init()?;
    Ok(())
}
