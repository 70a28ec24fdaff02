//! What came of the cells up to now, kept on disk: hours of them are not lost with the last one.

use crate::report::{Figure, Report};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The whole matrix has so many at least.
const WHOLE: u64 = 150;

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Where it is kept.
    path: Option<PathBuf>,
    /// Whether these are all cells there are.
    is_whole: bool,
    skipped: u64,
    wrong: u64,
    late: u64,
    /// How the rollouts ended.
    ended: BTreeMap<String, u64>,
    notes: Vec<String>,
}

impl Tally {
    pub(super) fn new(path: Option<PathBuf>, is_whole: bool) -> Self {
        Self { path, is_whole, ..Self::default() }
    }

    pub(super) fn skipped(&mut self) {
        self.skipped += 1;
    }

    /// A cell that went as designed; `late` where its fault struck after the moment had passed.
    pub(super) fn went(&mut self, phase: String, late: bool) -> anyhow::Result<()> {
        *self.ended.entry(phase).or_default() += 1;
        self.late += u64::from(late);
        self.keep()
    }

    /// One that did not.
    pub(super) fn went_wrong(&mut self, what: String) -> anyhow::Result<()> {
        self.wrong += 1;
        self.notes.push(what);
        self.keep()
    }

    pub(super) fn report(&self) -> Report {
        let run = self.wrong + self.ended.values().sum::<u64>();
        let mut report = Report::default();
        report.push(match self.is_whole {
            true => Figure::at_least("cells_run", run, WHOLE),
            false => Figure::some("cells_run_of_a_selection", run),
        });
        report.push(Figure::counted("cells_skipped", self.skipped));
        report.push(Figure::counted("cells_struck_late", self.late));
        report.push(Figure::exactly("cells_wrong", self.wrong, 0));
        let ended: Vec<String> = self.ended.iter().map(|(phase, cells)| format!("{phase} {cells}")).collect();
        report.note(format!("cells' rollouts ended: {}", ended.join(", ")));
        for note in &self.notes {
            report.note(note.clone());
        }
        report
    }

    fn keep(&self) -> anyhow::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        self.report().write_into(path).context("the report")
    }
}
