//! `relupd-sim`: runs seeds, reports figures and coverage, replays and shrinks one seed.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use clap::Parser;
use relupd_sim::run::{Case, run, run_seeds};

#[derive(Debug, Parser)]
struct Arguments {
    /// Run this seed alone, and print what happens.
    #[arg(long)]
    seed: Option<u64>,
    /// Of that seed's schedule, do only these.
    #[arg(long, value_delimiter = ',')]
    keep: Option<Vec<usize>>,
    /// Run so many seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// From this one on.
    #[arg(long, default_value_t = 1)]
    from: u64,
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        let ended = run(&Case { seed, keep: arguments.keep, read_log: true });
        print!("{}", ended.log);
        println!("digest {:016x}, {} events, {:?}", ended.digest, ended.events, ended.virtual_time);
        println!("{:?}", ended.broken);
        return;
    }
    let mut events = 0;
    let broken = run_seeds(arguments.from..arguments.from + arguments.seeds, |ended| events += ended.events);
    println!("{events} events; {:?}", broken.map(|ended| (ended.seed, ended.broken)));
}
