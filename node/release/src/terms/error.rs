//! Why a text is not terms.

use erl_tokenize::{ErrorKind, Position};

/// The deepest nesting that is read. Real files stay below 20; each level costs one parser frame here
/// and one frame in whatever walks the term later.
pub(super) const MAX_DEPTH: usize = 200;

/// Why a text is not terms, and where. Columns count bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct TermError {
    /// Beginning with 1.
    pub line: usize,
    /// Beginning with 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a text of terms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("the file has {bytes} bytes, more than the {limit} that are read")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the file has more than {limit} escaped characters")]
    TooManyEscapes { limit: usize },
    #[error("not UTF-8; a Latin-1 file must say so in its first line: %% coding: latin-1")]
    NotUtf8,
    #[error("{0}")]
    Token(ErrorKind),
    #[error("expected {expected}, found {found}")]
    Unexpected { expected: &'static str, found: String },
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("an integer beyond 128 bits")]
    IntegerTooLarge,
    #[error("a binary segment with a size or type other than /utf8")]
    BinarySegment,
    #[error("expected a number")]
    NotANumber,
    #[error("a sigil other than ~, ~b, ~B, ~s, ~S")]
    UnknownSigil,
    #[error("expected exactly one term, found {found}")]
    NotOneTerm { found: usize },
}

impl TermError {
    pub(super) const fn at_start(problem: Problem) -> Self {
        Self { line: 1, column: 1, problem }
    }

    pub(super) fn at(position: Position, problem: Problem) -> Self {
        Self { line: position.line().get(), column: position.column().get(), problem }
    }
}
