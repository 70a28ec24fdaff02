//! Measures what relupd promises in figures. Ends with 0 only if every bound is held.

use anyhow::{Context as _, bail};
use chaos_tests::bench::{Bench, FIGURES};
use chaos_tests::binaries::Binaries;
use chaos_tests::cluster;
use chaos_tests::report::Report;
use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Clusters of an earlier run; the sample app stays, since building it takes long.
const CLUSTERS: [&str; 5] = ["idle", "fake", "real", "driver", "cuts"];

#[derive(Debug, Parser)]
#[command(name = "chaos-bench", about = "Measures relupd on this machine against its bounds")]
struct Arguments {
    /// Where everything goes; clusters of an earlier run there are removed
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    directory: PathBuf,
    /// Measure only this figure; may be repeated
    #[arg(long, value_name = "NAME", value_parser = FIGURES)]
    only: Vec<String>,
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
            eprintln!("chaos-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let directory = std::path::absolute(&arguments.directory)?;
    let binaries = match &arguments.bin_dir {
        Some(directory) => Binaries::in_directory(directory)?,
        None => Binaries::of_this_build()?,
    };
    make_room(&directory)?;
    let bench = Bench { directory: directory.clone(), binaries, only: arguments.only.clone() };
    let mut report = Report::default();
    report.note(machine());
    let failed = bench.run(&mut report).await;
    report.write(&directory.join("report.json"))?;
    show(&report, &failed, &directory);
    Ok(failed.is_empty() && report.within_bounds())
}

#[expect(clippy::print_stdout, reason = "the table is what this program is run for")]
fn show(report: &Report, failed: &[anyhow::Error], directory: &Path) {
    println!("{}\n", report.table());
    for note in report.notes() {
        println!("{note}");
    }
    for error in failed {
        eprintln!("not measured: {error:#}; logs are below {}", directory.display());
    }
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
    for name in CLUSTERS {
        let cluster = directory.join(name);
        cluster::clean_up(&cluster);
        if cluster.exists() {
            fs::remove_dir_all(&cluster).with_context(|| format!("cannot remove {}", cluster.display()))?;
        }
    }
    Ok(fs::create_dir_all(directory)?)
}

/// On what it was measured.
fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown").to_owned();
    format!(
        "machine: {cpus} CPUs ({}), load average {load} at the start",
        model.map_or("unknown", |(_, name)| name)
    )
}
