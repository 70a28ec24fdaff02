//! What became of the deliberate bugs, as `bugs/run.sh` has left it: name, promise and seed, one bug a line; the
//! promise is `-` where the bug was not caught.

use crate::report::Figure;
use std::path::Path;

/// The two figures; none where the bugs were not run.
#[must_use]
pub fn figures(results: &Path) -> Vec<Figure> {
    std::fs::read_to_string(results).map_or_else(|_| Vec::new(), |text| count(&text))
}

fn count(results: &str) -> Vec<Figure> {
    let promises: Vec<_> = results.lines().filter_map(|line| line.split('\t').nth(1)).collect();
    let total = promises.len() as f64;
    let caught = promises.iter().filter(|promise| **promise != "-").count() as f64;
    vec![
        Figure::at_least("deliberate_bugs_caught", caught, "bugs", total),
        Figure::at_least("deliberate_bugs_total", total, "bugs", 30.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_that_survives_is_counted_and_not_met() {
        let figures = count("bake-is-skipped\tS6\tseed 1\nhidden\t-\tsurvives 300 seeds\n");
        assert_eq!(figures.iter().map(|figure| figure.value).collect::<Vec<_>>(), [1.0, 2.0]);
        assert!(!figures[0].ok);
    }
}
