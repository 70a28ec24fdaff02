//! A mistake in a text, and the list of them.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// One mistake: where, and what is wrong with what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1; `None` where something is missing altogether.
    pub line: Option<usize>,
    /// The whole path of the key, e.g. `health.check[1].timeout`; empty for the text as a whole.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Collects mistakes. Shared by all sections of a text, which are read one after the other.
#[derive(Debug)]
pub struct Problems<'t> {
    text: &'t str,
    list: RefCell<Vec<Problem>>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, list: RefCell::default() }
    }

    pub(super) fn add(&self, span: Option<Range<usize>>, key: &str, message: String) {
        let line = span.map(|span| line_of(self.text, span.start));
        self.list.borrow_mut().push(Problem { line, key: key.to_owned(), message });
    }

    /// What is missing has no line and comes first.
    pub(super) fn into_sorted(self) -> Vec<Problem> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|problem| problem.line);
        list
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
