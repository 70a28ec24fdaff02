//! Short ways to build and to take apart the external terms that cross the link.

use eetf::{Atom, Binary, ByteList, FixInteger, List, Term, Tuple};

pub(super) fn atom(name: &str) -> Term {
    Term::from(Atom::from(name))
}

pub(super) fn binary(bytes: &[u8]) -> Term {
    Term::from(Binary::from(bytes))
}

/// An Erlang string: what the release handler takes for names, versions and paths.
pub(super) fn string(text: &str) -> Term {
    if text.is_ascii() {
        Term::from(ByteList::from(text))
    } else {
        list(text.chars().map(|c| integer(i32::try_from(u32::from(c)).unwrap_or(0))).collect())
    }
}

pub(super) fn integer(value: i32) -> Term {
    Term::from(FixInteger::from(value))
}

pub(super) fn tuple(elements: Vec<Term>) -> Term {
    Term::from(Tuple::from(elements))
}

pub(super) fn list(elements: Vec<Term>) -> Term {
    Term::from(List::from(elements))
}

pub(super) fn atoms<'a>(names: impl IntoIterator<Item = &'a str>) -> Term {
    list(names.into_iter().map(atom).collect())
}

pub(super) fn as_atom(term: &Term) -> Option<&str> {
    match term {
        Term::Atom(atom) => Some(&atom.name),
        _ => None,
    }
}

pub(super) fn as_bytes(term: &Term) -> Option<&[u8]> {
    match term {
        Term::Binary(binary) => Some(&binary.bytes),
        _ => None,
    }
}

/// The elements of a tuple.
pub(super) fn as_tuple(term: &Term) -> Option<&[Term]> {
    match term {
        Term::Tuple(tuple) => Some(&tuple.elements),
        _ => None,
    }
}

/// The elements of a proper list. A string is a list, too, but nobody here asks for it as one.
pub(super) fn as_list(term: &Term) -> Option<&[Term]> {
    match term {
        Term::List(list) => Some(&list.elements),
        _ => None,
    }
}

pub(super) fn as_u64(term: &Term) -> Option<u64> {
    match term {
        Term::FixInteger(number) => u64::try_from(number.value).ok(),
        Term::BigInteger(number) => u64::try_from(&number.value).ok(),
        _ => None,
    }
}

pub(super) fn as_bool(term: &Term) -> Option<bool> {
    match as_atom(term)? {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Text in any of the forms in which Erlang hands it over: binary, string, list of code points.
pub(super) fn as_text(term: &Term) -> Option<String> {
    match term {
        Term::Binary(binary) => String::from_utf8(binary.bytes.clone()).ok(),
        Term::ByteList(bytes) => Some(bytes.bytes.iter().map(|byte| char::from(*byte)).collect()),
        Term::List(list) => list
            .elements
            .iter()
            .map(|element| as_u64(element).and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32))
            .collect(),
        _ => None,
    }
}

/// `{Tag, Value}` with this tag.
pub(super) fn tagged<'a>(term: &'a Term, tag: &str) -> Option<&'a Term> {
    match as_tuple(term)? {
        [first, value] if as_atom(first) == Some(tag) => Some(value),
        _ => None,
    }
}

/// The value of an atom key in a map.
pub(super) fn member<'a>(term: &'a Term, key: &str) -> Option<&'a Term> {
    match term {
        Term::Map(map) => map.map.get(&atom(key)),
        _ => None,
    }
}
