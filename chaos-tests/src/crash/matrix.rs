//! Which cells there are, and the run through them.

use super::cell::{Cell, Outcome, Verdict};
use super::fault::Fault;
use super::stand::Stand;
use super::transition::{self, Transition};
use crate::binaries::Binaries;
use crate::report::{Figure, Report};
use crate::show::Show;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The bound of the time that a node takes, from the end of a fault.
const RECOVERY_BOUND: Duration = Duration::from_secs(10);

/// So many passages of a point are broken at, at most.
const FEW: usize = 4;

/// Which cells are played.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Those whose description contains this.
    pub matching: Option<String>,
    /// So many at most, spread evenly; all of them where there is no limit.
    pub limit: Option<usize>,
    /// So many hangs at most, beside the others: each takes as long as the timeouts do.
    pub hangs: usize,
}

/// A run through the matrix.
#[derive(Debug)]
pub struct Matrix {
    stand: Stand,
    directory: PathBuf,
    show: Show,
    outcomes: Vec<Outcome>,
}

impl Matrix {
    /// A node to break, below a directory that is new.
    pub async fn prepare(directory: &Path, binaries: Binaries, show: Show) -> anyhow::Result<Self> {
        let beginnings: Vec<_> = transition::ALL.iter().map(|transition| transition.from).collect();
        let stand = Stand::prepare(&directory.join("node"), binaries, &beginnings).await?;
        Ok(Self { stand, directory: directory.to_owned(), show, outcomes: Vec::new() })
    }

    /// Whether this machine lets the fault be made.
    #[must_use]
    pub const fn can(&self, fault: Fault) -> bool {
        !fault.needs_mount() || self.stand.is_mounted()
    }

    /// Plays every selected cell.
    pub async fn play(&mut self, selection: &Selection) -> anyhow::Result<()> {
        let cells = self.cells(selection).await?;
        self.play_all(cells).await
    }

