//! Which applications a release starts and keeps running, from its `.rel` and their `.app` files.

use super::layout::Layout;
use super::preflight::Read;
use crate::driver::files::{Locate, read_optional};
use crate::ids::{ReleaseName, ReleaseVersion};
use relupd_release::rel::Rel;
use relupd_release::terms::{Term, consult_one};
use std::collections::BTreeSet;

/// Included applications are started by those that include them, and are never listed as running.
pub(super) fn applications(
    layout: &Layout,
    name: &ReleaseName,
    version: &ReleaseVersion,
) -> Read<BTreeSet<String>> {
    let path = layout.release(version).join(format!("{name}.rel"));
    let Some(bytes) = read_optional(&path).at(&path)? else {
        return Ok(Err(format!("{} is missing", path.display())));
    };
    let rel = match Rel::parse(&bytes) {
        Ok(rel) => rel,
        Err(error) => return Ok(Err(format!("{}: {error}", path.display()))),
    };
    let mut started: BTreeSet<String> = rel.permanent.iter().map(ToString::to_string).collect();
    for application in &rel.applications {
        let file = format!("{application}/ebin/{}.app", application.name);
        let path = layout.libraries().join(file);
        let bytes = read_optional(&path).at(&path)?.unwrap_or_default();
        for included in consult_one(&bytes).iter().flat_map(included) {
            started.remove(&included);
        }
    }
    Ok(Ok(started))
}

/// `{application, Name, [{included_applications, [Name]} | _]}`
fn included(description: &Term) -> Vec<String> {
    let parameters = description.as_tuple().and_then(|parts| parts.get(2)).and_then(Term::as_list);
    let of = |pair: &Term| match pair.as_tuple() {
        Some([key, names]) if key.as_atom() == Some("included_applications") => {
            names.as_list().unwrap_or_default().iter().filter_map(Term::as_atom).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    parameters.unwrap_or_default().iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn included_applications_are_no_applications_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path(), root.path(), &"shop".parse().unwrap());
        let write = |path: &str, content: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        write("lib/shop-1/ebin/shop.app", "{application,shop,[{included_applications,[part]}]}.");
        write("lib/part-1/ebin/part.app", "{application,part,[]}.");
        write("lib/once-1/ebin/once.app", "{application,once,[]}.");
        let rel =
            "{release,{\"shop\",\"1\"},{erts,\"13\"},[{shop,\"1\"},{part,\"1\",[]},{once,\"1\",load}]}.";
        write("releases/1/shop.rel", rel);
        let started = applications(&layout, &"shop".parse().unwrap(), &"1".parse().unwrap()).unwrap();
        assert_eq!(started.unwrap().into_iter().collect::<Vec<_>>(), ["shop"]);
    }
}
