//! The figures of a run, and the table of what it reached, for machines.

use crate::run::Summary;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize)]
pub struct Report {
    pub figures: Vec<Figure>,
    /// Group -> name -> how often.
    pub reached: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    pub never_reached: Vec<String>,
    pub unknown_changes: Vec<String>,
    /// The command that replays each seed that broke a promise.
    pub broken: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Figure {
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    /// `None` where it is only reported.
    pub bound: Option<String>,
    pub ok: bool,
}

impl Figure {
    pub fn at_least(name: &'static str, value: f64, unit: &'static str, least: f64) -> Self {
        Self { name, value, unit, bound: Some(format!(">= {least}")), ok: value >= least }
    }

    pub fn at_most(name: &'static str, value: f64, unit: &'static str, most: f64) -> Self {
        Self { name, value, unit, bound: Some(format!("<= {most}")), ok: value <= most }
    }

    pub fn reported(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit, bound: None, ok: true }
    }
}

impl Report {
    pub fn new(summary: &Summary, figures: Vec<Figure>) -> Self {
        Self {
            figures,
            reached: summary.coverage.figures(),
            never_reached: summary.coverage.never_reached(),
            unknown_changes: summary.coverage.unknown_changes().iter().cloned().collect(),
            broken: summary.broken.keys().map(|seed| format!("relupd-sim --seed {seed}")).collect(),
        }
    }
}
