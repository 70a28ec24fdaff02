//! Real systemd hosts: boots them in namespaces of its own, plays a scene on them, and leaves nothing.

use anyhow::{Context as _, bail};
use chaos_tests::binaries::Binaries;
use chaos_tests::hosts::cells::Cell;
use chaos_tests::hosts::chaos::Script;
use chaos_tests::hosts::faults::Fault;
use chaos_tests::hosts::image::Image;
use chaos_tests::hosts::sandbox::{self, Sandbox};
use chaos_tests::hosts::walk::{self, Way};
use chaos_tests::hosts::{Hosts, ansible, chaos, package, recovery, smoke, upgrade};
use chaos_tests::report::Report;
use chaos_tests::samples::{ElixirSamples, Samples};
use chaos_tests::show::Show;
use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Where the image and the runs lie.
const HOSTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/hosts");

/// `make chaos` puts it there.
const NEXT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/hosts/next/relupd");

#[derive(Debug, Parser)]
#[command(about = "Boots real systemd hosts and plays a scene on them; needs root")]
struct Arguments {
    #[command(subcommand)]
    scene: Scene,
    /// So many hosts
    #[arg(long, global = true, default_value_t = 5)]
    hosts: u8,
    /// Keep the run's files where it fails
    #[arg(long, global = true)]
    keep: bool,
    /// A relupd with the feature next-format, for rolls to it: `cargo build -p relupd --features next-format`,
    /// copied here before the one without it is built again
    #[arg(long, global = true, value_name = "FILE", default_value = NEXT)]
    next: PathBuf,
    /// Where the figures go
    #[arg(long, global = true, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Where relupd and relupctl are, if not beside this program
    #[arg(long, global = true, value_name = "DIRECTORY")]
    programs: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
enum Scene {
    /// Whether hosts can be booted on this machine, or why not
    Check,
    /// Installation, a cluster, an app, a hot rollout, restarts
    Smoke,
    /// The Ansible role, both phases, each of them twice
    Ansible,
    /// A lost quorum and a lost cluster, recovered as the documents say; also with two hosts
    Recovery,
    /// relupd itself is rolled: to the next format and back, one that is broken, and a power cut in the middle
    Upgrade,
    /// Faults at phases of rollouts, on each kind of host
    Chaos {
        /// The whole matrix
        #[arg(long)]
        full: bool,
        /// These faults alone, and nothing that is measured without one
        #[arg(long)]
        fault: Vec<Fault>,
        /// Goes on with the whole matrix where an earlier part of this build stopped, after what lies beside --report
        #[arg(long, requires = "full", conflicts_with = "fault")]
        go_on: bool,
        /// Stops after so many minutes of cells
        #[arg(long)]
        minutes: Option<u64>,
    },
    /// What an idle daemon takes of a host, after a rollout
    Idle {
        /// Left alone for so many minutes
        #[arg(long, default_value_t = 1)]
        minutes: u64,
    },
    /// Faults and orders drawn from a seed, for a time
    Walk {
        /// For so many minutes
        #[arg(long, default_value_t = 10)]
        minutes: u64,
        /// The way [default: another one each time]
        #[arg(long)]
        seed: Option<u64>,
        /// This leg alone
        #[arg(long)]
        leg: Option<u64>,
        /// The version that every host runs at first
        #[arg(long, default_value = "0.1.0")]
        from: String,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if matches!(arguments.scene, Scene::Check) {
        Show::Stdout.say(&match sandbox::missing() {
            Some(why) => format!("SKIPPED: {why}"),
            None => "hosts can be booted here".to_owned(),
        });
        return Ok(ExitCode::SUCCESS);
    }
    if !sandbox::is_inside() {
        prepare()?;
        match sandbox::enter()? {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            ended = run(&arguments) => ended,
            _ = term.recv() => bail!("told to stop"),
            _ = interrupt.recv() => bail!("told to stop"),
        }
    })
}

/// What needs the machine's own network.
fn prepare() -> anyhow::Result<()> {
    if let Some(why) = sandbox::missing() {
        bail!("{why}");
    }
    std::fs::create_dir_all(HOSTS)?;
    Image::ensure(Path::new(HOSTS))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        Samples::shared().await?;
        ElixirSamples::shared().await.map(drop)
    })
}

