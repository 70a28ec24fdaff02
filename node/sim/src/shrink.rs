//! Shortens a failing schedule: deeds are left out, in ever smaller pieces, as long as the same promise
//! is still broken (delta debugging).

use crate::run::{Case, run};

/// No more runs than this: what is left by then is short enough to be read.
const RUNS: u32 = 400;

/// The shortest list of deeds found that breaks the same promise.
pub fn shrink(seed: u64) -> Vec<usize> {
    let whole = Case::of(seed);
    let promise = run(&whole).broken.map(|broken| broken.promise);
    let mut keep: Vec<usize> = (0..whole.schedule().planned.len()).collect();
    let Some(promise) = promise else { return keep };
    let mut runs = 0;
    let mut still_breaks = |keep: &[usize]| {
        runs += 1;
        let case = Case { seed, keep: Some(keep.to_vec()), read_log: false };
        (runs <= RUNS).then(|| run(&case).broken.is_some_and(|broken| broken.promise == promise))
    };
    let mut piece = keep.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut shortened = false;
        while at < keep.len() {
            let without: Vec<usize> = keep
                .iter()
                .enumerate()
                .filter(|(i, _)| *i < at || *i >= at + piece)
                .map(|(_, d)| *d)
                .collect();
            match still_breaks(&without) {
                None => return keep,
                Some(true) => {
                    keep = without;
                    shortened = true;
                }
                Some(false) => at += piece,
            }
        }
        if piece == 1 && !shortened {
            return keep;
        }
        piece = (piece / 2).max(1);
    }
}
