//! Erlang terms as text: what `file:consult/1` reads and what it can read back. Releases are described
//! in such files (`.rel`, `relup`, `RELEASES`, `sys.config`), and they come from outside: whatever the
//! bytes are, the answer is terms or an error with a position, in bounded time, memory and stack.

mod error;
mod parse;
mod source;
mod write;

use std::borrow::Cow;

pub use error::{Problem, TermError};
pub use parse::{consult, consult_one};
pub use source::MAX_BYTES;
pub use write::to_file;

/// An Erlang term, as far as text can hold one: no pids, ports or references.
///
/// Erlang does not tell `"ab"` from `[97,98]`; this type keeps what was written, except that `""` is
/// the empty list. Where either may come, use [`Term::as_text`].
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// `shop`, `'Elixir.Shop'`.
    Atom(String),
    /// `42`, `16#2A`, `$a`. Beyond 128 bits nothing in a release is read.
    Integer(i128),
    /// `1.5`; always finite.
    Float(f64),
    /// `"text"`; never empty.
    String(String),
    /// `<<"text">>`, whole bytes only.
    Binary(Vec<u8>),
    /// `{a, b}`.
    Tuple(Vec<Term>),
    /// `[a, b]`.
    List(Vec<Term>),
    /// `[a, b | c]`, where the tail is not a list. The head is never empty.
    ImproperList(Vec<Term>, Box<Term>),
    /// `#{a => b}`, in the order written; no key twice.
    Map(Vec<(Term, Term)>),
    /// `fun module:name/arity`.
    Fun { module: String, name: String, arity: u8 },
}

impl Term {
    /// An atom.
    #[must_use]
    pub fn atom(name: &str) -> Self {
        Self::Atom(name.to_owned())
    }

    /// A string; the empty one is the empty list, as in Erlang.
    #[must_use]
    pub fn string(text: &str) -> Self {
        if text.is_empty() { Self::List(Vec::new()) } else { Self::String(text.to_owned()) }
    }

    /// The name, of an atom.
    #[must_use]
    pub fn as_atom(&self) -> Option<&str> {
        if let Self::Atom(name) = self { Some(name) } else { None }
    }

    /// The characters, of a string in either of its forms.
    #[must_use]
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::String(text) => Some(Cow::Borrowed(text)),
            Self::List(items) => items.iter().map(Self::as_char).collect::<Option<String>>().map(Cow::Owned),
            _ => None,
        }
    }

    /// The elements, of a tuple.
    #[must_use]
    pub fn as_tuple(&self) -> Option<&[Self]> {
        if let Self::Tuple(items) = self { Some(items) } else { None }
    }

    /// The elements, of a proper list. A non-empty string does not count as one: no list in a release's
    /// files has characters for elements.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    fn as_char(&self) -> Option<char> {
        let Self::Integer(code) = self else { return None };
        u32::try_from(*code).ok().and_then(char::from_u32)
    }

    /// What kind of term this is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Atom(_) => "an atom",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::String(_) => "a string",
            Self::Binary(_) => "a binary",
            Self::Tuple(_) => "a tuple",
            Self::List(_) => "a list",
            Self::ImproperList(..) => "an improper list",
            Self::Map(_) => "a map",
            Self::Fun { .. } => "a fun",
        }
    }
}
