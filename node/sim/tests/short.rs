//! A few seeds in every run of the tests; `make sim` runs thousands.

#![expect(clippy::print_stdout, reason = "so few seeds only report what they did not reach")]

use relupd_sim::run::{Case, run, run_seeds};

/// About ten seconds of an unoptimised build.
const SEEDS: u64 = 8;

#[test]
fn a_few_seeds_keep_every_promise() {
    let summary = run_seeds(21..21 + SEEDS, 2, false);
    assert_eq!(summary.seeds, SEEDS);
    println!("never reached by {SEEDS} seeds: {}", summary.coverage.never_reached().join(", "));
    assert!(summary.broken.is_empty(), "replay with relupd-sim --seed N: {:?}", summary.broken);
}

#[test]
fn one_seed_has_one_trace() {
    let first = run(&Case::of(4));
    let second = run(&Case::of(4));
    assert_eq!((first.digest, first.events), (second.digest, second.events));
}