async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let directory = Path::new(HOSTS);
    let binaries = match &arguments.programs {
        Some(directory) => Binaries::in_directory(directory)?,
        None => Binaries::of_this_build()?,
    };
    let samples = Samples::shared().await?;
    let sandbox = Sandbox::new(directory)?;
    let package = package::build(&binaries, sandbox.directory())?;
    let image = Image::ensure(directory)?;
    let mut hosts = Hosts::boot(sandbox, &image, &package, binaries, arguments.hosts).await?;
    let played = play(arguments, &mut hosts, &samples).await;
    if let Err(error) = &played {
        eprintln!("{}", hosts.consoles());
        eprintln!("{}", hosts.testament().await);
        if arguments.keep {
            return Err(anyhow::anyhow!("{error:#}; files are in {}", hosts.directory().display()));
        }
    }
    hosts.end()?;
    let report = played?;
    Show::Stdout.say(&report.table());
    if let Some(path) = &arguments.report {
        report.clone().write_into(path).context("the report")?;
    }
    let good = match arguments.scene {
        // Part of the test suite, where times do not decide.
        Scene::Check | Scene::Smoke | Scene::Ansible | Scene::Recovery => report.observed(),
        Scene::Chaos { .. } | Scene::Idle { .. } | Scene::Walk { .. } | Scene::Upgrade => {
            report.within_bounds()
        }
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn play(arguments: &Arguments, hosts: &mut Hosts, samples: &Samples) -> anyhow::Result<Report> {
    let mut report = Report::default();
    match &arguments.scene {
        Scene::Check => {}
        Scene::Chaos { full, fault, go_on, minutes } => {
            let script = Script {
                cells: if *full { Cell::all() } else { Cell::selection() },
                is_whole: *full && fault.is_empty(),
                report: arguments.report.clone(),
                goes_on: *go_on,
                limit: minutes.map(|minutes| Duration::from_secs(minutes * 60)),
            };
            if fault.is_empty() && !go_on {
                return chaos::play(hosts, samples, script, Show::Stdout).await;
            }
            let chosen = |cell: &Cell| fault.is_empty() || fault.contains(&cell.fault);
            let script = Script { cells: script.cells.into_iter().filter(chosen).collect(), ..script };
            return chaos::play_cells(hosts, samples, script, Show::Stdout).await;
        }
        Scene::Idle { minutes } => {
            let how_long = Duration::from_secs(minutes * 60);
            return chaos::play_idle(hosts, samples, how_long, Show::Stdout).await;
        }
        Scene::Walk { minutes, seed, leg, from } => {
            let seed = seed.unwrap_or_else(|| relupd::clock::wall().as_millisecond().unsigned_abs());
            let histories = arguments.report.as_ref().and_then(|path| path.parent()).map(Path::to_owned);
            let limit = Duration::from_secs(*minutes * 60);
            let way = Way { seed, limit, only: *leg, from: from.clone(), histories };
            return walk::play(hosts, samples, way, Show::Stdout).await;
        }
        Scene::Ansible => match ansible::missing() {
            Some(why) => Show::Stdout.say(&format!("SKIPPED: {why}")),
            None => report.extend(ansible::play(hosts, samples, Show::Stdout).await?),
        },
        Scene::Recovery => report.extend(recovery::play(hosts, samples, Show::Stdout).await?),
        Scene::Upgrade => report.extend(upgrade::play(hosts, samples, &arguments.next, Show::Stdout).await?),
        Scene::Smoke => report.extend(smoke::play(hosts, samples, Show::Stdout).await?),
    }
    Ok(report)
}
