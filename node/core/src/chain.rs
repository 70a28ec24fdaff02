//! Errors in one line.

use std::error::Error;

/// The error and its sources, outermost first, for a place that can carry only one text.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let sources = std::iter::successors(error.source(), |source| (*source).source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
