//! What became of the deliberate bugs, as `bugs/run.sh` has left it: name, promise and seed, one bug a line; the
//! promise is `-` where the bug was not caught. A bug counts by its patch: one that was never run is not caught, and
//! what was written of one whose patch is gone says nothing any more.

use crate::report::Figure;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The two figures.
#[must_use]
pub fn figures(patches: &Path, results: &Path) -> Vec<Figure> {
    let names = std::fs::read_dir(patches).into_iter().flatten().filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_patch = path.extension().is_some_and(|extension| extension == "patch");
        is_patch.then(|| path.file_stem().map(|name| name.to_string_lossy().into_owned()))?
    });
    count(&names.collect(), &std::fs::read_to_string(results).unwrap_or_default())
}

fn count(names: &BTreeSet<String>, results: &str) -> Vec<Figure> {
    let lines = results.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        Some((fields.next()?, fields.next()?))
    });
    let promises: BTreeMap<&str, &str> = lines.collect();
    let is_caught = |name: &&String| promises.get(name.as_str()).is_some_and(|promise| *promise != "-");
    let (caught, total) = (names.iter().filter(is_caught).count() as f64, names.len() as f64);
    vec![
        Figure::at_least("deliberate_bugs_caught", caught, "bugs", total),
        Figure::at_least("deliberate_bugs_total", total, "bugs", 30.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_that_survives_or_was_never_run_is_counted_and_not_met() {
        let names = ["bake-is-skipped", "hidden", "new"].map(str::to_owned).into();
        let results = "bake-is-skipped\tS6\tseed 1\nhidden\t-\tsurvives 300 seeds\ndeleted\tS1\tseed 1\n";
        let figures = count(&names, results);
        assert_eq!(figures.iter().map(|figure| figure.value).collect::<Vec<_>>(), [1.0, 3.0]);
        assert!(!figures[0].ok);
    }

    #[test]
    fn without_results_nothing_is_caught() {
        let figures = figures(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bugs")), Path::new("nowhere"));
        assert!(figures[1].ok, "{:?}", figures[1]);
        assert!(!figures[0].ok, "{:?}", figures[0]);
    }
}
