//! The main job on one machine, live: three daemons, a real release under load, and what goes wrong.
//! Ends with 0 only if everything that is promised was observed.

use anyhow::{Context as _, bail};
use chaos_tests::binaries::Binaries;
use chaos_tests::cluster::{self, Cluster, SpecConfig};
use chaos_tests::report::Report;
use chaos_tests::samples::Samples;
use chaos_tests::scenes::{self, Stage};
use chaos_tests::show::Show;
use clap::Parser;
use std::fs::{self, DirEntry};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// What is pushed; the first is installed first.
const VERSIONS: [&str; 5] = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0"];

/// What stays from run to run: building the sample app takes longer than the demo.
const SAMPLES: &str = "samples";

/// Says that the directory is the demo's own.
const MARK: &str = "made-by-chaos-demo";

#[derive(Debug, Parser)]
#[command(name = "chaos-demo", about = "Shows relupd at work on this machine, and judges it")]
struct Arguments {
    /// Where everything goes; what an earlier run left there is removed
    #[arg(long, value_name = "DIR", default_value = "target/demo")]
    directory: PathBuf,
    /// Leave the cluster running
    #[arg(long)]
    keep: bool,
    /// End what an earlier run has left running, and nothing else
    #[arg(long, conflicts_with = "keep")]
    stop: bool,
    /// Where relupd and relupctl are [default: beside this program]
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
            eprintln!("\nthe demo failed: {error:#}\nlogs are below {}", arguments.directory.display());
            ExitCode::FAILURE
        }
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

async fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let show = Show::Stdout;
    let directory = std::path::absolute(&arguments.directory)?;
    if arguments.stop {
        cluster::clean_up(&directory);
        return Ok(true);
    }
    let binaries = match &arguments.bin_dir {
        Some(directory) => Binaries::in_directory(directory)?,
        None => Binaries::of_this_build()?,
    };
    make_room(&directory)?;
    show.say("building the sample app with rebar3 in five versions, where that is not done yet");
    let samples = Samples::build(&directory.join(SAMPLES)).await?;
    let cluster = Cluster::prepare(&directory, binaries, 3)?;
    let mut stage = Stage { cluster, samples, show };
    let mut report = Report::default();
    let played = play(&mut stage, &mut report).await;

    let path = directory.join("report.json");
    report.write(&path)?;
    played?;
    show.heading("Summary");
    show.block(&report.table());
    let observed = report.observed();
    show.say(&format!(
        "\n{}; figures: {}",
        if observed { "all of it was observed" } else { "NOT all of it was observed" },
        path.display()
    ));
    if arguments.keep {
        keep(&mut stage, show);
    }
    Ok(observed)
}

async fn play(stage: &mut Stage, report: &mut Report) -> anyhow::Result<()> {
    let show = stage.show;
    show.heading("1. Three daemons become a cluster");
    scenes::form::play(stage).await.context("scene 1")?;
    show.heading("2. Five releases are pushed, 0.1.0 is installed and started");
    scenes::first::play(stage, &SpecConfig::default(), &VERSIONS).await.context("scene 2")?;
    show.heading("3. 0.2.0 is rolled hot, under load");
    report.extend(scenes::hot::play(stage).await.context("scene 3")?);
    show.heading("4. 0.3.0 falls ill on the second node");
    report.extend(scenes::falls_ill::play(stage).await.context("scene 4")?);
    show.heading("5. The code_change of 0.3.1 crashes");
    report.extend(scenes::code_change_crashes::play(stage).await.context("scene 5")?);
    show.heading("6. The leader's daemon is killed while 0.1.0 is rolled, hot, the way down");
    report.extend(scenes::leader_dies::play(stage).await.context("scene 6")?);
    Ok(())
}

/// Ends and removes what an earlier run has left, the built samples excepted. A directory that no
/// run has made is left alone.
fn make_room(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mark = directory.join(MARK);
    let entries: Vec<DirEntry> = fs::read_dir(directory)?.collect::<Result<_, _>>()?;
    if !mark.exists() && !entries.is_empty() {
        bail!("{} is not empty and not from the demo: name another directory", directory.display());
    }
    fs::write(&mark, "made by chaos-demo, which removes everything here when it runs again\n")?;
    cluster::clean_up(directory);
    for entry in entries.iter().filter(|entry| entry.file_name() != SAMPLES && entry.file_name() != MARK) {
        let path = entry.path();
        let removed =
            if entry.file_type()?.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

fn keep(stage: &mut Stage, show: Show) {
    stage.cluster.keep();
    show.say("\nthe cluster is left running; talk to it:");
    for (index, (name, app)) in stage.cluster.apps().into_iter().enumerate() {
        let ctl = stage.cluster.ctl(index);
        show.block(&format!(
            "{name}: export RELUPCTL_SOCKET={}    curl http://{app}/info",
            ctl.socket().display()
        ));
    }
    show.say("`make clean-demo` ends it, and so does the next run");
}
