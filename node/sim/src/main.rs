//! `relupd-sim`: runs seeds, reports figures and coverage, replays and shrinks one seed.

fn main() {}
