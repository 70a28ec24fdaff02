//! What a supervisor's `init/1` says, from the abstract code that a module compiled with `debug_info`
//! carries. Releases are often stripped of it; then nothing is known, and that is said.

use super::{Chunks, external};
use crate::digest::Digest;
use crate::terms::Term;
use std::collections::BTreeSet;

/// A supervisor's `init/1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// The digest of its source, without positions.
    pub source: Digest,
    /// The ids of the children that are written out in it.
    pub children: BTreeSet<String>,
}

pub(super) fn init(chunks: &Chunks<'_>) -> Option<Init> {
    let information = external::decode(chunks.get(b"Dbgi")?)?;
    let [tag, backend, data] = information.as_tuple()? else { return None };
    if tag.as_atom() != Some("debug_info_v1") || backend.as_atom() != Some("erl_abstract_code") {
        return None;
    }
    let [forms, _options] = data.as_tuple()? else { return None };
    let init = forms.as_list()?.iter().find_map(|form| match form.as_tuple()? {
        [kind, _, name, Term::Integer(1), clauses]
            if kind.as_atom() == Some("function") && name.as_atom() == Some("init") =>
        {
            Some(clauses)
        }
        _ => None,
    })?;
    let mut children = BTreeSet::new();
    written_out(init, &mut children);
    Some(Init { source: Digest::of(without_positions(init).to_string().as_bytes()), children })
}

/// Ids in `#{id => shop_counter, ...}` and in `{shop_counter, {M,F,A}, Restart, Shutdown, Type, Modules}`.
fn written_out(form: &Term, children: &mut BTreeSet<String>) {
    match form {
        Term::Tuple(parts) => {
            children.extend(child(parts));
            parts.iter().for_each(|part| written_out(part, children));
        }
        Term::List(items) => items.iter().for_each(|item| written_out(item, children)),
        _ => {}
    }
}

fn child(form: &[Term]) -> Option<String> {
    let [kind, _, fields] = form else { return None };
    let fields = fields.as_list()?;
    let id = match (kind.as_atom()?, fields) {
        ("map", _) => fields.iter().find_map(|field| match field.as_tuple()? {
            [assoc, _, key, value] if assoc.as_atom()?.starts_with("map_field") => {
                (literal(key).as_deref() == Some("id")).then(|| literal(value))?
            }
            _ => None,
        })?,
        ("tuple", [id, start, _, _, _, _]) if start.as_tuple()?.first()?.as_atom() == Some("tuple") => {
            literal(id)?
        }
        _ => return None,
    };
    Some(id)
}

fn literal(form: &Term) -> Option<String> {
    match form.as_tuple()? {
        [kind, _, value] if matches!(kind.as_atom(), Some("atom" | "string" | "integer")) => {
            Some(value.to_string())
        }
        _ => None,
    }
}

/// A form is a tuple of its kind and its position; what differs in positions only is the same source.
fn without_positions(form: &Term) -> Term {
    match form {
        Term::Tuple(parts) => {
            let is_form = parts.len() > 1 && parts.first().is_some_and(|kind| kind.as_atom().is_some());
            let strip = |(index, part): (usize, &Term)| {
                if is_form && index == 1 { Term::Integer(0) } else { without_positions(part) }
            };
            Term::Tuple(parts.iter().enumerate().map(strip).collect())
        }
        Term::List(items) => Term::List(items.iter().map(without_positions).collect()),
        other => other.clone(),
    }
}
