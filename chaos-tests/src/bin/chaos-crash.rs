//! Breaks a node at every point of every way from one version to another. Ends with 0 only if none is
//! left on anything but the one version or the other.

use anyhow::{Context as _, bail};
use chaos_tests::binaries::Binaries;
use chaos_tests::cluster;
use chaos_tests::crash::{Matrix, Selection};
use chaos_tests::show::Show;
use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
#[command(name = "chaos-crash", about = "Breaks a node at every point of an upgrade, in every way")]
struct Arguments {
    /// Where everything goes; what an earlier run left there is removed
    #[arg(long, value_name = "DIR", default_value = "target/crash-matrix")]
    directory: PathBuf,
    /// Play only cells whose description contains this, e.g. "hot-up: power-cut"
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Play so many cells at most, spread evenly over all of them
    #[arg(long, value_name = "COUNT")]
    cells: Option<usize>,
    /// Have so many VMs hang, beside the other cells; each takes as long as the timeouts do
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    hangs: usize,
    /// Where relupd and relupctl are, built with the feature relupd/testing [default: beside this program]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = tokio::select! {
        ended = run(&arguments) => ended,
        signal = interrupted() => signal.and_then(|()| bail!("interrupted; what was started is ended")),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos-crash: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the table is what this program is run for")]
async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let directory = std::path::absolute(&arguments.directory)?;
    let binaries = match &arguments.bin_dir {
        Some(directory) => Binaries::in_directory(directory)?,
        None => Binaries::of_this_build()?,
    };
    make_room(&directory)?;
    let mut matrix = Matrix::prepare(&directory, binaries, Show::Stdout).await?;
    let selection =
        Selection { matching: arguments.only.clone(), limit: arguments.cells, hangs: arguments.hangs };
    matrix.play(&selection).await?;
    let report = matrix.report();
    println!("{}\n", report.table());
    for note in report.notes() {
        println!("{note}");
    }
    Ok(report.within_bounds())
}

async fn interrupted() -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Ends and removes what an earlier run has left.
fn make_room(directory: &Path) -> anyhow::Result<()> {
    let node = directory.join("node");
    cluster::clean_up(&node);
    chaos_tests::crash::unmount(&node)?;
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    Ok(fs::create_dir_all(directory)?)
}
