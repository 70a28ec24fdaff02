//! One view, two forms: a table for people, JSON for programs. Both go to stdout, everything else to
//! stderr.

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use serde::Serialize;
use std::io::{self, ErrorKind, Write};

/// The form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs: one JSON value; one a line where answers go on.
    Json,
}

impl Format {
    /// Prints a view.
    pub(crate) fn print<T: Serialize>(
        self,
        view: &T,
        render: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        match self {
            Self::Table => line(render(view).trim_end()),
            Self::Json => line(&serde_json::to_string_pretty(view)?),
        }
    }

    /// Prints one of many views, each on a line of its own.
    pub(crate) fn print_next<T: Serialize>(
        self,
        view: &T,
        render: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        match self {
            Self::Table => line(render(view).trim_end()),
            Self::Json => line(&serde_json::to_string(view)?),
        }
    }

    /// Prints what a person should know beside the answer.
    pub(crate) fn hint(self, text: &str) {
        match self {
            Self::Table => eprintln!("{text}"),
            Self::Json => {}
        }
    }
}

/// A line on stdout, at once.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()?;
    Ok(())
}

/// Whether the reader of stdout has gone; then there is nobody to tell.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// One line, below the header: columns stand on their own, and rows are close enough to compare.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// A table with these columns.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header.iter().copied());
    table
}

/// Names and values below each other.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines: Vec<String> = fields.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect();
    lines.join("\n")
}
