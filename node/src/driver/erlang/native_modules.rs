//! Modules that load native code. To load such a module anew loads its library a second time beside the first, and
//! what the old one holds is not handed on unless the library was written for it: that is for a restart.

use super::book::Entry;
use super::layout::Layout;
use crate::driver::CheckResult;
use crate::driver::checks::not_hot;
use crate::driver::files::{At, Locate as _, read_optional};
use relupd_release::beam::Beam;
use std::collections::BTreeSet;

/// Whether none of these modules, of either release, loads native code.
pub(super) fn check(
    layout: &Layout,
    releases: &[&Entry],
    modules: &BTreeSet<String>,
) -> Result<CheckResult, At> {
    let directories: BTreeSet<String> = releases.iter().flat_map(|release| release.directories()).collect();
    let mut native = BTreeSet::new();
    for directory in &directories {
        for module in modules {
            let path = layout.libraries().join(directory).join("ebin").join(format!("{module}.beam"));
            let Some(content) = read_optional(&path).at(&path)? else { continue };
            // What cannot be read is the relup's own check's to tell of.
            if Beam::parse(&content).is_ok_and(|beam| beam.loads_nif) {
                native.insert(module.as_str());
            }
        }
    }
    if native.is_empty() {
        return Ok(CheckResult::Passed);
    }
    let named: Vec<&str> = native.into_iter().collect();
    let reason = format!("the relup replaces modules that load native code: {}", named.join(", "));
    Ok(not_hot(reason, "let it go by restart; or leave these modules as they are"))
}
