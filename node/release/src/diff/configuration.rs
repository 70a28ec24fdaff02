//! Which parameters of the system configuration differ. Values are compared and never shown.

use super::{Change, Side, same};
use crate::manifest::Entry;
use crate::terms::Term;
use std::collections::BTreeMap;
use std::io;

/// Files of a release's own directory that each host evaluates: mix's. Nobody completes relx's templates.
const EVALUATED: [&str; 1] = ["runtime.exs"];

/// A parameter that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// Whose environment it is in.
    pub application: String,
    /// Its name.
    pub key: String,
    /// How it differs.
    pub change: Change,
}

pub(super) fn compare(from: Option<&Term>, to: Option<&Term>) -> Vec<KeyChange> {
    let (from, to) = (parameters(from), parameters(to));
    let mut keys: Vec<_> = from.keys().chain(to.keys()).collect();
    keys.sort();
    keys.dedup();
    let change = |key: &&(String, String)| match (from.get(*key), to.get(*key)) {
        (Some(one), Some(other)) => (one != other).then_some(Change::Changed),
        (Some(_), None) => Some(Change::Removed),
        (None, _) => Some(Change::Added),
    };
    keys.into_iter()
        .filter_map(|key| {
            let change = change(&key)?;
            Some(KeyChange { application: key.0.clone(), key: key.1.clone(), change })
        })
        .collect()
}

/// Which of the files that only a host can evaluate differ.
pub(super) fn evaluated<A, B>(from: &Side<'_, A>, to: &Side<'_, B>) -> Vec<&'static str>
where
    A: FnMut(&Entry) -> io::Result<Vec<u8>>,
    B: FnMut(&Entry) -> io::Result<Vec<u8>>,
{
    EVALUATED.into_iter().filter(|name| !same(from.own_file(name), to.own_file(name))).collect()
}

fn parameters(configuration: Option<&Term>) -> BTreeMap<(String, String), &Term> {
    let mut found = BTreeMap::new();
    for entry in configuration.and_then(Term::as_list).unwrap_or_default() {
        let Some([application, parameters]) = entry.as_tuple() else { continue };
        for parameter in parameters.as_list().unwrap_or_default() {
            if let (Some(application), Some([key, value])) = (application.as_atom(), parameter.as_tuple()) {
                found.insert((application.to_owned(), key.to_string()), value);
            }
        }
    }
    found
}
