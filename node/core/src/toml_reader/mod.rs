//! Reads TOML that people wrote, strictly, and collects every mistake in it instead of only the
//! first. Each key is taken out of its section by the type that is expected of it; whatever nobody
//! asked for is unknown, and the nearest known key is suggested.

mod nearest;
mod problem;
mod section;

pub use problem::{Problem, Problems};
pub use section::Section;

use std::ops::RangeInclusive;
use std::time::Duration;
use toml::de::DeTable;

/// Parses `text` and hands its top-level section to `read`. The result counts only if nothing was
/// wrong; otherwise all mistakes come back, in the order of their lines.
pub fn read<T>(text: &str, read: impl FnOnce(&mut Section<'_, '_>) -> Option<T>) -> Result<T, Vec<Problem>> {
    let problems = Problems::new(text);
    let table = match DeTable::parse(text) {
        Ok(table) => table.into_inner(),
        Err(error) => {
            problems.add(error.span(), "", format!("not TOML: {}", error.message().trim()));
            return Err(problems.into_sorted());
        }
    };
    let mut root = Section::new("", None, table, &problems);
    let value = read(&mut root);
    root.finish();
    let problems = problems.into_sorted();
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        Some(_) | None => {
            debug_assert!(!problems.is_empty(), "a value was withheld without a reason");
            Err(problems)
        }
    }
}

/// From a millisecond to a month: longer ones are slips, and their arithmetic could overflow.
pub const POSITIVE: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(30 * 24 * 3600);

/// As [`POSITIVE`], and zero.
pub const NOT_NEGATIVE: RangeInclusive<Duration> = Duration::ZERO..=*POSITIVE.end();

#[cfg(test)]
mod tests;
