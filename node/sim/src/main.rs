//! `relupd-sim`: runs seeds, reports figures and coverage, replays and shrinks one seed.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use anyhow::Context as _;
use clap::Parser;
use relupd::clock::monotonic;
use relupd_sim::bugs;
use relupd_sim::report::{Figure, Report};
use relupd_sim::run::{Case, Summary, run, run_seeds};
use relupd_sim::shrink::shrink;
use relupd_sim::thousand;
use std::fmt::{self, Display, Formatter};
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

/// What is left of a schedule.
#[derive(Clone, Debug)]
struct Keep(Vec<usize>);

impl FromStr for Keep {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "nothing" => Ok(Self(Vec::new())),
            list => list.split(',').map(str::parse).collect::<Result<_, _>>().map(Self),
        }
    }
}

impl Display for Keep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        let deeds: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&deeds.join(","))
    }
}

/// A simulation is made of small values that come and go; a fifth of its time went to the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A run of so many seeds must have reached every name.
const REACHES_EVERYTHING: u64 = 10_000;

/// Simulates a cluster over the daemon's own code, seed by seed, and checks its promises.
#[derive(Debug, Parser)]
struct Arguments {
    /// Run this seed alone, and print what happens.
    #[arg(long)]
    seed: Option<u64>,
    /// Of that seed's schedule, do only these deeds.
    #[arg(long, value_name = "DEED,DEED,...|nothing", requires = "seed")]
    keep: Option<Keep>,
    /// Shorten that seed's schedule first.
    #[arg(long, requires = "seed")]
    shrink: bool,
    /// Run so many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// From this one on.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Stop at the first broken promise, at the latest after `--max-seeds`; exit code 3 if there is one.
    #[arg(long)]
    until_violation: bool,
    /// With `--until-violation`: so many seeds at most.
    #[arg(long, default_value_t = 1000)]
    max_seeds: u64,
    /// Simulations side by side.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Write the figures here.
    #[arg(long)]
    report: Option<PathBuf>,
    /// What became of the deliberate bugs, for the report.
    #[arg(long, default_value = "target/sim/bugs/results.tsv")]
    bugs: PathBuf,
    /// Where their patches are.
    #[arg(long, default_value = "node/sim/bugs")]
    patches: PathBuf,
    /// Print the table of what was reached.
    #[arg(long)]
    table: bool,
    /// Roll out over so many nodes, too; 0 leaves that out.
    #[arg(long, default_value_t = 1000)]
    nodes: usize,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        return Ok(one(seed, &arguments));
    }
    if arguments.until_violation {
        let seeds = arguments.from..arguments.from + arguments.max_seeds;
        let summary = run_seeds(seeds, arguments.threads, true);
        print_broken(&summary);
        println!("{} seeds", summary.seeds);
        return Ok(ExitCode::from(if summary.broken.is_empty() { 0 } else { 3 }));
    }
    many(&arguments)
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    let keep = if arguments.shrink { Some(Keep(shrink(seed))) } else { arguments.keep.clone() };
    let ended = run(&Case { seed, keep: keep.as_ref().map(|keep| keep.0.clone()), read_log: true });
    print!("{}", ended.log);
    println!("digest {:016x}, {} events, {:?}", ended.digest, ended.events, ended.virtual_time);
    if let (true, Some(keep)) = (arguments.shrink, keep) {
        println!("shortened: {} --seed {seed} --keep {keep}", program());
    }
    match ended.broken {
        None => ExitCode::SUCCESS,
        Some(broken) => {
            println!("broken: {}: {}", broken.promise, broken.detail);
            ExitCode::from(3)
        }
    }
}

fn many(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let began = monotonic();
    let seeds = arguments.from..arguments.from + arguments.seeds;
    let summary = run_seeds(seeds, arguments.threads, false);
    let took = monotonic().since(began);
    print_broken(&summary);
    if let Some(seed) = summary.broken.keys().next() {
        println!("shortened: {} --seed {seed} --keep {}", program(), Keep(shrink(*seed)));
    }
    if arguments.table {
        println!("{}", summary.coverage.table());
    }
    let mut figures = figures(&summary, took);
    figures.extend(bugs::figures(&arguments.patches, &arguments.bugs));
    if arguments.nodes > 0 {
        figures.extend(thousand::figures(arguments.nodes));
    }
    for Figure { name, value, unit, bound, ok } in &figures {
        let bound = bound.as_deref().unwrap_or("reported");
        println!("{name} {value:.1} {unit} ({bound}){}", if *ok { "" } else { " NOT MET" });
    }
    let report = Report::new(&summary, figures);
    for name in &report.never_reached {
        println!("never reached: {name}");
    }
    for name in &report.unknown_changes {
        println!("in no table: {name}");
    }
    if let Some(path) = &arguments.report {
        write(path, &report)?;
    }
    let complete = report.never_reached.is_empty()
        && report.unknown_changes.is_empty()
        && report.figures.iter().all(|figure| figure.ok);
    let sound = summary.broken.is_empty() && (complete || summary.seeds < REACHES_EVERYTHING);
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn figures(summary: &Summary, took: Duration) -> Vec<Figure> {
    let seeds = summary.seeds as f64;
    vec![
        Figure::at_least("seeds_run", seeds, "seeds", REACHES_EVERYTHING as f64),
        Figure::at_most("invariant_violations", summary.broken.len() as f64, "seeds", 0.0),
        Figure::at_least("seeds_per_second", seeds / took.as_secs_f64(), "1/s", 50.0),
        Figure::reported("events_per_seed", summary.events as f64 / seeds.max(1.0), "events"),
    ]
}

fn print_broken(summary: &Summary) {
    for (seed, broken) in &summary.broken {
        println!("{}: {}\n  replay: {} --seed {seed}", broken.promise, broken.detail, program());
    }
}

/// As it was called, so that what is printed can be called as well.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "relupd-sim".to_owned())
}

fn write(path: &Path, report: &Report) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let text = serde_json::to_string_pretty(report)?;
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
