//! Same seed, same trace, in every build and on every machine: `digests.txt` holds what these seeds came to when it
//! was written. Where behaviour has changed on purpose: `UPDATE_DIGESTS=1 cargo nextest run -p relupd-sim --test digest`.

use relupd_sim::run::{Case, run};
use std::fmt::Write as _;
use std::path::Path;

const SEEDS: [u64; 3] = [2, 9, 33];

#[test]
fn a_seed_has_the_same_trace_on_every_machine() {
    let mut now = String::new();
    for seed in SEEDS {
        let ended = run(&Case::of(seed));
        writeln!(now, "{seed} {:016x} {} events", ended.digest, ended.events)
            .expect("a String takes everything");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/digests.txt");
    if std::env::var_os("UPDATE_DIGESTS").is_some() {
        std::fs::write(&path, &now).expect("the sources can be written");
    }
    let known = std::fs::read_to_string(&path).expect("the file of digests");
    assert_eq!(
        known, now,
        "if behaviour has changed on purpose, renew the file as this test's first lines say"
    );
}