    /// Plays these cells.
    pub async fn play_all(&mut self, cells: Vec<Cell>) -> anyhow::Result<()> {
        let count = cells.len();
        for (number, cell) in (1..).zip(cells) {
            let outcome = self.play_one(&cell).await;
            self.show.say(&format!(
                "{number}/{count} {cell}: {:?}, {:.1} s",
                outcome.verdict,
                outcome.recovery.as_secs_f64()
            ));
            self.outcomes.push(outcome);
            self.write()?;
            // An interruption gets its turn whatever a cell did.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// A cell that could not be played to its end is wrong: the harness is part of what is shown.
    async fn play_one(&mut self, cell: &Cell) -> Outcome {
        let (verdict, recovery) = match self.stand.play(cell).await {
            Ok(ended) => ended,
            Err(error) => (Verdict::Wrong { why: format!("{error:#}") }, Duration::ZERO),
        };
        if matches!(verdict, Verdict::Wrong { .. } | Verdict::NeedsOperator { .. }) {
            self.keep_log(cell);
        }
        Outcome { cell: cell.to_string(), verdict, recovery, hang: cell.fault == Fault::Hang }
    }

    fn keep_log(&self, cell: &Cell) {
        let name: String =
            cell.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let kept = self.directory.join("logs");
        let copied = fs::create_dir_all(&kept)
            .and_then(|()| fs::copy(self.stand.log(), kept.join(name).with_extension("log")));
        if let Err(error) = copied {
            self.show.say(&format!("its log cannot be kept: {error}"));
        }
    }

    /// Every cell, by what a run without faults passes; then those of them that are selected.
    async fn cells(&mut self, selection: &Selection) -> anyhow::Result<Vec<Cell>> {
        let mut all = Vec::new();
        for transition in transition::ALL {
            let name = format!("{}:", transition.name);
            if selection.matching.as_ref().is_some_and(|text| text.contains(": ") && !text.starts_with(&name))
            {
                continue;
            }
            let trace = self.stand.record(&transition).await?;
            fs::write(self.directory.join(format!("trace-{}", transition.name)), trace.join("\n"))?;
            all.extend(self.cells_of(transition, &trace));
        }
        all.retain(|cell| selection.matching.as_ref().is_none_or(|text| cell.to_string().contains(text)));
        let (hangs, others): (Vec<Cell>, Vec<Cell>) =
            all.into_iter().partition(|cell| cell.fault == Fault::Hang);
        let mut cells = spread(others, selection.limit.unwrap_or(usize::MAX));
        cells.extend(spread(hangs, selection.hangs));
        Ok(cells)
    }

    fn cells_of(&self, transition: Transition, trace: &[String]) -> Vec<Cell> {
        let mut cells = Vec::new();
        for Passage { point, number, with_vm } in passages(transition, trace) {
            for fault in Fault::ALL {
                if self.can(fault) && (with_vm || !fault.needs_vm()) && fault.fits(&point) {
                    cells.push(Cell { transition, point: point.clone(), passage: number, fault });
                }
            }
        }
        cells
    }

    /// What came of each cell so far.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The figures so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let count =
            |is: fn(&Verdict) -> bool| self.outcomes.iter().filter(|one| is(&one.verdict)).count() as u64;
        let ok = count(|verdict| matches!(verdict, Verdict::Ok { .. }));
        let needs_operator = count(|verdict| matches!(verdict, Verdict::NeedsOperator { .. }));
        let wrong = count(|verdict| matches!(verdict, Verdict::Wrong { .. }));
        let not_reached = count(|verdict| matches!(verdict, Verdict::NotReached { .. }));
        let mut report = Report::default();
        report.push(Figure::at_least("cells_total", ok + needs_operator + wrong, 400));
        report.push(Figure::some("cells_ok", ok));
        report.push(Figure::counted("cells_needs_operator", needs_operator));
        report.push(Figure::exactly("cells_wrong", wrong, 0));
        report.push(Figure::counted("cells_not_reached", not_reached));
        for (name, hang, quantile) in [
            ("node_recovery_p50_s", false, 0.5),
            ("node_recovery_p99_s", false, 0.99),
            ("node_recovery_max_s", false, 1.0),
            ("hang_recovery_max_s", true, 1.0),
        ] {
            if let Some(value) = self.recovery(hang, quantile) {
                let bound = if name == "node_recovery_p99_s" { Some(RECOVERY_BOUND) } else { None };
                report.push(Figure::seconds(name, value, bound));
            }
        }
        if !self.stand.is_mounted() {
            let left_out = Fault::ALL.iter().filter(|fault| fault.needs_mount()).map(|fault| fault.name());
            let left_out: Vec<_> = left_out.collect();
            report.note(format!(
                "no file system can be mounted here, that takes root; left out: {}",
                left_out.join(", ")
            ));
        }
        let wrong = self.outcomes.iter().filter_map(|outcome| match &outcome.verdict {
            Verdict::Wrong { why } => Some(format!("{}: {why}", outcome.cell)),
            Verdict::Ok { .. } | Verdict::NeedsOperator { .. } | Verdict::NotReached { .. } => None,
        });
        report.failures("wrong", &wrong.collect::<Vec<_>>());
        report
    }

    fn recovery(&self, hang: bool, quantile: f64) -> Option<Duration> {
        let settled =
            |one: &&Outcome| matches!(one.verdict, Verdict::Ok { .. } | Verdict::NeedsOperator { .. });
        let mut times: Vec<Duration> = self
            .outcomes
            .iter()
            .filter(|one| one.hang == hang)
            .filter(settled)
            .map(|one| one.recovery)
            .collect();
        times.sort();
        let rank = (times.len() as f64 * quantile).ceil() as usize;
        times.get(rank.max(1) - 1).copied()
    }

    fn write(&self) -> anyhow::Result<()> {
        self.report().write(&self.directory.join("report.json"))?;
        let cells = serde_json::to_string_pretty(&self.outcomes)?;
        fs::write(self.directory.join("cells.json"), cells + "\n").context("cells.json")
    }
}

/// A passage of a point.
struct Passage {
    point: String,
    number: usize,
    /// Whether a VM runs at that time.
    with_vm: bool,
}

/// The passages that stand for all: what is passed often is passed for the same reason.
fn passages(transition: Transition, trace: &[String]) -> Vec<Passage> {
    let since = transition.broken_from();
    let begin = trace.iter().position(|point| since.is_none_or(|since| point == since));
    let (before, trace) = trace.split_at(begin.unwrap_or(trace.len()));
    let count = |point: &String| trace.iter().filter(|passed| *passed == point).count();
    let (mut passed, mut with_vm) = (BTreeMap::<&String, usize>::new(), runs_after(transition, before));
    let mut found = Vec::new();
    for point in trace {
        let number = passed.entry(point).or_default();
        *number += 1;
        match point.split(' ').next() {
            Some("spawned") => with_vm = true,
            Some("stopped") => with_vm = false,
            _ => {}
        }
        let count = count(point);
        let stands_for_others = (0..FEW).any(|part| *number == 1 + part * count / FEW);
        if count <= FEW || stands_for_others {
            found.push(Passage { point: point.clone(), number: *number, with_vm });
        }
    }
    found
}

/// Whether a VM runs once these were passed.
fn runs_after(transition: Transition, passed: &[String]) -> bool {
    let changes = |point: &&String| point.starts_with("spawned ") || point.starts_with("stopped ");
    match passed.iter().rev().find(changes) {
        Some(last) => last.starts_with("spawned "),
        None => transition.from.is_some(),
    }
}

/// So many of them, evenly: each fault meets other points than its neighbours do.
fn spread(cells: Vec<Cell>, limit: usize) -> Vec<Cell> {
    let count = cells.len();
    let limit = limit.min(count);
    let chosen = |index: usize| (index * limit) / count != ((index + 1) * limit) / count;
    cells.into_iter().enumerate().filter(|(index, _)| chosen(*index)).map(|(_, cell)| cell).collect()
}
