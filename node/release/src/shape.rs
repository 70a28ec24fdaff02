//! Taking terms of a known shape apart, with an error that names the file, what was expected, and what
//! was found instead.

use crate::terms::{Term, TermError, consult_one};
use crate::version::InvalidReleaseText;
use std::str::FromStr;

/// A file that describes a release does not say what it should.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FormatError {
    /// Not Erlang terms at all.
    #[error("{file} cannot be read as Erlang terms; build the release again")]
    Syntax {
        /// What kind of file.
        file: &'static str,
        /// Where and why.
        #[source]
        source: TermError,
    },
    /// Terms, but others.
    #[error("{file}: expected {expected}, found {found}; build the release again")]
    Shape {
        /// What kind of file.
        file: &'static str,
        /// What should be there.
        expected: &'static str,
        /// What is there, shortened.
        found: String,
    },
    /// A name or version that cannot be part of a file name.
    #[error("{file} holds an unusable name or version; rename it and build the release again")]
    Text {
        /// What kind of file.
        file: &'static str,
        /// Which, and why.
        #[source]
        source: InvalidReleaseText,
    },
}

/// A reader of terms that knows which kind of file they are from.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) file: &'static str,
}

impl Shape {
    pub(crate) fn only_term(self, bytes: &[u8]) -> Result<Term, FormatError> {
        consult_one(bytes).map_err(|source| FormatError::Syntax { file: self.file, source })
    }

    pub(crate) fn mismatch<T>(self, expected: &'static str, found: &Term) -> Result<T, FormatError> {
        let text = found.to_string();
        let mut short: String = text.chars().take(80).collect();
        if short.len() < text.len() {
            short.push_str("...");
        }
        Err(FormatError::Shape { file: self.file, expected, found: short })
    }

    pub(crate) fn list<'t>(self, term: &'t Term, expected: &'static str) -> Result<&'t [Term], FormatError> {
        match term.as_list() {
            Some(items) => Ok(items),
            None => self.mismatch(expected, term),
        }
    }

    /// A string that is a name or version.
    pub(crate) fn text<T>(self, term: &Term, expected: &'static str) -> Result<T, FormatError>
    where
        T: FromStr<Err = InvalidReleaseText>,
    {
        match term.as_text() {
            Some(text) => self.parse(&text),
            None => self.mismatch(expected, term),
        }
    }

    /// An atom that is a name.
    pub(crate) fn name<T>(self, term: &Term, expected: &'static str) -> Result<T, FormatError>
    where
        T: FromStr<Err = InvalidReleaseText>,
    {
        match term.as_atom() {
            Some(name) => self.parse(name),
            None => self.mismatch(expected, term),
        }
    }

    fn parse<T>(self, text: &str) -> Result<T, FormatError>
    where
        T: FromStr<Err = InvalidReleaseText>,
    {
        text.parse().map_err(|source| FormatError::Text { file: self.file, source })
    }
}
