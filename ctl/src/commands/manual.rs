//! Manual pages from the command line's own definition, for packages.

use crate::cli::Cli;
use crate::exit::Exit;
use anyhow::Context as _;
use clap::CommandFactory as _;
use std::path::Path;

/// Writes a page for each command.
pub(crate) fn write(directory: &Path) -> anyhow::Result<Exit> {
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), directory)
        .with_context(|| format!("cannot write manual pages to {}", directory.display()))?;
    Ok(Exit::Done)
}
