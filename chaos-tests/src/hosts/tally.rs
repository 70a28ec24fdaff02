//! What came of the cells up to now, kept on disk: hours of them are not lost with the last one, and the whole
//! matrix can be played in parts.

use super::cells::Cell;
use crate::report::{Figure, Report};
use anyhow::{Context as _, ensure};
use relupd::ids::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The whole matrix has so many at least.
const WHOLE: u64 = 150;

/// Counts.
#[derive(Debug)]
pub(super) struct Tally {
    /// Where the report goes; beside it, of the whole matrix, what is kept.
    path: Option<PathBuf>,
    /// Whether these are all cells there are.
    is_whole: bool,
    skipped: u64,
    kept: Kept,
}

/// What another part has to know.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// The daemon that was broken: cells of another one are not counted with these.
    relupd: Digest,
    /// Parts that have begun.
    begun: u64,
    /// Cells that went as designed.
    went: BTreeMap<String, Went>,
    /// What was wrong with those that did not.
    wrong: Vec<String>,
    /// What the parts that have ended have counted beside the cells.
    parts: Vec<Report>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Went {
    /// How its rollout ended.
    ended: String,
    /// Its fault struck after the moment had passed.
    late: bool,
}

impl Tally {
    /// One that begins; what an earlier one has kept is gone. `relupd` is the program under test.
    pub(super) fn new(path: Option<PathBuf>, is_whole: bool, relupd: &Path) -> anyhow::Result<Self> {
        let tally = Self::empty(path, is_whole, relupd)?;
        tally.keep()?;
        Ok(tally)
    }

    fn empty(path: Option<PathBuf>, is_whole: bool, relupd: &Path) -> anyhow::Result<Self> {
        let kept = Kept {
            relupd: Digest::of(&fs::read(relupd)?),
            begun: 1,
            went: BTreeMap::new(),
            wrong: Vec::new(),
            parts: Vec::new(),
        };
        Ok(Self { path, is_whole, skipped: 0, kept })
    }

    /// The whole matrix, from where an earlier part stopped.
    pub(super) fn go_on(path: Option<PathBuf>, relupd: &Path) -> anyhow::Result<Self> {
        let begins = Self::empty(path, true, relupd)?;
        let file = begins.file().context("what is to be gone on with is kept beside a report")?;
        let text = fs::read(&file).with_context(|| format!("cannot go on from {}", file.display()))?;
        let kept: Kept = serde_json::from_slice(&text)
            .with_context(|| format!("{} does not say where to go on", file.display()))?;
        let same = kept.relupd == begins.kept.relupd;
        ensure!(same, "{} is about another build of relupd: begin anew", file.display());
        let tally = Self { kept: Kept { begun: kept.begun + 1, ..kept }, ..begins };
        tally.keep()?;
        Ok(tally)
    }

    /// Whether an earlier part has played this one to its end.
    pub(super) fn has(&self, cell: Cell) -> bool {
        self.kept.went.contains_key(&cell.to_string())
    }

    pub(super) fn skipped(&mut self) {
        self.skipped += 1;
    }

    /// A cell that went as designed; `late` where its fault struck after the moment had passed.
    pub(super) fn went(&mut self, cell: Cell, ended: String, late: bool) -> anyhow::Result<()> {
        self.kept.went.insert(cell.to_string(), Went { ended, late });
        self.keep()
    }

    /// One that did not.
    pub(super) fn went_wrong(&mut self, what: String) -> anyhow::Result<()> {
        self.kept.wrong.push(what);
        self.keep()
    }

    /// This part ends, and has counted this beside the cells: everything together.
    pub(super) fn ends(mut self, part: Report) -> anyhow::Result<Report> {
        self.kept.parts.push(part);
        self.keep()?;
        let mut report = self.kept.parts.iter().fold(Report::default(), Report::plus);
        report.append(self.report());
        Ok(report)
    }

    fn report(&self) -> Report {
        let Kept { went, wrong, .. } = &self.kept;
        let run = (wrong.len() + went.len()) as u64;
        let mut report = Report::default();
        report.push(match self.is_whole {
            true => Figure::at_least("cells_run", run, WHOLE),
            false => Figure::some("cells_run_of_a_selection", run),
        });
        report.push(Figure::counted("cells_skipped", self.skipped));
        // Who is stopped in the middle has not checked the answers that it had.
        let unchecked = self.kept.begun.saturating_sub(self.kept.parts.len() as u64);
        report.push(Figure::exactly("parts_without_a_history", unchecked, 0));
        let late = went.values().filter(|went| went.late).count();
        report.push(Figure::counted("cells_struck_late", late as u64));
        report.push(Figure::exactly("cells_wrong", wrong.len() as u64, 0));
        let mut phases: BTreeMap<&str, u64> = BTreeMap::new();
        for went in went.values() {
            *phases.entry(&went.ended).or_default() += 1;
        }
        let ended: Vec<String> = phases.iter().map(|(phase, cells)| format!("{phase} {cells}")).collect();
        report.note(format!("cells' rollouts ended: {}", ended.join(", ")));
        report.failures("wrong", wrong);
        report
    }

    fn file(&self) -> Option<PathBuf> {
        self.path.as_ref().filter(|_| self.is_whole).map(|path| path.with_file_name("cells.json"))
    }

    fn keep(&self) -> anyhow::Result<()> {
        if let Some(file) = self.file() {
            let beside = file.with_extension("new");
            fs::write(&beside, serde_json::to_vec_pretty(&self.kept)?)
                .and_then(|()| fs::rename(&beside, &file))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        let Some(path) = &self.path else { return Ok(()) };
        self.report().write_into(path).context("the report")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_part_goes_on_where_the_first_one_stopped_and_counts_for_both() {
        let directory = tempfile::tempdir().unwrap();
        let (relupd, path) = (directory.path().join("relupd"), directory.path().join("report.json"));
        fs::write(&relupd, "one build").unwrap();
        let part = |lost| {
            let mut report = Report::default();
            report.push(Figure::exactly("acknowledged_commands_lost", lost, 0));
            report
        };
        let cells = Cell::all();
        let mut first = Tally::new(Some(path.clone()), true, &relupd).unwrap();
        first.went(cells[0], "completed".to_owned(), false).unwrap();
        first.went_wrong(format!("{}: a host is gone", cells[1])).unwrap();
        assert!(!first.ends(part(1)).unwrap().within_bounds());

        let mut second = Tally::go_on(Some(path.clone()), &relupd).unwrap();
        assert!(second.has(cells[0]) && !second.has(cells[1]), "what went wrong is played again");
        second.went(cells[1], "reverted".to_owned(), true).unwrap();
        let report = second.ends(part(2)).unwrap();
        let table = report.table();
        for (figure, value) in [
            ("acknowledged_commands_lost ", "3"),
            ("cells_run ", "3"),
            ("cells_wrong ", "1"),
            ("parts_without_a_history ", "0"),
        ] {
            let line = table.lines().find(|line| line.contains(figure)).unwrap();
            assert_eq!(line.split_whitespace().nth(1), Some(value), "{line}");
        }

        fs::write(&relupd, "another build").unwrap();
        let error = Tally::go_on(Some(path), &relupd).unwrap_err().to_string();
        assert!(error.contains("another build of relupd"), "{error}");
    }
}
