//! Figures in the format that every make target writes.

use anyhow::Context as _;
use comfy_table::{LineStyle, Table, TableStyle};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// One line, below the header.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// What was measured or counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figure {
    name: String,
    value: f64,
    unit: String,
    bound: Option<f64>,
    ok: bool,
}

impl Figure {
    /// Must be this and nothing else.
    #[must_use]
    pub fn exactly(name: &str, value: u64, bound: u64) -> Self {
        Self::new(name, value as f64, "count", Some(bound as f64), value == bound)
    }

    /// Must be at least one: the more, the more has been tried.
    #[must_use]
    pub fn some(name: &str, value: u64) -> Self {
        Self::new(name, value as f64, "count", None, value > 0)
    }

    /// Must be so many at least.
    #[must_use]
    pub fn at_least(name: &str, value: u64, bound: u64) -> Self {
        Self::new(name, value as f64, "count", Some(bound as f64), value >= bound)
    }

    /// May be anything.
    #[must_use]
    pub fn counted(name: &str, value: u64) -> Self {
        Self::new(name, value as f64, "", None, true)
    }

    /// A time, with the bound that it must hold, where it has one.
    #[must_use]
    pub fn seconds(name: &str, value: Duration, bound: Option<Duration>) -> Self {
        let ok = bound.is_none_or(|bound| value <= bound);
        Self::new(name, value.as_secs_f64(), "s", bound.map(|bound| bound.as_secs_f64()), ok)
    }

    /// Must not take longer.
    #[must_use]
    pub fn at_most_ms(name: &str, value: f64, bound: f64) -> Self {
        Self::at_most(name, value, "ms", bound)
    }

    /// Must not be more.
    #[must_use]
    pub fn at_most(name: &str, value: f64, unit: &str, bound: f64) -> Self {
        Self::new(name, value, unit, Some(bound), value <= bound)
    }

    /// The same count over two parts of one run. Its bound is nothing at all, or so many at least.
    fn plus(&self, more: &Self) -> Self {
        let value = self.value + more.value;
        let ok = match self.bound {
            Some(0.0) => value == 0.0,
            Some(least) => value >= least,
            None => self.ok || more.ok,
        };
        Self { value, ok, ..self.clone() }
    }

    fn new(name: &str, value: f64, unit: &str, bound: Option<f64>, ok: bool) -> Self {
        Self { name: name.to_owned(), value, unit: unit.to_owned(), bound, ok }
    }
}

/// All figures of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    figures: Vec<Figure>,
    /// From where to where it was measured, on what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Report {
    /// Adds one.
    pub fn push(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds many.
    pub fn extend(&mut self, figures: impl IntoIterator<Item = Figure>) {
        self.figures.extend(figures);
    }

    /// Adds what another one has.
    pub fn append(&mut self, other: Self) {
        self.figures.extend(other.figures);
        self.notes.extend(other.notes);
    }

    /// The counts of two parts of one run; of what is in both, the sum.
    #[must_use]
    pub fn plus(mut self, more: &Self) -> Self {
        for figure in &more.figures {
            match self.figures.iter_mut().find(|mine| mine.name == figure.name) {
                Some(mine) => *mine = mine.plus(figure),
                None => self.figures.push(figure.clone()),
            }
        }
        self.notes
            .extend(more.notes.iter().filter(|note| !self.notes.contains(note)).cloned().collect::<Vec<_>>());
        self
    }

    /// Adds what one should know to read the figures, beginning with what it is about and a colon.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds what has failed, or that nothing has: what an earlier run has failed in does not stay beside it.
    pub fn failures(&mut self, what: &str, failures: &[String]) {
        self.notes.extend(failures.iter().map(|failure| format!("{what}: {failure}")));
        if failures.is_empty() {
            self.note(format!("{what}: nothing"));
        }
    }

    /// What one should know to read the figures.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether every figure is as it must be.
    #[must_use]
    pub fn within_bounds(&self) -> bool {
        self.figures.iter().all(|figure| figure.ok)
    }

    /// Whether every figure that counts something is as it must be. Times depend on the machine: they
    /// are shown against their bound and do not decide.
    #[must_use]
    pub fn observed(&self) -> bool {
        self.figures.iter().all(|figure| figure.ok || matches!(figure.unit.as_str(), "ms" | "s"))
    }

    /// Writes it as JSON.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes it over the figures of the same names, and the notes about the same, that earlier runs have left
    /// there; the others of theirs stay.
    pub fn write_into(mut self, path: &Path) -> anyhow::Result<()> {
        let before = match fs::read_to_string(path) {
            Ok(text) => {
                serde_json::from_str(&text).with_context(|| format!("{} is no report", path.display()))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Self::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        self.take_over(before);
        self.write(path)
    }

    fn take_over(&mut self, before: Self) {
        let is_mine = |other: &Figure| self.figures.iter().any(|figure| figure.name == other.name);
        let mut figures: Vec<Figure> = before.figures.into_iter().filter(|other| !is_mine(other)).collect();
        figures.append(&mut self.figures);
        self.figures = figures;
        let is_mine = |other: &str| self.notes.iter().any(|note| subject(note) == subject(other));
        let mut notes: Vec<String> = before.notes.into_iter().filter(|other| !is_mine(other)).collect();
        notes.append(&mut self.notes);
        self.notes = notes;
    }

    /// Shows it as a table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(STYLE);
        table.set_header(["figure", "value", "must be", ""]);
        for figure in &self.figures {
            let must_be = match (figure.bound, figure.unit.as_str()) {
                (Some(bound), "count") => bound.to_string(),
                (Some(bound), unit) => format!("<= {bound} {unit}"),
                (None, "count") => "> 0".to_owned(),
                (None, _) => String::new(),
            };
            let value = match figure.unit.as_str() {
                "count" => figure.value.to_string(),
                unit => format!("{:.1} {unit}", figure.value),
            };
            table.add_row([
                figure.name.clone(),
                value,
                must_be,
                if figure.ok { "ok" } else { "NO" }.to_owned(),
            ]);
        }
        table.trim_fmt()
    }
}

/// What a note is about.
fn subject(note: &str) -> &str {
    note.split(':').next().unwrap_or(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_replaces_its_own_figures_and_keeps_those_of_others() {
        let mut first = Report::default();
        first.extend([Figure::counted("cells_run", 13), Figure::counted("random_walk_minutes", 5)]);
        let mut second = Report::default();
        second.push(Figure::counted("random_walk_minutes", 10));
        first.notes = ["cells ended: completed 1", "walk: seed 7"].map(str::to_owned).to_vec();
        first.failures("wrong", &["a cell".to_owned(), "another".to_owned()]);
        second.note("cells ended: completed 2");
        second.failures("wrong", &[]);
        second.take_over(first);
        assert_eq!(second.notes(), ["walk: seed 7", "cells ended: completed 2", "wrong: nothing"]);
        let figures: Vec<(&str, f64)> =
            second.figures.iter().map(|figure| (figure.name.as_str(), figure.value)).collect();
        assert_eq!(figures, [("cells_run", 13.0), ("random_walk_minutes", 10.0)]);
    }

    #[test]
    fn a_count_that_is_off_is_not_observed_and_a_slow_machine_is_no_failure() {
        let mut report = Report::default();
        report.push(Figure::at_most_ms("outage", 120.0, 100.0));
        assert!(report.observed());
        report.push(Figure::exactly("failed", 1, 0));
        assert!(!report.observed());
    }
}
